"""What the layers are given by mistake: one clear error, at every length, and nothing truncated."""

import copy
import pickle

import pytest
import torch

from models.lstm.modules import LSTM, LSTMLayer
from models.tcn.modules import CausalConv
from models.transformer.modules import CausalAttention
from tests.helpers.small_models import ALPHABET, MODELS, small_models


@pytest.mark.parametrize("name", MODELS)
def test_codes_are_whole_numbers_of_the_alphabet(name):
    model = small_models()[name]
    for codes in (torch.rand(2, 5), torch.ones(2, 5, dtype=torch.bool)):
        with pytest.raises(ValueError, match="expected whole numbers"):
            model(codes)
    for code in (-1, ALPHABET):
        with pytest.raises(ValueError, match=r"codes are in 0\.\.10"):
            model(torch.full((2, 5), code))
    with pytest.raises(ValueError, match=r"expected \(B, T\)"):
        model(torch.ones(5, dtype=torch.long))
    with pytest.raises(TypeError, match="codes are a list"):
        model([[1, 2]])


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_none(name):
    logits, _ = small_models()[name](torch.zeros(0, 5, dtype=torch.long))
    assert logits.shape == (0, 5, ALPHABET)


@pytest.mark.parametrize("length", [1, 5])
def test_a_state_of_another_dtype_is_refused_at_every_length(length):
    lstm, x = LSTM(4, 3), torch.zeros(2, length, 4)
    state = torch.zeros(1, 2, 3, dtype=torch.float64)
    for wrong in ((x, (state, state)), (x.double(),)):
        with pytest.raises(ValueError, match="weights are"):
            lstm(*wrong)
    past = torch.zeros(2, 4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="expected"):
        CausalConv(4, 4, 3, 1)(x.transpose(1, 2), past)
    for dtype in (torch.float64, torch.float16):
        past = torch.zeros(2, 2, 2, 2, dtype=dtype)
        with pytest.raises(ValueError, match=r"cache is .* expected .* of torch.float32"):
            CausalAttention(4, 2, 3)(x, cache=(past, past))


@pytest.mark.parametrize("length", [1, 5])
def test_a_state_that_would_be_spread_over_the_batch_is_refused(length):
    x, whole = torch.zeros(2, length, 4), torch.zeros(2, 4)
    for wrong in (torch.zeros(1, 4), torch.zeros(2, 1), torch.zeros(4)):
        for state in ((whole, wrong), (wrong, whole)):
            with pytest.raises(ValueError, match=r"not \(2, 4\)"):
                LSTMLayer(4, 4)(x, state)
    keys, other = torch.zeros(2, 2, 3, 2), torch.zeros(1, 2, 3, 2)
    for cache in ((keys, other), (other, keys), (keys, keys[:, :, :2])):
        with pytest.raises(ValueError, match="cache is"):
            CausalAttention(4, 2, 5)(x, cache=cache)


def test_whole_numbers_are_no_features():
    x, state = torch.ones(2, 5, 4, dtype=torch.long), (torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"weights are torch.float32"):
        LSTMLayer(4, 3)(x, state)


def test_shapes_that_do_not_fit_are_named():
    for x in (torch.zeros(2, 0, 8), torch.zeros(2, 5, 7), torch.zeros(5, 8)):
        with pytest.raises(ValueError, match=r"expected \(B, T >= 1, 8\)"):
            CausalAttention(8, 2, 3)(x)
        with pytest.raises(ValueError, match=r"expected \(B, T >= 1, 8\)"):
            LSTMLayer(8, 3)(x, (torch.zeros(2, 3), torch.zeros(2, 3)))
    for x in (torch.zeros(2, 5, 3), torch.zeros(2, 4, 0)):
        with pytest.raises(ValueError, match=r"expected \(B, 4, T >= 1\)"):
            CausalConv(4, 4, 3, 1)(x)
    with pytest.raises(ValueError, match="past is"):
        CausalConv(4, 4, 3, 1)(torch.zeros(2, 4, 3), torch.zeros(1, 4, 2))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["lstm", "tcn", "rotary"])
def test_a_model_is_copied_saved_and_traced(name):
    model, x = small_models()[name].eval(), torch.randint(ALPHABET, (2, 5))
    expected = model(x)[0]
    copied = copy.deepcopy(model)
    copied.load_state_dict(model.state_dict())
    assert torch.equal(copied(x)[0], expected)
    if name != "rotary":  # whose state counts in plain numbers, which a trace does not return
        traced = torch.jit.trace(model, (x,), check_trace=False)
        torch.testing.assert_close(traced(x)[0], expected)
    if name == "tcn":
        with pytest.raises(RuntimeError, match=r"[Ss]erialization"):
            pickle.dumps(model)
    else:
        assert torch.equal(pickle.loads(pickle.dumps(model))(x)[0], expected)
