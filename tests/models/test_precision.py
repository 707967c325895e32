"""How exact the layers are: small inputs, and bfloat16 under autocast beside float32."""

import copy

import pytest
import torch

from models.aae import modules as aae
from models.gan import modules as gan
from models.lstm import modules as lstm
from models.lstm.modules import LSTM
from models.palindrome import modules as palindrome
from models.tcn import modules as tcn
from models.transformer import modules as transformer
from models.transformer.attention import attend_fast
from models.transformer.modules import CausalAttention, attend


def build(name, kernel="fast"):
    """A small text model for 1,200 characters and more."""
    if name == "lstm":
        config = lstm.ModelConfig("m", 12, 2, 0.0, "orthogonal", kernel)
        return lstm.Model(11, config)
    if name == "tcn":
        return tcn.Model(11, tcn.ModelConfig("m", 12, 3, 3, 0.0))
    config = transformer.ModelConfig("m", 16, 2, 2, 1201, name, 0.0, kernel=kernel)
    return transformer.Model(11, config)


@pytest.mark.parametrize("kernel", ["fast", "readable"])
@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1e-6, 1e-12])
def test_small_inputs_keep_their_digits(scale, kernel):
    """tanh(a) = a for small a: 2 σ(2a) - 1 would leave it 6e-8 / a of relative precision."""
    torch.manual_seed(0)
    lstm = LSTM(5, 6, kernel=kernel)
    exact = copy.deepcopy(lstm).double()
    x, d_out = scale * torch.randn(3, 7, 5).abs(), torch.randn(3, 7, 6)
    with torch.no_grad():  # all of one sign: nothing cancels, every number has its digits
        for layer in (*lstm.layers, *exact.layers):
            layer.W.abs_()
            layer.U.abs_()
    results = []
    for layer, dtype in ((lstm, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype).requires_grad_()
        out, (_, c) = layer(inputs)
        slopes = torch.autograd.grad(out, [inputs, *layer.parameters()], d_out.abs().to(dtype))
        results.append((out, c, *slopes))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours - theirs).abs() / theirs.abs()).max() < 2e-6


@pytest.mark.parametrize("length", [1, 9, 70, 1200])
@pytest.mark.parametrize("kernel", ["fast", "readable"])
@pytest.mark.parametrize("name", ["lstm", "tcn", "none", "learned", "sinusoidal", "rotary"])
def test_bfloat16_is_near_float32(name, kernel, length):
    """Logits, state and gradients under autocast; several blocks of keys at 1,200 characters."""
    if kernel == "readable" and (name == "tcn" or length > 70):
        pytest.skip("a TCN has one form; the readable ones are slow")
    torch.manual_seed(0)
    model, x = build(name, kernel), torch.randint(11, (1, length))
    results = []
    for precise in (True, False):
        seen = []
        hook = None
        if hasattr(model, "blocks"):
            hook = model.blocks[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))  # noqa: B023
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            logits, state = model(x)
            again, _ = model(x[:, :1], state) if length < 1200 else (logits, None)
        if hook:
            hook.remove()
            assert seen[0][0].dtype == torch.float32, "the residual stream"
        tensors = [t for t in torch.utils._pytree.tree_leaves(state) if torch.is_tensor(t)]
        assert {t.dtype for t in tensors} == {torch.float32}, "the state"
        loss = logits.float().square().mean()
        slopes = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
        results.append([logits.float(), again.float(), *tensors, *slopes])
    largest = max(slope.abs().max() for slope in slopes)
    for exact, half in zip(*results, strict=True):
        assert torch.isfinite(half).all()
        scale = max(exact.abs().max(), 0.05 * largest)
        assert (exact - half).abs().max() <= 0.1 * scale + 1e-6
    assert results[0][0].ne(results[1][0]).any(), "nothing was computed in bfloat16"


@pytest.mark.parametrize("name", ["palindrome", "generator", "discriminator", "autoencoder"])
def test_the_other_networks_in_bfloat16(name):
    torch.manual_seed(0)
    model, x = {
        "palindrome": lambda: (
            palindrome.Model(palindrome.ModelConfig("m", 9, 8, 0.0)),
            torch.randint(10, (5, 9)),
        ),
        "generator": lambda: (gan.Generator(gan.ModelConfig("m", 4)).eval(), torch.randn(5, 4)),
        "discriminator": lambda: (gan.Discriminator(), torch.rand(5, 1, 28, 28)),
        "autoencoder": lambda: (
            aae.Autoencoder(aae.ModelConfig("m", 3, 16)),
            torch.rand(5, 1, 28, 28),
        ),
    }[name]()
    results = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = model(x)
        out = (out[0] if isinstance(out, tuple) else out).float()
        slopes = torch.autograd.grad(out.square().mean(), list(model.parameters()))
        results.append([out, torch.cat([slope.flatten() for slope in slopes])])
    for exact, half in zip(*results, strict=True):
        assert 0 < (exact - half).norm() <= 0.05 * exact.norm()


@pytest.mark.parametrize("kernel", ["fast", "readable"])
@pytest.mark.parametrize("length", [1, 9, 70])
def test_windows_and_single_queries_under_autocast(kernel, length):
    """Attention proper is of float32 in every form: the products around it alone are not."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, n, 8) for n in (length, length + 4, length + 4))
    attention = CausalAttention(16, 2, 3, kernel=kernel)
    x = torch.randn(1, length, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = attend(q, k, v, 3), attend_fast(q, k, v, 3, attend)
        out, (keys, _) = attention(x)
        changed, _ = attention(torch.cat([1 - x[:, :1], x[:, 1:]], dim=1))
        streamed, cache = [], None
        for t in range(length):
            one, cache = attention(x[:, t : t + 1], None, cache)
            streamed.append(one)
    for ours in inside:
        torch.testing.assert_close(ours, attend(q, k, v, 3))
    assert keys.dtype == torch.float32
    assert torch.equal(out[:, 3:], changed[:, 3:]), "the first one is out of sight"
    assert not torch.equal(out[:, 0], changed[:, 0])
    torch.testing.assert_close(torch.cat(streamed, dim=1), out, rtol=0.02, atol=0.02)
