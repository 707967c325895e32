"""What a latent does, in a table: on an autoencoder whose latents are known."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.images.data import Images
from vae.analysis.latents import Analysis, analyse, label_row
from vae.faces.factors import NAMES, column, sample_factors
from vae.networks import Outputs, Posterior


class Reading(nn.Module):
    """Encodes a picture's pixels as they are: three latents, of falling size."""

    z_dim, levels = 3, None

    def __init__(self):
        super().__init__()
        self.sizes = nn.Parameter(torch.tensor([0.5, 4.0, 0.0]))

    def encode(self, x):
        mu = (x.flatten(1) - 0.5) * self.sizes
        return Posterior(mu, torch.zeros_like(mu))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return Outputs(mu, mu, mu, logvar)


@pytest.fixture
def pictures():
    """Of three pixels: the yaw, whether there is a hat, and noise; with the factors they show."""
    factors = sample_factors(2000, seed=0)
    yaw, hat = column(factors, "yaw") / 90 + 0.5, column(factors, "hat")
    noise = torch.rand(2000, generator=torch.Generator().manual_seed(1))
    pixels = (255 * torch.stack([yaw, hat, noise], dim=1)).round().byte()[:, None, None]
    return Images(pixels.numpy(), "known", factors.numpy())


def test_latents_are_named_and_measured(pictures):
    analysis = analyse(Reading(), pictures)
    x = pictures.floats()[:, 0, 0] - 0.5
    expected = (x * torch.tensor([0.5, 4.0, 0.0])).square().mean(dim=0) / 2
    assert analysis.kl_nats.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert analysis.names == ["yaw", "hat", None]
    yaw, hat = NAMES.index("yaw"), NAMES.index("hat")
    assert analysis.ratios[0, yaw] > 0.95
    assert analysis.information_nats[0, yaw] == pytest.approx(np.log(20), rel=0.05)
    assert analysis.information_nats[1, hat] == pytest.approx(np.log(2), rel=0.01)
    assert analysis.ratios[1, hat] == pytest.approx(1)
    assert analysis.scores["active_units"] == 2
    assert analysis.scores["kl_nats"] == pytest.approx(expected.sum().item(), rel=1e-4)
    assert 1.5 / 7 < analysis.scores["mig"] < 2.1 / 7, "two of the seven factors are known"


def test_without_factors_there_are_no_names(pictures):
    analysis = analyse(Reading(), Images(pictures.pixels, "unknown"))
    assert analysis.names == [None] * 3
    assert analysis.information_nats.shape == (3, 0)
    assert analysis.scores.keys() == {"active_units", "kl_nats"}


def test_rows_come_by_falling_kl():
    kl, nats = np.array([0.009, 2.0, 0.5]), np.zeros((3, len(NAMES)))
    nats[1, 0] = 1.25
    rows = Analysis(kl, nats, nats / 2, [None, "yaw", None], {}, factors=NAMES).rows()
    assert [row["latent"] for row in rows] == [1, 2, 0]
    assert [row["active"] for row in rows] == [True, True, False]
    assert (rows[0]["yaw_information_nats"], rows[0]["yaw_share"]) == (1.25, 0.625)
    assert label_row(rows[0]) == "z1   2.00 nats\nyaw 0.62"
    assert label_row(rows[1]) == "z2   0.50 nats"
    assert label_row(rows[2]) == "z0   0.01 nats\n(not active)"
