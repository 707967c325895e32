"""`vae/analysis/disentanglement.py` on latents whose answer is known beforehand."""

import math

import numpy as np
import pytest

from vae.analysis.disentanglement import (
    LEAST,
    SHUFFLES,
    bin_values,
    measure_dci,
    measure_floors,
    measure_information,
    measure_mig,
    name_latents,
)

N = 4000
CATEGORIES = [0, 0, 4]


def uniform(columns, seed=0, rows=N):
    return np.random.default_rng(seed).random((rows, columns))


def three_factors(seed=0):
    """Two continuous factors and one of four categories, all independent."""
    factors = uniform(3, seed)
    factors[:, 2] = np.floor(4 * factors[:, 2])
    return factors


# Counting


def test_bins_are_of_equal_width_and_the_largest_value_is_in_the_last():
    assert bin_values(np.array([0, 4, 5, 10.0]), bins=2).tolist() == [0, 0, 1, 1]
    assert bin_values(np.arange(21.0) - 7).tolist() == [*range(20), 19]
    assert bin_values(np.full(5, 3.7)).tolist() == [0] * 5
    assert bin_values(np.array([2.5])).tolist() == [0]
    skewed = np.array([0, 0.01, 0.02, 1.0])
    assert bin_values(skewed).tolist() == [0, 0, 0, 19], "equal width, not equal count"


def test_bins_do_not_depend_on_the_scale():
    values = uniform(1)[:, 0]
    assert (bin_values(values) == bin_values(1024 * values)).all()
    assert (bin_values(-values) == 19 - bin_values(values)).mean() > 0.99


def test_mutual_information_of_a_table_worked_out_by_hand():
    # The latent says 0 or 1, the factor agrees in 6 of 8 rows: p = 3/8, 1/8, 1/8, 3/8; margins 1/2.
    mu = np.array([0, 0, 0, 0, 1, 1, 1, 1.0])[:, None]
    factor = np.array([0, 0, 0, 1, 0, 1, 1, 1.0])[:, None]
    nats = 2 * 3 / 8 * math.log(3 / 2) + 2 * 1 / 8 * math.log(1 / 2)  # 0.1308
    information = measure_information(mu, factor, [2])
    assert information.nats == pytest.approx(np.array([[nats]]))
    assert information.entropies == pytest.approx([math.log(2)])
    assert information.ratios == pytest.approx(np.array([[nats / math.log(2)]]))


def test_entropies_by_hand():
    factors = np.stack([[0, 0, 1, 2], [5, 5, 5, 5], [0, 1, 2, 3]], axis=1).astype(float)
    nats = measure_information(factors, factors, [3, 0, 4]).entropies
    assert nats == pytest.approx([1.5 * math.log(2), 0, math.log(4)])


def test_a_category_tells_everything_about_itself():
    category = np.random.default_rng(0).integers(0, 6, (500, 1)).astype(float)
    information = measure_information(-3 * category, category, [6])
    assert information.nats[0] == pytest.approx(information.entropies)
    assert information.ratios[0, 0] == pytest.approx(1)


def test_a_uniform_factor_has_the_entropy_of_its_bins():
    factor = np.arange(200.0)[:, None]
    information = measure_information(factor, factor, [0])
    assert information.entropies == pytest.approx([math.log(20)])
    assert information.nats == pytest.approx(np.array([[math.log(20)]]))
    five = measure_information(factor, factor, [0], bins=5)
    assert five.entropies == pytest.approx([math.log(5)])


def test_unrelated_columns_share_no_more_than_the_count_adds():
    nats = measure_information(uniform(5), uniform(2, seed=1), [0, 0]).nats
    assert nats.mean() == pytest.approx(19 * 19 / (2 * N), rel=0.15)


def test_what_does_not_vary_counts_as_0():
    factors = three_factors()
    factors[:, 0], mu = 7.0, factors.copy()
    mu[:, 2] = 0.5
    ratios = measure_information(mu, factors, CATEGORIES).ratios
    assert (ratios[:, 0] == 0).all(), "the factor is constant"
    assert (ratios[2] == 0).all(), "the latent is constant"
    assert ratios[1, 1] == pytest.approx(1)
    assert name_latents(ratios, "xyz") == [None, "y", None]


# Rows that do not count


def test_rows_that_are_not_valid_are_never_looked_at():
    rng = np.random.default_rng(0)
    category = rng.integers(0, 3, 600).astype(float)
    mu = np.stack([category, rng.random(600)], axis=1)
    factors = np.stack([category, rng.random(600)], axis=1)
    bald = np.arange(600) % 3 > 0
    valid = np.repeat(~bald[:, None], 2, axis=1)
    factors[bald, 0] = rng.integers(0, 3, 400)  # noise where nobody has hair
    assert measure_information(mu, factors, [3, 0]).ratios[0, 0] < 0.3
    masked = measure_information(mu, factors, [3, 0], valid)
    assert masked.ratios[0, 0] == pytest.approx(1)
    factors[bald] = np.nan
    again = measure_information(mu, factors, [3, 0], valid)
    assert all(map(np.array_equal, again, masked))
    counts = np.bincount(category[~bald].astype(int)) / 200
    assert masked.entropies[0] == pytest.approx(-(counts * np.log(counts)).sum())
    assert measure_dci(mu, factors, [3, 0], valid).scores[0] == 1


def test_a_factor_without_valid_rows_counts_as_0():
    factors, valid = three_factors(), np.ones((N, 3), dtype=bool)
    valid[:, 2] = False
    ratios = measure_information(factors, factors, CATEGORIES, valid).ratios
    assert ratios.diagonal() == pytest.approx([1, 1, 0])
    found = measure_dci(factors, factors, CATEGORIES, valid)
    assert np.isnan(found.scores).tolist() == [False, False, True]
    assert (found.importance[:, 2] == 0).all()
    assert found.informativeness > 0.99
    assert min(found[:2]) > 0.95, "the empty column must not pull the others down"


# Names


def test_the_thresholds_belong_to_the_names():
    assert name_latents(np.array([[0.25], [0.125]]), "x") == ["x", None]
    assert name_latents(np.array([[0.2499], [0.0]]), "x") == [None, None]
    assert name_latents(np.array([[0.25], [0.1251]]), "x") == [None, None]
    assert name_latents(np.array([[0.1], [0.9], [0.45]]), "x") == [None, "x", None]
    assert name_latents(np.array([[0.375], [0.25]]), "x", least=0.375, lead=1.5) == ["x", None]
    assert name_latents(np.zeros((2, 1)), "x", least=0) == [None, None], "knows nothing, no name"


def test_a_latent_has_one_name_and_a_name_one_latent():
    ratios = np.array([[0.4, 0.6, 0.0, 0.5], [0.1, 0.0, 0.3, 0.5], [0.0, 0.0, 0.1, 0.0]])
    # Latent 0 carries x and y. Latent 1 knows more about hue than about size, but so does latent 0:
    # its name is the one it alone knows.
    assert name_latents(ratios, ["x", "y", "size", "hue"]) == ["y", "size", None]
    assert name_latents(ratios[:, [0, 2, 3]], ["x", "size", "hue"]) == ["x", "size", None]
    assert name_latents(np.array([[0.5, 0.5]]), "xy") == ["x"], "among equals, the first"


def test_mig_by_hand():
    ratios = np.array([[0.9, 0.2, 0.0], [0.1, 0.5, 0.0], [0.3, 0.5, 0.0]])
    mean, gaps = measure_mig(ratios)
    assert gaps == pytest.approx([0.6, 0, 0])
    assert mean == pytest.approx(0.2)
    mean, gaps = measure_mig(ratios, [1, 0])
    assert gaps == pytest.approx([0, 0.6])
    assert mean == pytest.approx(0.3)


# Latents with known answers


def test_perfect_latents_whatever_their_order_scale_and_sign():
    factors = three_factors()
    mu = np.stack([-5 * factors[:, 2], uniform(1, 9)[:, 0], 3 + factors[:, 0], -factors[:, 1]], 1)
    ratios = measure_information(mu, factors, CATEGORIES).ratios
    assert name_latents(ratios, ["x", "y", "hue"]) == ["hue", None, "x", "y"]
    assert measure_mig(ratios)[0] > 0.97
    found = measure_dci(mu, factors, CATEGORIES)
    assert found.disentanglement > 0.97
    assert found.completeness > 0.97
    assert found.informativeness > 0.99
    assert found.importance.argmax(axis=0).tolist() == [2, 3, 0]
    assert found.importance.sum(axis=0) == pytest.approx([1, 1, 1])


def test_random_latents():
    factors, mu = three_factors(), np.random.default_rng(5).normal(size=(N, 6))
    ratios = measure_information(mu, factors, CATEGORIES).ratios
    assert ratios.max() < 0.03
    assert name_latents(ratios, ["x", "y", "hue"]) == [None] * 6
    assert measure_mig(ratios)[0] < 0.01
    found = measure_dci(mu, factors, CATEGORIES)
    assert max(found[:2]) < 0.05
    assert np.abs(found.scores[:2]).max() < 0.1, "R² of a mean that ignores the latents is 0"
    assert found.scores[2] == pytest.approx(1 / 4, abs=0.05), "accuracy of a guess among four"


def test_two_factors_turned_by_45_degrees_are_read_but_have_no_names():
    factors = uniform(2)
    mu = factors @ np.array([[1, 1], [-1, 1]]) / math.sqrt(2)
    ratios = measure_information(mu, factors, [0, 0]).ratios
    assert name_latents(ratios, "xy") == [None, None]
    assert measure_mig(ratios)[0] < 0.02
    found = measure_dci(mu, factors, [0, 0])
    assert max(found[:2]) < 0.05
    assert found.informativeness > 0.9


def test_a_factor_split_over_two_latents_is_less_complete_but_as_disentangled():
    factors = uniform(2)
    u, v = factors.T
    mu = np.stack([np.minimum(u, 0.5), np.maximum(u, 0.5), v], axis=1)
    found = measure_dci(mu, factors, [0, 0])
    assert found.disentanglement > 0.97
    # u: 1 - ln 2 / ln 3 = 0.37 where both halves matter equally; v: 1.
    assert found.completeness == pytest.approx((0.37 + 1) / 2, abs=0.1)
    assert found.informativeness > 0.99
    assert name_latents(measure_information(mu, factors, [0, 0]).ratios, "uv") == [None, None, "v"]


def test_two_factors_in_one_latent_are_less_disentangled_but_complete():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, (N, 2)).astype(float)
    mu = np.stack([3 * factors[:, 0] + factors[:, 1], rng.random(N)], axis=1)  # 9 values, all told
    ratios = measure_information(mu, factors, [3, 3]).ratios
    for f in (0, 1):  # carries both, and is named after one
        assert name_latents(ratios[:, [f]], ["both"]) == ["both", None]
    assert [name is None for name in name_latents(ratios, "xy")] == [False, True]
    assert measure_mig(ratios)[0] > 0.97, "MIG does not mind: each factor is in one latent only"
    found = measure_dci(mu, factors, [3, 3])
    assert found.disentanglement < 0.05
    assert found.completeness > 0.97
    assert found.informativeness == 1


def test_a_single_latent():
    factors = three_factors()
    ratios = measure_information(factors[:, :1], factors, CATEGORIES).ratios
    assert name_latents(ratios, ["x", "y", "hue"]) == ["x"]
    assert measure_mig(ratios, [0])[0] == pytest.approx(1)
    found = measure_dci(factors[:, :1], factors, CATEGORIES)
    assert found.completeness == 1
    assert found.scores[0] > 0.99
    assert measure_dci(factors[:, :1], factors[:, :1], [0]).disentanglement == 1


def test_collapsed_latents_have_nothing():
    factors, mu = three_factors(), np.zeros((N, 2))
    assert measure_mig(measure_information(mu, factors, CATEGORIES).ratios) == (
        0,
        pytest.approx([0, 0, 0]),
    )
    found = measure_dci(mu, factors, CATEGORIES)
    assert found[:2] == (0, 0)
    assert found.scores[0] == pytest.approx(0, abs=0.01)


def test_the_same_seed_gives_the_same_numbers():
    factors = three_factors()[:800]
    mu = factors + 0.3 * np.random.default_rng(1).normal(size=factors.shape)
    first, again, other = (measure_dci(mu, factors, CATEGORIES, seed=seed) for seed in (3, 3, 4))
    assert (first.importance == again.importance).all()
    assert (first.scores == again.scores).all()
    assert (first.importance != other.importance).any()
    alone = measure_dci(mu, factors[:, 1:2], [0], seed=3)
    assert alone.scores[0] == first.scores[1], "a factor's score depends on no other factor"


def test_what_does_not_fit_is_an_error():
    mu, factors = uniform(2, rows=30), uniform(2, rows=30)
    for measure in (measure_information, measure_dci):
        with pytest.raises(ValueError, match="mu"):
            measure(mu[:-1], factors, [0, 0])
        with pytest.raises(ValueError, match="mu"):
            measure(mu[:, 0], factors, [0, 0])
        with pytest.raises(ValueError, match="finite"):
            measure(mu * np.nan, factors, [0, 0])
        with pytest.raises(ValueError, match="category counts"):
            measure(mu, factors, [0])
        with pytest.raises(ValueError, match="valid"):
            measure(mu, factors, [0, 0], np.ones((30, 1), dtype=bool))
        with pytest.raises(ValueError, match="bool"):
            measure(mu, factors, [0, 0], np.ones((30, 2)))
        with pytest.raises(ValueError, match=r"numbers other than 0\.\.2"):
            measure(mu, factors, [0, 3])
    with pytest.raises(ValueError, match="factors"):
        measure_information(mu, factors[:, 0], [0])
    with pytest.raises(ValueError, match="finite"):
        measure_information(mu, factors * np.inf, [0, 0])
    with pytest.raises(ValueError, match="no factor varies"):
        measure_dci(mu, np.zeros((30, 2)), [0, 2])
    with pytest.raises(ValueError, match="names for"):
        name_latents(np.zeros((2, 3)), ["x"])
    with pytest.raises(ValueError, match="ratios"):
        name_latents(np.zeros(3), "xyz")
    with pytest.raises(ValueError, match="at least one"):
        measure_mig(np.zeros((2, 3)), [])


# Chance


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 64])
def test_no_latent_is_named_after_what_it_does_not_know(rows):
    """20 sets of few rows each, and of one to twenty latents: chance makes shares of a half."""
    largest = 0
    for seed, columns in enumerate([1, 2, 3, 20] * 5):
        factors = three_factors(seed)[:rows]
        mu = np.random.default_rng(100 + seed).standard_t(3, size=(rows, columns))
        ratios = measure_information(mu, factors, CATEGORIES).ratios
        floors = measure_floors(mu, factors, CATEGORIES)
        largest = max(largest, ratios.max())
        assert name_latents(ratios, ["x", "y", "hue"], floors=floors) == [None] * columns
    assert rows < 8 or largest > LEAST, "without floors some would have been"


def test_a_latent_that_knows_keeps_its_name_among_few_rows():
    factors = three_factors()[:64]
    mu = np.concatenate([factors, uniform(3, seed=1)[:64]], axis=1)
    ratios = measure_information(mu, factors, CATEGORIES).ratios
    floors = measure_floors(mu, factors, CATEGORIES)
    names = name_latents(ratios, ["x", "y", "hue"], lead=1.2, floors=floors)
    assert names == ["x", "y", "hue", None, None, None]


def test_floors_are_what_shuffled_factors_have():
    """By their definition, counted again: all orders come from the same distribution."""
    factors, mu = three_factors()[:50], uniform(4, seed=1)[:50]
    floors = measure_floors(mu, factors, CATEGORIES)
    rng = np.random.default_rng(7)
    again = []
    for _ in range(SHUFFLES):
        shuffled = np.stack([rng.permutation(column) for column in factors.T], axis=1)
        again.append(measure_information(mu, shuffled, CATEGORIES).ratios)
    best = np.stack(again).max(axis=1)  # (SHUFFLES, F), 0.05 in standard deviation
    assert floors.chance == pytest.approx(best.mean(axis=0), abs=0.015)
    assert (floors.ratios > floors.chance).all()
    assert floors.ratios == pytest.approx(best.max(axis=0), abs=0.15)
    gaps = np.stack([measure_mig(table)[1] for table in again])
    assert floors.gaps.shape == gaps.shape == (SHUFFLES, 3)
    assert floors.gaps.mean(axis=0) == pytest.approx(gaps.mean(axis=0), abs=0.02)


def test_floors_of_many_rows_are_low_and_of_a_seed_the_same():
    factors = three_factors()
    floors = measure_floors(factors, factors, CATEGORIES)
    assert floors.ratios.max() < 0.03
    assert floors.gaps.max() < 0.02
    assert all(map(np.array_equal, floors, measure_floors(factors, factors, CATEGORIES)))
    other = measure_floors(factors, factors, CATEGORIES, seed=1)
    assert not np.array_equal(floors.gaps, other.gaps)


def test_only_valid_rows_are_shuffled():
    factors, valid = three_factors()[:200], np.ones((200, 3), dtype=bool)
    valid[50:, 0], valid[:, 1] = False, False
    floors = measure_floors(factors, factors, CATEGORIES, valid)
    alone = measure_floors(factors[:50], factors[:50], CATEGORIES)
    assert floors.ratios[0] == pytest.approx(alone.ratios[0], abs=0.05)  # but for its bins
    assert floors.ratios[1] == floors.gaps[:, 1].max() == 0
    factors[50:, 0] = np.nan
    mu = three_factors()[:200]
    assert np.array_equal(floors.ratios, measure_floors(mu, factors, CATEGORIES, valid).ratios)
