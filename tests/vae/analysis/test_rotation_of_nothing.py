"""Latents that tell nothing, or too much, give no turn but a line that says so."""

import pytest
import torch

from utils.errors import UserError
from vae.analysis.rotation import Rotation

YAW = torch.linspace(-45, 45, 30)
NARROW = torch.full((30, 2), -1e6)  # variance 0
BAD = {
    "all alike": (torch.zeros(30, 2), torch.zeros(30, 2)),
    "singular": (torch.ones(30, 2), NARROW),
    "infinitely wide": (torch.randn(30, 2), torch.full((30, 2), 1e4)),
}


@pytest.mark.parametrize(("mu", "logvar"), BAD.values(), ids=BAD)
def test_no_turn_is_learned(mu, logvar):
    with pytest.raises(UserError, match="all alike, or beyond all numbers"):
        Rotation.by_regression(mu, logvar, YAW)


def test_no_turn_is_learned_by_mirroring():
    for mu, logvar in (BAD["singular"], BAD["infinitely wide"]):
        with pytest.raises(UserError, match="all alike, or beyond all numbers"):
            Rotation.by_mirroring(mu, logvar, -mu)
