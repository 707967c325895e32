"""What the layers are given by mistake: one clear error, at every length, and nothing truncated."""

import copy
import pickle

import pytest
import torch

from models.aae import modules as aae
from models.gan import modules as gan
from models.lstm.modules import LSTM, LSTMLayer
from models.palindrome import modules as palindrome
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
    with pytest.raises(ValueError, match=r"expected \(B, T >= 1\)"):
        model(torch.ones(5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"expected \(B, T >= 1\)"):
        model(torch.ones(2, 0, dtype=torch.long))
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
        with pytest.raises(ValueError, match=r"of torch.float64, expected .* of torch.float32"):
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
            with pytest.raises(ValueError, match=r"expected \(2, 4\)"):
                LSTMLayer(4, 4)(x, state)
    keys, other = torch.zeros(2, 2, 3, 2), torch.zeros(1, 2, 3, 2)
    for cache in ((keys, other), (other, keys), (keys, keys[:, :, :2])):
        with pytest.raises(ValueError, match="cache is"):
            CausalAttention(4, 2, 5)(x, cache=cache)


def test_whole_numbers_are_no_features():
    x, state = torch.ones(2, 5, 4, dtype=torch.long), (torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"of torch.int64, expected .* of torch.float32"):
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
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], expected)


LAYERS = {
    "lstm": (lambda: LSTM(4, 3), (4, 4)),
    "lstm layer": (lambda: LSTMLayer(4, 3), (4, 4)),
    "tcn": (lambda: CausalConv(4, 4, 3, 1), (4, 4)),
    "attention": (lambda: CausalAttention(4, 2, 3), (4, 4)),
    "generator": (lambda: gan.Generator(gan.ModelConfig("m", 4)).eval(), (4,)),
    "gan discriminator": (gan.Discriminator, (1, 28, 28)),
    "autoencoder": (lambda: aae.Autoencoder(aae.ModelConfig("m", 4, 8)), (1, 28, 28)),
    "aae decoder": (lambda: aae.Decoder(aae.ModelConfig("m", 4, 8)), (4,)),
    "aae discriminator": (lambda: aae.Discriminator(aae.ModelConfig("m", 4, 8)), (4,)),
}


def read(layer, x, dtype=torch.float32):
    """What a layer gives for x, from zeros where it cannot do without a state."""
    zeros = torch.zeros(len(x), 3, dtype=dtype)
    out = layer(x, (zeros, zeros)) if isinstance(layer, LSTMLayer) else layer(x)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_says_what_it_takes(name):
    make, sizes = LAYERS[name]
    layer, x = make(), torch.rand(2, *sizes)
    assert read(layer, x).shape[0] == 2
    assert read(layer, x[:0]).shape[0] == 0, "a batch of none"
    narrow = x[:, :-1] if name == "tcn" else x[..., :-1]
    words = r"(is|are) \(.*\) of torch.*, expected \(B, .*float32"
    for wrong in (narrow, x[0], x.double(), x.bfloat16(), (255 * x).byte()):
        with pytest.raises(ValueError, match=words):
            read(layer, wrong)
    for wrong in (x.tolist(), x.numpy()):
        with pytest.raises(TypeError, match=r"(is|are) a (list|ndarray), expected a tensor \(B, "):
            read(layer, wrong)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_can_be_of_another_dtype(name, dtype):
    make, sizes = LAYERS[name]
    layer, x = make().to(dtype), torch.rand(2, *sizes, dtype=dtype)
    out = read(layer, x, dtype)
    assert out.dtype == dtype
    out.float().sum().backward()


def test_states_of_another_structure_are_named():
    x, codes = torch.zeros(2, 5, 4), torch.zeros(2, 5, dtype=torch.long)
    models, h = small_models(), torch.zeros(1, 2, 3)
    cache = torch.zeros(2, 2, 1, 2)
    calls = [
        (LSTM(4, 3), x, h),
        (LSTM(4, 3), x, (h,)),
        (LSTM(4, 3), x, (h, None)),
        (LSTM(4, 3), x, (h, h[0])),
        (LSTMLayer(4, 3), x, (h, h)),
        (models["lstm"], codes, h),
        (models["tcn"], codes, h),
        (models["tcn"], codes, (h,)),
        (models["tcn"], codes, (h,) * 6),
        (models["rotary"], codes, h),
        (models["rotary"], codes, (0, ())),
        (models["rotary"], codes, (-1, (None, None))),
        (models["rotary"], codes, (1, ((h, h), (h, h)))),
        (CausalAttention(4, 2, 3), x, None, cache),
        (CausalAttention(4, 2, 3), x, None, (cache, cache[:, :, :0])),
        (CausalAttention(4, 2, 3), x, None, (cache.double(), cache.double())),
        (CausalAttention(4, 2, 3), x, torch.zeros(2, 4, 1)),
    ]
    for layer, *inputs in calls:
        with pytest.raises((ValueError, TypeError), match="expected"):
            layer(*inputs)


def test_packed_lengths_are_refused():
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.zeros(2, 5, 4), [5, 3], batch_first=True)
    with pytest.raises(TypeError, match="x is a PackedSequence, expected a tensor"):
        LSTM(4, 3)(packed)


def test_palindromes_are_checked():
    model = palindrome.Model(palindrome.ModelConfig("m", 5, 4, 0.0))
    for wrong in (torch.zeros(2, 5), torch.full((2, 5), 10), torch.zeros(2, 0).long()):
        with pytest.raises(ValueError, match=r"expected|codes are in 0\.\.9"):
            model(wrong)
    with pytest.raises(TypeError, match="expected a tensor"):
        model([[1, 2]])
    assert model(torch.zeros(0, 5).long()).shape == (0, 10)


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("kernel", ["fast", "readable"])
def test_under_autocast_half_precision_is_turned_and_nothing_else(kernel, length):
    lstm, x = LSTM(4, 3, kernel=kernel), torch.rand(2, length, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out, state = lstm(x)
        assert torch.equal(out, lstm(x.float())[0])
        assert {out.dtype, state[0].dtype} == {torch.float32}
        for wrong in (x.double(), x.int()):
            with pytest.raises(ValueError, match="expected"):
                lstm(wrong)
