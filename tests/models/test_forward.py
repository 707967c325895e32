"""Every text model in training, against its equations: where dropout falls, of which kind, norms.

By the same seed both draw the same masks, as long as they drop as much in the same order.
"""

import math

import pytest
import torch
from torch.nn import functional

from models.lstm.modules import Model as LSTM
from models.lstm.modules import ModelConfig as LSTMConfig
from models.lstm.modules import step
from models.palindrome.modules import Model as Palindrome
from models.palindrome.modules import ModelConfig as PalindromeConfig
from models.tcn.modules import Model as TCN
from models.tcn.modules import ModelConfig as TCNConfig
from models.transformer.modules import Model as Transformer
from models.transformer.modules import ModelConfig as TransformerConfig
from utils.helper_functions import characters, one_hot

V, B, T, P = 5, 3, 12, 0.4  # symbols, batch, time, dropout


def shaken(model):
    """The model in training and float64, with no weight at its start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.train()


def assert_equations(model, by_hand, codes=V):
    x = torch.randint(codes, (B, T), generator=torch.Generator().manual_seed(2))
    for mode in (True, False):
        model.train(mode)
        torch.manual_seed(1)
        ours = model(x)
        ours = ours[0] if isinstance(ours, tuple) else ours
        torch.manual_seed(1)
        expected = by_hand(x, P if mode else 0.0)
        assert torch.allclose(ours, expected, rtol=1e-9, atol=1e-12)
        assert torch.equal(model(x)[0], model(x)[0]) != mode, "in training alone it drops"


def lengthened(x):
    """One-hot vectors (B, T, V) of mean square 1."""
    return math.sqrt(V) * functional.one_hot(x, V).double()


def test_characters_have_a_mean_square_of_one():
    codes = torch.arange(7)[None]
    vectors = characters(codes, 7, torch.float64)
    assert vectors.square().mean().item() == pytest.approx(1)
    assert torch.equal(one_hot(codes, 7, torch.float64)[0], torch.eye(7, dtype=torch.float64))
    assert torch.allclose(vectors, math.sqrt(7) * one_hot(codes, 7, torch.float64))


def test_the_lstm_drops_between_its_layers_and_before_the_head():
    """Single numbers, each with a mask of its own at every step; nothing before the first layer."""
    config = LSTMConfig(name="m", hidden_size=6, layers=3, dropout=P, recurrent_init="orthogonal")
    model = shaken(LSTM(V, config))

    def by_hand(x, p):
        out = lengthened(x)
        for depth, layer in enumerate(model.lstm.layers):
            if depth > 0:
                out = functional.dropout(out, p)
            h = c = torch.zeros(B, 6, dtype=torch.float64)
            steps = []
            for t in range(T):
                h, c = step(out[:, t] @ layer.W.T + layer.b, h, c, layer.U)
                steps.append(h)
            out = torch.stack(steps).transpose(0, 1)  # masks are drawn in the order of memory
        return functional.dropout(out, p) @ model.head.weight.T + model.head.bias

    assert_equations(model, by_hand)


def test_the_palindromes_lstm_drops_within_the_loop_alone():
    model = shaken(Palindrome(PalindromeConfig(name="m", T=T, hidden_size=6, dropout=P)))

    def by_hand(x, p):
        (layer,) = model.lstm.layers
        h = c = torch.zeros(B, 6, dtype=torch.float64)
        for t in range(T):
            inputs = functional.one_hot(x[:, t], 10).double()
            h, c = step(inputs @ layer.W.T + layer.b, h, c, layer.U)
            h = functional.dropout(h, p)
        return h @ model.head.weight.T + model.head.bias

    assert_equations(model, by_hand, codes=10)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_tcn_drops_whole_channels_after_each_activation(activation):
    config = TCNConfig(
        name="m", channels=6, kernel_size=3, levels=2, dropout=P, activation=activation
    )
    model = shaken(TCN(V, config))
    act = {"relu": functional.relu, "gelu": functional.gelu}[activation]

    def by_hand(x, p):
        hidden = lengthened(x) @ model.embed.weight.T + model.embed.bias
        hidden = hidden.transpose(1, 2)
        for level, block in enumerate(model.blocks):
            out = hidden
            for conv in (block.first.conv, block.second.conv):
                padded = functional.pad(out, (2 * 2**level, 0))
                out = functional.conv1d(padded, conv.weight, conv.bias, dilation=2**level)
                out = functional.dropout1d(act(out), p)  # one mask for all T
            hidden = hidden + out
        return hidden.transpose(1, 2) @ model.head.weight.T + model.head.bias

    assert_equations(model, by_hand)


def test_what_the_tcn_drops_is_gone_for_a_whole_window():
    """Seen from outside: each channel of the sum's second part is zero at all T, or at none."""
    block = shaken(TCN(V, TCNConfig(name="m", channels=40, kernel_size=2, levels=1, dropout=P)))
    block, x = block.blocks[0], torch.randn(B, 40, T, dtype=torch.float64)
    block.activation = torch.sigmoid  # never zero by itself
    added = block(x, (None, None))[0] - x
    zero = added.abs() < 1e-12
    assert torch.equal(zero.any(dim=2), zero.all(dim=2))
    assert 0.2 < zero.all(dim=2).double().mean() < 0.6


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rotary"])
def test_the_transformer_is_its_equations(positions, window):
    """Norms before each sublayer, dropout on the embedding and on what each sublayer adds."""
    config = TransformerConfig(
        name="m", width=8, heads=2, layers=2, context=T, positions=positions, dropout=P,
        window=window,
    )  # fmt: skip
    model = shaken(Transformer(V, config))
    reach = window or T
    t = torch.arange(T)
    hidden_from = (t[:, None] < t) | (t[:, None] - t >= reach)  # (queries, keys)

    def angles(width):
        j = torch.arange(width // 2, dtype=torch.float64)
        return t[:, None] / 10000 ** (2 * j / width)  # (T, width / 2)

    def turn(x):
        """x (..., T, 4): pairs (0, 2) and (1, 3) as complex numbers."""
        first, second = x.chunk(2, dim=-1)
        turned = torch.complex(first, second) * torch.polar(torch.ones(T, 2).double(), angles(4))
        return torch.cat([turned.real, turned.imag], dim=-1)

    def by_hand(x, p):
        hidden = lengthened(x) @ model.embed.weight.T + model.embed.bias
        if positions == "learned":
            hidden = hidden + model.position_table
        if positions == "sinusoidal":
            hidden = hidden + torch.cat([angles(8).sin(), angles(8).cos()], dim=1)
        hidden = functional.dropout(hidden, p)
        for block in model.blocks:
            norm = block.attention_norm
            out = functional.layer_norm(hidden, (8,), norm.weight, norm.bias)
            q, k, v = block.attention.qkv(out).chunk(3, dim=2)
            q, k, v = (part.view(B, T, 2, 4).transpose(1, 2) for part in (q, k, v))
            if positions == "rotary":
                q, k = turn(q), turn(k)
            scores = (q @ k.transpose(2, 3) / 2).masked_fill(hidden_from, -math.inf)
            out = (scores.softmax(dim=3) @ v).transpose(1, 2).reshape(B, T, 8)
            hidden = hidden + functional.dropout(block.attention.out(out), p)
            norm, (up, _, down) = block.mlp_norm, block.mlp
            out = functional.layer_norm(hidden, (8,), norm.weight, norm.bias)
            hidden = hidden + functional.dropout(down(functional.gelu(up(out))), p)
        out = functional.layer_norm(hidden, (8,), model.norm.weight, model.norm.bias)
        return out @ model.head.weight.T + model.head.bias

    assert_equations(model, by_hand)
