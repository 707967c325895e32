"""What autoencoders and their losses are given by mistake, or in another precision."""

import pytest
import torch

from vae.ladder import LadderVAE
from vae.losses import kl_per_dim, log_normal, reconstruction
from vae.networks import SIDES, VAE, ModelConfig
from vae.residual import ResidualVAE


@pytest.mark.parametrize("network", SIDES)
def test_every_part_says_what_it_takes(network):
    side = SIDES[network]
    kind = {"ladder": LadderVAE, "residual": ResidualVAE}.get(network, VAE)
    model = kind((1, side, side), ModelConfig("m", network, 3)).eval()
    x, z = torch.rand(2, 1, side, side), torch.randn(2, model.z_dim)
    for part, right in ((model, x), (model.encode, x), (model.decode, z)):
        part(right)
        part(right[:0])  # a batch of none
        for wrong in (right[..., :-1], right[0], right.double(), (255 * right).byte()):
            with pytest.raises(ValueError, match=r"are \(.*, expected \(B, .* of torch.float32"):
                part(wrong)
        with pytest.raises(TypeError, match="are a list, expected a tensor"):
            part(right.tolist())
    with pytest.raises(ValueError, match=r"expected \(B, 1, "):
        model(x.expand(2, 3, side, side))
    for noise in (z[:, :1], z.double(), z[:1]):  # none is spread over latents or pictures
        with pytest.raises(ValueError, match=r"the noise is .* expected"):
            model(x, noise)
    double = model.double()
    assert double(x.double()).logits.dtype == torch.float64


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "categorical"])
def test_losses_are_computed_in_float32(likelihood):
    torch.manual_seed(0)
    x = torch.randint(4, (3, 1, 16, 16)) / 3
    logits = torch.randn(3, 1, 16, 16, *([4] if likelihood == "categorical" else []))
    logits = logits.bfloat16()
    nats = reconstruction(logits, x, likelihood)
    assert nats.dtype == torch.float32
    assert torch.equal(nats, reconstruction(logits.float(), x, likelihood))
    assert reconstruction(logits.double(), x.double(), likelihood).dtype == torch.float64
    with pytest.raises(ValueError, match="pictures are"):
        reconstruction(logits, x[:1], likelihood)
    mu, logvar = torch.randn(2, 3, 5).bfloat16()
    for loss in (kl_per_dim(mu, logvar), log_normal(mu, mu, logvar)):
        assert loss.dtype == torch.float32
    assert torch.equal(kl_per_dim(mu, logvar), kl_per_dim(mu.float(), logvar.float()))
