"""Which latent carries which factor, measured instead of judged by eye.

Three measures on posterior means mu (N, Z) of images whose true factors (N, F) are known:
  names  a latent is named after a factor it alone knows much about (`measure_information`,
         `name_latents`);
  floors  what the same measures find where there is nothing to find, in shuffled factors
         (`measure_floors`);
  MIG    Chen et al. 2018, Isolating Sources of Disentanglement in VAEs, equation 6 (`measure_mig`),
         there on samples of z; on binned means as in Locatello et al. 2019, Challenging Common
         Assumptions in the Unsupervised Learning of Disentangled Representations;
  DCI    Eastwood & Williams 2018, A Framework for the Quantitative Evaluation of Disentangled
         Representations (`measure_dci`).

Arguments of `measure_information`, `measure_floors` and `measure_dci`:
  mu          (N, Z) finite floats, one row per image.
  factors     (N, F): column f is continuous, or holds the numbers 0..K-1 of K categories.
  categories  (F,): the number of categories K of each factor, 0 for a continuous one.
  valid       (N, F) bool, the rows that count for a factor: hair colour only on heads with hair.
              None: all rows. What stands in the other rows is never looked at, NaN included.

Only the shape of the means counts, not their size, nor the posterior's width. A collapsed latent
whose means move by 0.001 while its sigma is 1 can therefore earn a name that no sample shows:
set the columns of inactive units to 0 first. A constant column carries nothing here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

LEAST, LEAD = 0.25, 2.0  # a named latent's ratio, and how many times the next latent's it is
SHUFFLES = 400  # of each factor
TREES = 20
LEAF = 5  # images per leaf at least: smaller ones fit noise and hand importance to every latent


class Information(NamedTuple):
    """What the latents know of the factors, counted on tables of latent bins by factor bins."""

    nats: np.ndarray  # (Z, F), I(latent; factor)
    entropies: np.ndarray  # (F,), H(factor) in nats, at most ln 20 = 3.0 for 20 bins
    ratios: np.ndarray  # (Z, F) in 0..1, I / H; 0 where a factor does not vary


class Floors(NamedTuple):
    """What `measure_floors` finds in shuffled factors."""

    ratios: np.ndarray  # (F,), the largest that any latent has, in any of the orders
    chance: np.ndarray  # (F,), the largest that any latent has, the mean over the orders
    gaps: np.ndarray  # (SHUFFLES, F), the best latent's ratio minus the next one's, in each order


class DCI(NamedTuple):
    """What `measure_dci` finds. The first two are in 0..1 and 1 is best."""

    disentanglement: float  # each latent serves one factor
    completeness: float  # each factor sits in one latent
    informativeness: float  # mean of `scores` over the factors that vary
    importance: np.ndarray  # (Z, F), each column sums to 1, or to 0 where nothing could be learned
    scores: np.ndarray  # (F,) on held-out images: R² if continuous, else accuracy; NaN: not varying


def bin_values(values: np.ndarray, bins: int = 20) -> np.ndarray:
    """Sorts values (N,) into bins 0..bins-1 of equal width, from the smallest to the largest.

    With 2 bins, (0, 4, 5, 10) become (0, 0, 1, 1). A constant column becomes all zeros.
    """
    if len(values) == 0 or values.min() == values.max():
        return np.zeros(len(values), dtype=np.int64)
    share = (values - values.min()) / (values.max() - values.min())
    # The largest value closes the last bin instead of opening one more.
    return np.minimum((share * bins).astype(np.int64), bins - 1)


def measure_information(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    bins: int = 20,
) -> Information:
    """Measures how much each latent knows of each factor.

    A latent's bins span all its rows, a factor's its valid rows. The information is never below 0
    and so a little high for unrelated columns: by about (20-1)(20-1)/2N = 0.036 nats at N = 5,000
    valid rows. Compare models at the same N.
    """
    mu, factors, valid = _check(mu, factors, categories, valid)
    latents = _bin_latents(mu, bins)
    nats, entropies = np.zeros((mu.shape[1], factors.shape[1])), np.zeros(factors.shape[1])
    for f, values in enumerate(_bin_factors(factors, categories, valid, bins)):
        nats[:, f] = _count_information(latents[valid[:, f]], values, bins)
        entropies[f] = _entropies(np.bincount(values) / max(1, len(values)))
    ratios = np.divide(nats, entropies, out=np.zeros_like(nats), where=entropies > 0)
    return Information(nats, entropies, np.clip(ratios, 0, 1))


def measure_floors(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    bins: int = 20,
    seed: int = 0,
) -> Floors:
    """Measures what chance alone would find: each factor in SHUFFLES random orders of its rows.

    A name's floor is the largest ratio that any latent has of the shuffled factor. Were latents and
    factors unrelated, a real one would be above its floor in F cases of SHUFFLES + 1: a permutation
    test, as right for many latents as for few, and for any number of images (of a few dozen, chance
    makes ratios of a half). The gaps are those of `measure_mig` in each of the orders.
    """
    mu, factors, valid = _check(mu, factors, categories, valid)
    latents, rng = _bin_latents(mu, bins), np.random.default_rng(seed)
    tables = np.zeros((SHUFFLES, mu.shape[1], factors.shape[1]))
    for f, values in enumerate(_bin_factors(factors, categories, valid, bins)):
        entropy = _entropies(np.bincount(values) / max(1, len(values)))
        for table in tables if entropy > 0 else ():
            shuffled = rng.permutation(values)
            table[:, f] = _count_information(latents[valid[:, f]], shuffled, bins) / entropy
    gaps = np.stack([measure_mig(table)[1] for table in tables])
    best = tables.max(axis=1)  # (SHUFFLES, F)
    return Floors(best.max(axis=0), best.mean(axis=0), gaps)


def name_latents(
    ratios: np.ndarray,
    factor_names: Sequence[str],
    least: float = LEAST,
    lead: float = LEAD,
    floors: Floors | None = None,
) -> list[str | None]:
    """Names each of the Z latents after the factor it carries; None where it carries none.

    A latent carries a factor if its ratio (Z, F) is at least `least`, and at least `lead` times
    that of the next latent for this factor. Of several, the one with the largest ratio is its name
    (the first, among equals): no latent has two names, and no two latents share one. With `floors`
    the ratio is also above the factor's floor, and at least `least` above its mean by chance.
    """
    leaders = _find_leaders(ratios)
    if len(factor_names) != len(leaders):
        raise ValueError(f"{len(factor_names)} names for {len(leaders)} factors")
    needed = np.full(len(leaders), least)
    if floors is not None:  # the next float, since a floor itself, 1 included, is chance
        needed = np.maximum(np.nextafter(floors.ratios, np.inf), least + floors.chance)
    names, held = [None] * len(ratios), np.zeros(len(ratios))
    for name, enough, (z, first, second) in zip(factor_names, needed, leaders, strict=True):
        if first >= enough and first >= lead * second and first > held[z]:
            names[z], held[z] = name, first
    return names


def measure_mig(
    ratios: np.ndarray, columns: Sequence[int] | None = None
) -> tuple[float, np.ndarray]:
    """Measures the mutual information gap, in 0..1: its mean, and that of each factor (F,).

    The gap is the largest ratio (Z, F) minus the next (Chen et al. 2018, equation 6). `columns`
    chooses factors, all by default; leave out those that do not vary, they would count as 0.
    """
    gaps = np.array([first - second for _, first, second in _find_leaders(ratios)])
    if columns is not None:
        gaps = gaps[list(columns)]
    if len(gaps) == 0:
        raise ValueError("MIG needs at least one factor")
    return float(gaps.mean()), gaps


def measure_dci(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    seed: int = 0,
) -> DCI:
    """Measures how well forests of trees read the factors from the latents, and from which.

    One forest per factor, learned on a random half of its valid rows; R (Z, F) holds how much each
    latent lowers its trees' impurity. The other half gives the scores: R² for a continuous factor
    (0: no better than its mean, below 0 possible), accuracy for a categorical one (chance is not 0
    but the share of the largest category). With P the rows or columns of R scaled to sum 1:
      D = sum_z share_z · (1 - H_F(P_z)), H to the base F, share_z = latent z's share of all of R;
      C = sum_f share_f · (1 - H_Z(P_f)), H to the base Z; the shares are equal, the mean over f.
    A latent without importance has share 0. With F = 1, D is 1, and with Z = 1, C is 1, if anything
    was learned at all; otherwise both are 0. A factor nobody encodes lowers D and C: its forest
    splits on noise, in every latent.
    """
    mu, factors, valid = _check(mu, factors, categories, valid)
    importance = np.zeros((mu.shape[1], factors.shape[1]))
    scores = np.full(factors.shape[1], np.nan)
    for f, count in enumerate(categories):
        # Its own generator: what is measured for one factor depends on no other column.
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(valid[:, f]))
        train, test = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        y = factors[:, f]
        if min(len(np.unique(y[train])), len(np.unique(y[test]))) < 2:
            continue
        # All latents compete for each split: with a random few, the useless ones would win some.
        kind = RandomForestClassifier if count > 0 else RandomForestRegressor
        forest = kind(TREES, min_samples_leaf=LEAF, max_features=None, random_state=seed)
        forest.fit(mu[train], y[train])
        importance[:, f] = forest.feature_importances_
        scores[f] = forest.score(mu[test], y[test])
    if np.isnan(scores).all():
        raise ValueError("no factor varies on its valid rows: nothing to measure")
    return DCI(
        disentanglement=_concentrate(importance),
        completeness=_concentrate(importance.T),
        informativeness=float(np.nanmean(scores)),
        importance=importance,
        scores=scores,
    )


def _bin_latents(mu: np.ndarray, bins: int) -> np.ndarray:
    """Sorts latents (N, Z) into bins, each column over its whole range."""
    return np.stack([bin_values(column, bins) for column in mu.T], axis=1)


def _bin_factors(
    factors: np.ndarray, categories: Sequence[int], valid: np.ndarray, bins: int
) -> Iterator[np.ndarray]:
    """Yields the categories, or the bins, of each factor's valid rows."""
    for f, count in enumerate(categories):
        values = factors[valid[:, f], f]
        yield values.astype(np.int64) if count > 0 else bin_values(values, bins)


def _count_information(latents: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Computes H(latent) + H(factor) - H(both) of bins (N, Z) and (N,): nats (Z,)."""
    N, Z = latents.shape
    if N == 0:
        return np.zeros(Z)
    count = values.max() + 1
    cells = (np.arange(Z) * bins + latents) * count + values[:, None]  # (N, Z), all different
    p = np.bincount(cells.ravel(), minlength=Z * bins * count).reshape(Z, bins, count) / N
    nats = _entropies(p.sum(axis=2)) + _entropies(p.sum(axis=1)) - _entropies(p.reshape(Z, -1))
    return np.maximum(nats, 0)  # but for rounding


def _concentrate(weights: np.ndarray) -> float:
    """Averages 1 - entropy (base K) of the rows of weights (R, K) >= 0, by each row's share of all.

    1: each row puts all its weight on one column. 0: it spreads evenly, or there is no weight.
    """
    sums = weights.sum(axis=1)
    if sums.sum() == 0:
        return 0.0
    if weights.shape[1] == 1:
        return 1.0
    some = sums > 0
    entropies = _entropies(weights[some] / sums[some, None])
    rows = sums[some] / sums.sum() * (1 - entropies / np.log(weights.shape[1]))
    return float(np.clip(sum(rows), 0, 1))


def _entropies(p: np.ndarray) -> np.ndarray:
    """Computes the entropies of probabilities (..., K) in nats, with 0 ln 0 = 0."""
    return -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(axis=-1)


def _find_leaders(ratios: np.ndarray) -> list[tuple[int, float, float]]:
    """Finds for each factor the best latent, its ratio, and the next latent's (0 for none)."""
    ratios = np.asarray(ratios, dtype=np.float64)
    if ratios.ndim != 2 or len(ratios) == 0:
        raise ValueError(f"expected ratios (Z, F) with Z >= 1, got {ratios.shape}")
    *_, second, first = np.sort(np.vstack([np.zeros_like(ratios[:1]), ratios]), axis=0)  # (F,) each
    columns = (ratios.argmax(axis=0), first, second)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _check(
    mu: np.ndarray, factors: np.ndarray, categories: Sequence[int], valid: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mu and factors as float64 and valid as bool; a ValueError says what does not fit."""
    factors = np.asarray(factors, dtype=np.float64)
    if factors.ndim != 2:
        raise ValueError(f"expected factors (N, F), got {factors.shape}")
    valid = np.ones(factors.shape, dtype=bool) if valid is None else np.asarray(valid)
    if valid.shape != factors.shape or valid.dtype != bool:
        raise ValueError(f"expected valid {factors.shape} bool, got {valid.shape} {valid.dtype}")
    if len(categories) != factors.shape[1]:
        raise ValueError(f"{len(categories)} category counts for {factors.shape[1]} factors")
    for f, count in enumerate(categories):
        column = factors[valid[:, f], f]
        if not np.isfinite(column).all():
            raise ValueError(f"factor {f} has values that are not finite")
        if count > 0 and not np.isin(column, np.arange(count)).all():
            raise ValueError(f"factor {f} has numbers other than 0..{count - 1}")
    mu = np.asarray(mu, dtype=np.float64)
    if mu.ndim != 2 or mu.shape[1] == 0 or len(mu) != len(factors):
        raise ValueError(f"expected mu (N, Z) with N = {len(factors)} rows, got {mu.shape}")
    if not np.isfinite(mu).all():
        raise ValueError("mu must be finite")
    return mu, factors, valid
