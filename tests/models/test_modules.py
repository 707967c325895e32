"""The three models against known results: shapes, library oracles, causality, streams."""

import dataclasses
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.lstm import modules as lstm_modules
from models.lstm.modules import LSTM, read, step
from models.lstm.modules import Model as LSTMModel
from models.lstm.modules import ModelConfig as LSTMConfig
from models.lstm.recurrence import read_fast
from models.tcn.modules import CausalConv, ResidualBlock
from models.tcn.modules import Model as TCN
from models.tcn.modules import ModelConfig as TCNConfig
from models.transformer import modules as transformer_modules
from models.transformer.modules import CausalAttention, band, rotate, sinusoids
from models.transformer.modules import Model as Transformer
from models.transformer.modules import ModelConfig as TransformerConfig
from tests.helpers.small_models import MODELS
from utils.config import build as build_config
from utils.errors import SettingError
from utils.helper_functions import one_hot
from utils.text.streaming import Reader

every_model = pytest.mark.parametrize("model", MODELS, indirect=True)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def assert_close(ours, theirs, what):
    """The largest difference, relative to the largest value."""
    error = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)
    assert error <= TOLERANCE[theirs.dtype], f"{what} is off by {error:.1e} of its largest value"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("layers", "batch", "time"), [(1, 3, 7), (2, 4, 20), (3, 1, 1)])
def test_lstm_equals_the_library(layers, batch, time, with_state, dtype):
    torch.manual_seed(1)
    ours = LSTM(5, 6, layers).to(dtype)
    oracle = nn.LSTM(5, 6, layers, batch_first=True).to(dtype)
    with torch.no_grad():
        for depth, layer in enumerate(ours.layers):
            layer.b.normal_()  # so that a gate's bias in the wrong place shows
            getattr(oracle, f"weight_ih_l{depth}").copy_(layer.W)
            getattr(oracle, f"weight_hh_l{depth}").copy_(layer.U)
            getattr(oracle, f"bias_ih_l{depth}").copy_(layer.b)
            getattr(oracle, f"bias_hh_l{depth}").zero_()
    x = torch.randn(batch, time, 5, dtype=dtype)
    state = [torch.randn(layers, batch, 6, dtype=dtype) for _ in "hc"]
    results = []
    for network in (ours, oracle):
        inputs = [tensor.clone().requires_grad_() for tensor in (x, *state)]
        out, (h, c) = network(inputs[0], tuple(inputs[1:]) if with_state else None)
        weights = torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)
        ((out * weights).sum() + (h * c).sum()).backward()
        results.append((out, h, c, [t.grad for t in inputs if t.grad is not None]))
    (out, h, c, grads), (out_, h_, c_, grads_) = results
    for name, a, b in (("out", out, out_), ("h", h, h_), ("c", c, c_)):
        assert_close(a, b, name)
    assert len(grads) == len(grads_) == (3 if with_state else 1)
    for a, b in zip(grads, grads_, strict=True):
        assert_close(a, b, "gradient of x, h or c")
    for depth, layer in enumerate(ours.layers):
        for name, theirs in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
            theirs = getattr(oracle, f"{theirs}_l{depth}").grad
            assert_close(getattr(layer, name).grad, theirs, f"gradient of {name}, layer {depth}")


@pytest.mark.parametrize("steps", [1, 4, 9, 100])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_hand_derived_gradient_equals_the_readable_loop(dtype, steps):
    torch.manual_seed(0)
    layer = LSTM(5, 6).layers[0].to(dtype)
    inputs = [torch.randn(*shape, dtype=dtype) for shape in ((9, 3, 5), (3, 6), (3, 6))]
    fast = partial(read_fast, piece=steps * 3 * 4 * 6)  # of 9 steps, B = 3, H = 6
    results = []
    for reading in (fast, partial(read, dropout=nn.Identity())):
        x, h, c = (tensor.clone().requires_grad_() for tensor in inputs)
        out, h_T, c_T = reading(x, h, c, layer.W, layer.U, layer.b)
        loss = (out * torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)).sum()
        loss = loss + (2 * h_T * c_T).sum()
        gradients = torch.autograd.grad(loss, (x, h, c, layer.W, layer.U, layer.b))
        results.append((out, h_T, c_T, *gradients))
    for ours, theirs in zip(*results, strict=True):
        assert_close(ours, theirs, "an output or a gradient")


@pytest.mark.parametrize("steps", [3, 4])
def test_hand_derived_gradient_passes_gradcheck(steps):
    torch.manual_seed(0)
    shapes = ((4, 2, 5), (2, 3), (2, 3), (12, 5), (12, 3), (12,))
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(partial(read_fast, piece=steps * 2 * 4 * 3), inputs)


SETTINGS = {
    "lstm": (
        LSTMModel,
        LSTMConfig(name="m", hidden_size=7, layers=2, dropout=0.0, recurrent_init="xavier"),
    ),
    "transformer": (
        Transformer,
        TransformerConfig(
            name="m", width=8, heads=2, layers=2, context=6, positions="rotary", dropout=0.0
        ),
    ),
}


def both_kernels(kind):
    """The model of each kernel, of the same weights, in training."""
    build, config = SETTINGS[kind]
    models = {}
    for kernel in ("fast", "readable"):
        torch.manual_seed(0)
        models[kernel] = build(5, dataclasses.replace(config, kernel=kernel)).double().train()
    return models


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("length", [1, 2, 9, 40])
@pytest.mark.parametrize("kind", SETTINGS)
def test_both_kernels_compute_the_same(kind, length, with_state):
    torch.manual_seed(1)
    before, x, y = (torch.randint(5, (3, T)) for T in (4, length, length))
    results = []
    for model in both_kernels(kind).values():
        state = model(before)[1] if with_state else None
        logits, state = model(x, state)
        functional.cross_entropy(logits.flatten(0, 1), y.flatten()).backward()
        tensors = state if kind == "lstm" else [part for cache in state[1] for part in cache]
        results.append([logits, *tensors, *(p.grad for p in model.parameters())])
    for fast, readable in zip(*results, strict=True):
        assert_close(fast, readable, "an output, a state or a gradient")


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_readable_kernel_never_calls_its_twin(kind, monkeypatch):
    def twin(*inputs):
        raise AssertionError("the twin was called")

    monkeypatch.setattr(lstm_modules, "read_fast", twin)
    monkeypatch.setattr(transformer_modules, "attend_fast", twin)
    models, x = both_kernels(kind), torch.randint(5, (3, 9))
    models["readable"](x, models["readable"](x)[1])
    with pytest.raises(AssertionError, match="twin was called"):
        models["fast"](x)


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_unknown_kernel_is_refused(kind):
    """In a model's settings, and of a layer that somebody lifts."""
    with pytest.raises(SettingError, match="kernel is 'slow', not one of fast, readable"):
        dataclasses.replace(SETTINGS[kind][1], kernel="slow")
    layer, sizes = {"lstm": (LSTM, (3, 4)), "transformer": (CausalAttention, (8, 2, 4))}[kind]
    with pytest.raises(SettingError, match=r"kernel: 'slow' is not one of \['fast', 'readable'\]"):
        layer(*sizes, kernel="slow")


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_from_before_the_kernel_take_the_fast_one(kind):
    _, config = SETTINGS[kind]
    values = dataclasses.asdict(config)
    del values["kernel"]
    section = dataclasses.make_dataclass("Config", [("model", type(config))], frozen=True)
    assert build_config({"model": values}, section, "old.json").model.kernel == "fast"


@every_model
def test_models_name_their_vocabulary_and_where_positions_end(model, request):
    assert model.vocabulary == 11
    learned = request.node.callspec.params["model"] == "learned"
    assert model.position_limit == (8 if learned else None)


def test_lstm_starts_as_promised():
    torch.manual_seed(0)
    for start in ("orthogonal", "xavier"):
        layer = LSTM(40, 30, recurrent_init=start).layers[0]
        i, f, g, o = layer.b.detach().chunk(4)
        assert (f == 1).all()
        assert (torch.stack([i, g, o]) == 0).all()
        for W_gate, U_gate in zip(layer.W.chunk(4), layer.U.chunk(4), strict=True):
            bound = math.sqrt(6 / (40 + 30))  # Xavier's, for one gate
            assert bound * 0.95 < W_gate.abs().max() <= bound
            if start == "orthogonal":
                assert torch.allclose(U_gate @ U_gate.T, torch.eye(30), atol=1e-5)
            else:
                assert math.sqrt(6 / 60) * 0.95 < U_gate.abs().max() <= math.sqrt(6 / 60)
    for refused in (ValueError, SettingError):
        with pytest.raises(refused, match="recurrent_init"):
            LSTM(2, 3, recurrent_init="zero")


def test_lstm_takes_an_empty_batch():
    """As nn.LSTM does, and gives weights the gradient of nothing."""
    lstm, x = LSTM(3, 4, 2), torch.zeros(0, 5, 3, requires_grad=True)
    out, _ = lstm(x)
    out.sum().backward()
    assert (out.shape, x.grad.shape) == ((0, 5, 4), x.shape)
    assert all((p.grad == 0).all() for p in lstm.parameters())


def test_lstm_names_a_wrong_shape():
    lstm = LSTM(5, 6, 2)
    with pytest.raises(ValueError, match="expected"):
        lstm(torch.zeros(3, 4, 7))
    with pytest.raises(ValueError, match="h is"):
        lstm(torch.zeros(3, 4, 5), (torch.zeros(1, 3, 6), torch.zeros(1, 3, 6)))


def test_lstm_drops_between_layers_in_training_only():
    torch.manual_seed(0)
    lstm, x = LSTM(5, 6, 2, dropout=0.5), torch.randn(2, 3, 5)
    assert not torch.equal(lstm(x)[0], lstm(x)[0])
    lstm.eval()
    assert torch.equal(lstm(x)[0], lstm(x)[0])


@every_model
def test_shapes(model):
    logits, state = model(torch.randint(11, (3, 5)))
    assert logits.shape == (3, 5, 11)
    logits, _ = model(torch.randint(11, (3, 1)), state)
    assert logits.shape == (3, 1, 11)


def test_shapes_of_the_layers():
    h, past = CausalConv(4, 6, 3, 2)(torch.zeros(2, 4, 5))
    assert (h.shape, past.shape) == ((2, 6, 5), (2, 4, 4))
    h, past = ResidualBlock(4, 3, 2, dropout=0.0)(torch.zeros(2, 4, 5), (None, None))
    assert (h.shape, [p.shape for p in past]) == ((2, 4, 5), [(2, 4, 4)] * 2)
    attention = CausalAttention(8, 2, 3)
    h, (k, v) = attention(torch.zeros(2, 5, 8), sinusoids(0, 5, 4).float())
    assert (h.shape, k.shape, v.shape) == ((2, 5, 8), (2, 2, 2, 4), (2, 2, 2, 4))
    out, (h, c) = LSTM(4, 6, 2)(torch.zeros(3, 5, 4))
    assert (out.shape, h.shape, c.shape) == ((3, 5, 6), (2, 3, 6), (2, 3, 6))


@every_model
def test_the_future_changes_nothing_before_it(model):
    x = torch.randint(11, (2, 8))
    logits, _ = model(x)
    for t in range(1, 8):
        changed = x.clone()
        changed[:, t:] = (changed[:, t:] + 1 + torch.randint(10, (2, 8 - t))) % 11
        other, _ = model(changed)
        assert torch.equal(logits[:, :t], other[:, :t]), f"the future at {t} leaks"
        assert not torch.equal(logits[:, t], other[:, t]), f"the character at {t} is not read"


@every_model
@pytest.mark.parametrize("pieces", [[1] * 40, [3, 1, 7, 1, 1, 20, 7], [13, 27]])
def test_stream_equals_full_pass(model, pieces):
    """40 characters: beyond the Transformer's context (8) and the TCN's receptive field (29)."""
    if model.position_limit is not None:
        pieces = [1] * 8 if pieces[0] == 1 else [3, 1, 4]  # learned positions end there
    x = torch.randint(11, (2, sum(pieces)))
    full, _ = model(x)
    state, streamed = None, []
    for piece in x.split(pieces, dim=1):
        logits, state = model(piece, state)
        streamed.append(logits)
    assert_close(torch.cat(streamed, dim=1), full, "the stream")


@every_model
def test_a_row_of_a_batch_is_a_batch_of_one(model):
    x = torch.randint(11, (4, 8))
    together, _ = model(x)
    for row in range(4):
        alone, _ = model(x[row : row + 1])
        assert_close(together[row : row + 1], alone, f"row {row}")


@every_model
def test_overfits_one_batch(model):
    model.float().train()
    x = torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(0))
    x[:, 0] = torch.arange(4)  # else two rows start alike, and the second character is a guess
    x, y = x[:, :-1], x[:, 1:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x)[0].flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
    # at most 0.010 with a standard deviation of 0.021 over five seeds, that of no positions
    assert loss < 0.1


@pytest.mark.parametrize(("kernel", "levels"), [(1, 3), (2, 1), (2, 4), (3, 3), (5, 2)])
def test_receptive_field_is_the_formula(kernel, levels):
    torch.manual_seed(0)
    config = TCNConfig(name="m", channels=4, kernel_size=kernel, levels=levels, dropout=0.0)
    model = TCN(3, config).double().eval()
    field = model.receptive_field
    assert field == 1 + 2 * (kernel - 1) * (2**levels - 1)
    with torch.no_grad():  # all positive: no ReLU shuts a path to the past, nothing cancels
        for parameter in model.parameters():
            parameter.abs_()
    assert model.levels_for(field) == levels
    seen = f"receptive field: {field} character{'s'[: field != 1]}"
    needed = f"{levels} level{'s'[: levels != 1]} would do to see a window of {field}"
    assert model.describe_reach(field) == f"{seen} ({needed})"
    x = torch.randint(3, (1, field + 5))
    last = model(x)[0][0, -1]
    seen = []
    for back in range(1, x.shape[1] + 1):
        changed = x.clone()
        changed[0, -back] = (changed[0, -back] + 1) % 3
        seen.append(not torch.equal(model(changed)[0][0, -1], last))
    assert seen == [True] * field + [False] * 5


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_residual_block_is_its_equations(activation):
    torch.manual_seed(0)
    block = ResidualBlock(4, 3, 2, dropout=0.5, activation=activation).double().eval()
    x = torch.randn(2, 4, 9, dtype=torch.float64)
    act = getattr(functional, activation)
    out = x
    for conv in (block.first.conv, block.second.conv):
        out = functional.conv1d(functional.pad(out, (4, 0)), conv.weight, conv.bias, dilation=2)
        out = act(out)
    assert_close(block(x, (None, None))[0], x + out, "the block")


def test_weight_norm_starts_where_the_initialisation_says():
    torch.manual_seed(0)
    conv = CausalConv(64, 64, 3, 1).conv
    expected_std = math.sqrt(2 / (64 * 3))  # Kaiming's for ReLU
    assert conv.weight.std().item() == pytest.approx(expected_std, rel=0.05)
    length, direction = (
        conv.parametrizations.weight.original0,
        conv.parametrizations.weight.original1,
    )
    assert torch.allclose(length.flatten(), direction.flatten(1).norm(dim=1))


def test_attention_equals_the_library():
    torch.manual_seed(0)
    for dtype in TOLERANCE:
        for context in (3, 100):
            attention = CausalAttention(12, 3, context).to(dtype)
            x = torch.randn(2, 10, 12, dtype=dtype, requires_grad=True)
            t = torch.arange(10)
            mask = (t[:, None] >= t) & (t[:, None] - t < context)
            ours, _ = attention(x)
            q, k, v = attention.qkv(x).chunk(3, dim=2)
            q, k, v = (t.view(2, 10, 3, 4).transpose(1, 2) for t in (q, k, v))
            theirs = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            theirs = attention.out(theirs.transpose(1, 2).reshape(2, 10, 12))
            assert_close(ours, theirs, "attention")
            parameters = (x, *attention.parameters())
            weights = torch.randn_like(ours)
            for a, b in zip(
                torch.autograd.grad((ours * weights).sum(), parameters, retain_graph=True),
                torch.autograd.grad((theirs * weights).sum(), parameters),
                strict=True,
            ):
                assert_close(a, b, "a gradient of attention")


def test_band_is_the_drawing():
    drawn = ["11...", "111..", ".111.", "..111"]
    expected = torch.tensor([[mark == "1" for mark in row] for row in drawn])
    assert torch.equal(band(4, 5, 3, torch.device("cpu")), expected)


def test_rotary_scores_depend_on_the_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)

    def score(t, s):
        return (rotate(q, sinusoids(t, 1, 8)) * rotate(k, sinusoids(s, 1, 8))).sum()

    assert torch.allclose(score(7, 3), score(12, 8))
    assert torch.allclose(score(7, 3), score(100_007, 100_003))
    assert not torch.allclose(score(7, 3), score(7, 4))


def test_sinusoids_are_the_papers():
    cos, sin = sinusoids(3, 2, 4)
    angles = torch.tensor([[3, 3 / 100], [4, 4 / 100]], dtype=torch.float64)
    assert torch.allclose(cos, angles.cos())
    assert torch.allclose(sin, angles.sin())


def transformer(vocabulary, **settings):
    config = {"name": "m", "heads": 2, "context": 8, "dropout": 0.0} | settings
    return Transformer(vocabulary, TransformerConfig(**config))


def test_positions_change_what_order_means():
    """Two swapped characters in a single layer: only a model with positions tells the orders apart
    (the last query sees the same set of characters)."""
    for positions, tells in (
        ("none", False),
        ("learned", True),
        ("sinusoidal", True),
        ("rotary", True),
    ):
        torch.manual_seed(0)
        model = transformer(5, width=16, layers=1, positions=positions).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        a, b = (
            model(torch.tensor([[0, 1, 2]]))[0][0, -1],
            model(torch.tensor([[1, 0, 2]]))[0][0, -1],
        )
        assert torch.allclose(a, b) != tells, positions


def test_context_bounds_what_every_layer_sees():
    """2 layers of context 8 see 15 characters: not one more, however long the text."""
    torch.manual_seed(0)
    model = transformer(11, width=16, layers=2, positions="rotary").double().eval()
    x = torch.randint(11, (1, 30))
    last = model(x)[0][0, -1]
    for back, seen in ((15, True), (16, False)):
        changed = x.clone()
        changed[0, -back] = (changed[0, -back] + 1) % 11
        assert torch.allclose(model(changed)[0][0, -1], last, atol=1e-14, rtol=0) != seen


@pytest.mark.parametrize("model", ["learned"], indirect=True)
def test_learned_positions_end_and_start_anew_from_the_last_half(model):
    x = torch.randint(11, (1, 13))
    with pytest.raises(ValueError, match="end at 8"):
        model(x)
    reader = Reader(model)
    logits = torch.cat([reader.read(x[:, :5]), reader.read(x[:, 5:])], dim=1)
    assert reader.restarts == 2  # after 8 characters, and after 12
    assert_close(logits[:, :8], model(x[:, :8])[0], "before the end")
    assert_close(logits[:, 8:12], model(x[:, 4:12])[0][:, 4:], "from the last half on")
    assert_close(logits[:, 12:], model(x[:, 8:13])[0][:, 4:], "after the second end")


def test_model_refuses_widths_that_do_not_fit():
    for width, heads, positions, words in (
        (10, 3, "none", "multiple"),
        (6, 2, "rotary", "even width per head"),
        (5, 1, "sinusoidal", "even --width"),
    ):
        with pytest.raises(SettingError, match=words):
            transformer(5, width=width, heads=heads, layers=1, positions=positions)


def test_one_hot_times_a_matrix_is_a_table_lookup():
    codes, table = torch.randint(7, (3, 5)), torch.randn(7, 4)
    assert torch.equal(one_hot(codes, 7, torch.float32) @ table, table[codes])


def test_lstm_drops_the_hidden_state_inside_the_loop():
    """Step by step beside it: what is dropped of h_t is missing in the output and in step t + 1."""
    lstm, x = LSTM(5, 6, hidden_dropout=0.5), torch.randn(2, 9, 5)
    layer = lstm.layers[0]
    torch.manual_seed(0)
    out, (h_T, c_T) = lstm(x)  # (B, T, H)
    assert 0.3 < (out == 0).double().mean() < 0.7
    torch.manual_seed(0)
    h, c = torch.zeros(2, 6), torch.zeros(2, 6)
    for t in range(9):
        h, c = step(x[:, t] @ layer.W.T + layer.b, h, c, layer.U)
        h = functional.dropout(h, 0.5)  # the same mask, by the seed
        assert_close(out[:, t], h, f"output {t}")
    assert torch.equal(h_T[0], out[:, -1])
    assert_close(c_T[0], c, "the cell")


def test_lstm_without_hidden_dropout_is_what_it_was():
    torch.manual_seed(0)
    dropped, x = LSTM(5, 6, hidden_dropout=0.5).eval(), torch.randn(2, 9, 5)
    plain = LSTM(5, 6)
    plain.load_state_dict(dropped.state_dict())
    assert torch.equal(dropped(x)[0], plain(x)[0])
    dropped.train()
    torch.manual_seed(1)
    stream = dropped(x[:, :1])[0]  # a single step drops, too
    torch.manual_seed(1)
    assert torch.equal(stream, functional.dropout(plain(x[:, :1])[0], 0.5))
