"""Autoencoders under autocast: near float32, with latents and sums of full precision."""

import pytest
import torch

from vae.ladder import LadderVAE
from vae.networks import SIDES, VAE, ModelConfig
from vae.residual import ResidualVAE


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("network", SIDES)
def test_bfloat16_is_near_float32(network, batch, levels):
    torch.manual_seed(0)
    shape = (1, SIDES[network], SIDES[network])
    kind = {"ladder": LadderVAE, "residual": ResidualVAE}.get(network, VAE)
    model = kind(shape, ModelConfig("m", network, 3), levels).eval()
    x, epsilon = torch.rand(batch, *shape), torch.randn(batch, model.z_dim)
    results = []
    for precise in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            outputs = model(x, epsilon)
        assert {part.dtype for part in outputs[1:]} == {torch.float32}, "the latents"
        loss = sum(part.float().square().mean() for part in outputs)
        slopes = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
        results.append(([part.float() for part in outputs], slopes))
    (exact, exact_slopes), (half, half_slopes) = results
    for a, b in zip(exact, half, strict=True):
        assert (a - b).abs().max() <= 0.05 * a.abs().max() + 1e-3
    length = torch.stack([slope.norm() for slope in exact_slopes]).norm()
    apart = torch.stack(
        [(a - b).norm() for a, b in zip(exact_slopes, half_slopes, strict=True)]
    ).norm()
    assert 0 < apart <= 0.1 * length
