"""What the GAN and the AAE share: which digits they see, how pictures are drawn and judged."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.digits.quality import Judge
from utils.digits.training import DataConfig, generate_pictures, load_digits, sample_pictures
from utils.images.mnist import digits


def rows_of(images):
    return [row.tobytes() for row in images.pixels]


def test_a_tenth_of_the_training_pictures_is_held_out_and_the_test_set_is_not_touched():
    whole, test = digits("digits")
    training, validation = load_digits(DataConfig(dataset="digits"))
    assert len(validation) == round(0.1 * len(whole))
    assert sorted(rows_of(training) + rows_of(validation)) == sorted(rows_of(whole))
    assert not set(rows_of(training)) & set(rows_of(validation))
    assert not set(rows_of(training) + rows_of(validation)) & set(rows_of(test))
    again = load_digits(DataConfig(dataset="digits"))
    assert np.array_equal(again[1].pixels, validation.pixels), "whatever the seed of a run"


class Normalising(nn.Module):
    """Its pictures would depend on one another, were they not drawn in evaluation."""

    z_dim = 2

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def generate(self, z):
        return torch.sigmoid(self.norm(z).sum(dim=1))[:, None, None, None].expand(-1, 1, 28, 28)


def test_pictures_are_drawn_from_the_prior_by_their_seed():
    model = Normalising().train()
    drawn = sample_pictures(model, 2500, seed=4)
    z = torch.randn(2500, 2, generator=torch.Generator().manual_seed(4))
    expected = torch.sigmoid(z.sum(dim=1) / (1 + 1e-5) ** 0.5)
    assert torch.allclose(drawn[:, 0, 3, 4], expected, atol=1e-6)
    assert torch.allclose(generate_pictures(model, z, part=7), drawn)
    assert model.training
    assert (model.norm.running_mean == 0).all()
    assert expected.mean().item() == pytest.approx(0.5, abs=0.03)


def test_a_judge_knows_the_pictures_it_compares_with():
    """Their distance to themselves is 0; of what is not drawn at all the share is 0."""
    images = digits("digits")[1]
    judge = Judge("digits", images)
    distance, shares = judge.score(images.floats())
    assert distance == pytest.approx(0, abs=1e-3)
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1)
    few = images.take(np.flatnonzero((images.labels == 1) | (images.labels == 4)))
    distance, shares = judge.score(few.floats())
    assert distance > 1
    expected = [np.mean(few.labels == digit) for digit in range(10)]
    assert shares == pytest.approx(expected, abs=0.06)
    assert len(shares) == 10
