"""Between pictures and latents, in numbers: means, samples, reconstructions, sweeps."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from utils.images.data import Images
from vae.analysis.latents import sweep
from vae.latents import (
    encode,
    generate,
    measure_kl,
    measure_reconstruction,
    reconstruct,
    sample_levels,
    take_likeliest,
    take_mean,
)
from vae.losses import kl_per_dim
from vae.networks import Outputs, Posterior


class Plain(nn.Module):
    """An autoencoder to reckon with: z is the mean of a picture and its double, log of 1/4.

    The decoder gives every pixel the logit z_0 - 0.5 z_1, which is 0 for what was encoded.
    """

    z_dim, levels = 2, None

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.5)  # would be seen if it were not evaluated

    def encode(self, x):
        mean = x.flatten(1).mean(dim=1, keepdim=True)
        mu = self.dropout(torch.cat([mean, 2 * mean], dim=1)) + self.shift
        return Posterior(mu, torch.full_like(mu, math.log(0.25)))

    def decode(self, z):
        assert not torch.is_grad_enabled()
        return (z[:, 0] - 0.5 * z[:, 1])[:, None, None, None].expand(-1, 1, 2, 3)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return Outputs(self.decode(mu), mu, mu, logvar)


def pictures(count=600):
    """Of 2 x 3 pixels, all of a picture as bright: 0, 1/5 or 1."""
    values = np.resize(np.array([0, 51, 255], dtype=np.uint8), count)
    values[-88:] = 255  # of the last, incomplete part
    return Images(np.broadcast_to(values[:, None, None, None], (count, 1, 2, 3)).copy(), "plain")


def test_the_error_of_a_reconstruction_in_numbers():
    """Decoded is 1/2 everywhere: ln 2 for each of 6 pixels, and (x - 1/2)² on average."""
    images, model = pictures(), Plain().train()
    x = images.floats().double()[:, 0, 0, 0]
    nats, squared = measure_reconstruction(model, images, "bernoulli")
    assert nats == pytest.approx(6 * math.log(2), rel=1e-6)
    assert squared == pytest.approx(((x - 0.5) ** 2).mean().item(), rel=1e-6)
    nats, _ = measure_reconstruction(model, images, "gaussian")
    assert nats == pytest.approx(6 * ((x - 0.5) ** 2).mean().item() / 2, rel=1e-6)
    assert torch.equal(reconstruct(model, images), torch.full((600, 1, 2, 3), 0.5))
    assert model.training


def test_every_picture_is_encoded_once_in_its_order():
    images = pictures()
    mu, logvar = encode(Plain().train(), images, part=256)
    mean = images.floats()[:, 0, 0, :1]
    assert torch.allclose(mu, torch.cat([mean, 2 * mean], dim=1))
    assert torch.allclose(logvar, torch.full((600, 2), math.log(0.25)))


def test_the_kl_is_the_mean_over_pictures():
    images = pictures()
    mu, logvar = encode(Plain(), images)
    expected = kl_per_dim(mu, logvar).double().mean(dim=0)
    state = torch.get_rng_state()
    found = measure_kl(Plain(), images)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert torch.equal(state, torch.get_rng_state())


def test_the_mean_of_levels():
    """Levels 0, 1/3, 2/3 and 1 with the probabilities 0.1, 0.2, 0.3 and 0.4."""
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(2, 1, 5, 5, 4)
    assert torch.allclose(take_mean(logits), torch.full((2, 1, 5, 5), 2 / 3))
    assert torch.allclose(take_likeliest(logits), torch.ones(2, 1, 5, 5))
    assert torch.allclose(take_likeliest(-logits), torch.zeros(2, 1, 5, 5))
    plain = torch.full((2, 1, 5, 5), math.log(3))
    assert torch.allclose(take_mean(plain), torch.full((2, 1, 5, 5), 0.75))


def test_levels_are_sampled_as_often_as_they_are_likely():
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    logits = probabilities.log().expand(1, 1, 100, 100, 4)
    sampled = sample_levels(seed=5)(logits)
    shares = torch.bincount((3 * sampled).round().long().flatten(), minlength=4) / 10_000
    assert torch.allclose(shares, probabilities, atol=0.02)  # four standard deviations
    assert torch.equal(sampled, sample_levels(seed=5)(logits))
    assert not torch.equal(sampled, sample_levels(seed=6)(logits))


def test_what_is_generated_is_decoded_from_the_prior():
    pictures = generate(Plain(), 500, seed=3)
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(3))
    expected = torch.sigmoid(z[:, 0] - 0.5 * z[:, 1])
    assert torch.allclose(pictures[:, 0, 1, 2], expected)


def test_a_sweep_changes_one_latent_at_a_time():
    z, values = torch.tensor([0.3, -0.8]), torch.tensor([-3.0, 0.0, 1.0])
    swept = sweep(Plain(), z, [1, 0], values)
    assert swept.shape == (2, 3, 1, 2, 3)
    of_second, of_first = torch.sigmoid(0.3 - 0.5 * values), torch.sigmoid(values + 0.4)
    assert torch.allclose(swept[:, :, 0, 0, 0], torch.stack([of_second, of_first]))
    assert z.tolist() == pytest.approx([0.3, -0.8]), "the face itself stays"
