"""How good digits are in numbers, by hand and on sets whose distance is known."""

import math

import numpy as np
import pytest
import torch

from utils.digits.quality import (
    describe_shares,
    frechet_distance,
    measure_discrepancy,
    measure_moments,
    take_root,
)


def test_frechet_distance_by_hand():
    # one feature: (3 - 1)² + (2 - 5)²
    one = (torch.tensor([3.0]).double(), torch.tensor([[4.0]]).double())
    two = (torch.tensor([1.0]).double(), torch.tensor([[25.0]]).double())
    assert frechet_distance(one, two) == pytest.approx(13)
    # covariances that do not commute: trace((S T)^½) from the eigenvalues of S T itself
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 4))
    S, T, m = a @ a.T, b @ b.T, rng.normal(size=4)
    expected = (
        (m**2).sum() + np.trace(S + T) - 2 * np.sqrt(np.linalg.eigvals(S @ T).astype(complex)).sum()
    ).real
    gaussians = [
        (torch.from_numpy(mean), torch.from_numpy(matrix))
        for mean, matrix in ((m, S), (np.zeros(4), T))
    ]
    assert frechet_distance(*gaussians) == pytest.approx(expected)
    assert torch.allclose(
        take_root(torch.from_numpy(S)) @ take_root(torch.from_numpy(S)), gaussians[0][1]
    )


def test_frechet_distance_of_a_set_to_itself_is_nothing():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 128, generator=generator).relu()
    features[:, ::3] = 0  # features that are never on make the covariance singular
    assert frechet_distance(measure_moments(features), measure_moments(features)) == pytest.approx(
        0, abs=1e-6
    )
    assert frechet_distance(
        measure_moments(features), measure_moments(features + 1)
    ) == pytest.approx(128)
    mean, covariance = measure_moments(features)
    assert mean.dtype == torch.float64
    assert np.allclose(covariance.numpy(), np.cov(features.numpy().T), atol=1e-6)


def test_discrepancy_is_unbiased_and_sees_a_shift():
    generator = torch.Generator().manual_seed(0)
    same = [
        measure_discrepancy(
            torch.randn(200, 3, generator=generator), torch.randn(150, 3, generator=generator)
        )
        for _ in range(40)
    ]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(40)
    x, y = torch.randn(2, 500, 3, generator=generator)
    assert measure_discrepancy(x, y + 0.5) > 5 * max(same)
    assert measure_discrepancy(x, y, part=7) == pytest.approx(measure_discrepancy(x, y))
    # by hand, Z = 1: distance 1 within x, 2 within y, and between them 0, 2, 1 and 1
    k0, k1, k2 = 1.0, math.exp(-0.5), math.exp(-2.0)
    found = measure_discrepancy(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]]))
    assert found == pytest.approx(k1 + k2 - 2 * (k0 + k2 + 2 * k1) / 4)


def test_shares_in_words():
    assert describe_shares([0.1] * 10).endswith("9: 10.0 %; every digit above 5 %")
    few = describe_shares([0.04, 0.86, 0.05, 0, 0, 0, 0, 0, 0, 0])
    assert few.endswith("below 5 %: 0, 3, 4, 5, 6, 7, 8, 9")
