"""Which latent carries which factor, measured instead of judged by eye.

Three measures on posterior means mu (N, Z) of images whose true factors (N, F) are known:
  names  a latent is named after a factor it alone knows much about (`information_ratios`, `named`);
  MIG    Chen et al. 2018, Isolating Sources of Disentanglement in VAEs, equation 6 (`mig`),
         there on samples of z; on binned means as in Locatello et al. 2019, Challenging Common
         Assumptions in the Unsupervised Learning of Disentangled Representations;
  DCI    Eastwood & Williams 2018, A Framework for the Quantitative Evaluation of Disentangled
         Representations (`dci`).

The arguments mean the same everywhere:
  mu          (N, Z) finite floats, one row per image.
  factors     (N, F): column f is continuous, or holds the integer codes 0..K-1 of K categories.
  categories  (F,): the number of categories K of each factor, 0 for a continuous one.
  valid       (N, F) bool, the rows that count for a factor: hair colour only on heads with hair.
              None: all rows. What stands in the other rows is never looked at, NaN included.

Only the shape of the means counts, not their size, nor the posterior's width. A collapsed latent
whose means move by 0.001 while its sigma is 1 can therefore earn a name that no sample shows:
set the columns of inactive units to 0 first. A constant column carries nothing here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import mutual_info_score

TREES = 20
LEAF = 5  # images per leaf at least: smaller ones fit noise and hand importance to every latent


class DCI(NamedTuple):
    """What `dci` measures. The first two are in 0..1 and 1 is best."""

    disentanglement: float  # each latent serves one factor
    completeness: float  # each factor sits in one latent
    informativeness: float  # mean of `scores` over the factors that vary
    importance: np.ndarray  # (Z, F), each column sums to 1, or to 0 where nothing could be learned
    scores: np.ndarray  # (F,) on held-out images: R² if continuous, else accuracy; NaN: not varying


def binned(values: np.ndarray, bins: int = 20) -> np.ndarray:
    """Values (N,) -> codes (N,) in 0..bins-1: equal-width bins from the smallest to the largest.

    With 2 bins, (0, 4, 5, 10) become (0, 0, 1, 1). A constant column becomes all zeros.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or bins < 1:
        raise ValueError(f"expected values (N,) and bins >= 1, got {values.shape} and {bins}")
    if not np.isfinite(values).all():
        raise ValueError("values to bin must be finite")
    if len(values) == 0 or values.min() == values.max():
        return np.zeros(len(values), dtype=np.int64)
    share = (values - values.min()) / (values.max() - values.min())
    # The largest value closes the last bin instead of opening one more.
    return np.minimum((share * bins).astype(np.int64), bins - 1)


def mutual_information(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    bins: int = 20,
) -> np.ndarray:
    """I(latent; factor) in nats (Z, F), counted on a table of latent bins by factor codes.

    A latent's bins span all its rows, so they are the same for every factor; a factor's span its
    valid rows. The count is never below 0 and so a little high for unrelated columns: by about
    (20-1)(20-1)/2N = 0.036 nats at N = 5,000 valid rows. Compare models at the same N.
    """
    factors, valid = _checked_factors(factors, categories, valid)
    mu = _checked_means(mu, len(factors))
    latents = [binned(column, bins) for column in mu.T]
    table = np.zeros((mu.shape[1], factors.shape[1]))
    for f, (rows, codes) in enumerate(_coded(factors, categories, valid, bins)):
        if len(codes) > 0:
            table[:, f] = [mutual_info_score(latent[rows], codes) for latent in latents]
    return table


def entropies(
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    bins: int = 20,
) -> np.ndarray:
    """H(factor) in nats (F,) over the same codes and rows; at most ln 20 = 3.0 for 20 bins."""
    factors, valid = _checked_factors(factors, categories, valid)
    nats = np.zeros(factors.shape[1])
    for f, (_, codes) in enumerate(_coded(factors, categories, valid, bins)):
        if len(codes) > 0:
            nats[f] = _entropy(np.bincount(codes) / len(codes))
    return nats


def information_ratios(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    bins: int = 20,
) -> np.ndarray:
    """The share of each factor that each latent knows: I / H, (Z, F) in 0..1.

    A factor that does not vary has nothing to know: 0.
    """
    nats = mutual_information(mu, factors, categories, valid, bins)
    whole = entropies(factors, categories, valid, bins)
    shares = np.divide(nats, whole, out=np.zeros_like(nats), where=whole > 0)
    return np.clip(shares, 0, 1)


def carriers(ratios: np.ndarray, least: float = 0.25, lead: float = 2.0) -> dict[int, int]:
    """Ratios (Z, F) -> {factor: the latent that carries it}, without the factors none carries.

    It carries the factor if its ratio is at least `least`, and at least `lead` times that of the
    next latent for this factor. A latent that carries several factors appears several times.
    """
    ratios = _table(ratios)
    found = {}
    for f, (best, first, second) in enumerate(_leaders(ratios)):
        if first > 0 and first >= least and first >= lead * second:
            found[f] = best
    return found


def named(ratios: np.ndarray, least: float = 0.25, lead: float = 2.0) -> dict[int, int]:
    """Ratios (Z, F) -> {latent: factor}: one name for each latent that carries anything.

    Of several factors it carries, the one with its largest ratio is its name (the first, among
    equals), so no latent counts twice in `len(named(ratios))`, and no two latents share a name.
    """
    ratios = _table(ratios)
    chosen: dict[int, int] = {}
    for f, z in carriers(ratios, least, lead).items():
        if z not in chosen or ratios[z, f] > ratios[z, chosen[z]]:
            chosen[z] = f
    return dict(sorted(chosen.items()))


def names(
    ratios: np.ndarray, factor_names: Sequence[str], least: float = 0.25, lead: float = 2.0
) -> list[str | None]:
    """`named` in words: for each of the Z latents its factor's name, or None."""
    ratios = _table(ratios)
    if len(factor_names) != ratios.shape[1]:
        raise ValueError(f"{len(factor_names)} names for {ratios.shape[1]} factors")
    chosen = named(ratios, least, lead)
    return [factor_names[chosen[z]] if z in chosen else None for z in range(len(ratios))]


def mig(ratios: np.ndarray, columns: Sequence[int] | None = None) -> tuple[float, np.ndarray]:
    """The mutual information gap: its mean over factors, and per factor (len(columns),); in 0..1.

    For each factor, the largest ratio minus the next (Chen et al. 2018, equation 6). `columns`
    chooses factors, all by default; leave out those that do not vary, they would count as 0.
    """
    ratios = _table(ratios)
    gaps = np.array([first - second for _, first, second in _leaders(ratios)])
    if columns is not None:
        gaps = gaps[np.asarray(columns, dtype=np.int64)]
    if len(gaps) == 0:
        raise ValueError("MIG needs at least one factor")
    return float(gaps.mean()), gaps


def dci(
    mu: np.ndarray,
    factors: np.ndarray,
    categories: Sequence[int],
    valid: np.ndarray | None = None,
    seed: int = 0,
) -> DCI:
    """How well forests of trees read the factors from the latents, and which latents they need.

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
    factors, valid = _checked_factors(factors, categories, valid)
    mu = _checked_means(mu, len(factors))
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
        disentanglement=_concentration(importance),
        completeness=_concentration(importance.T),
        informativeness=float(np.nanmean(scores)),
        importance=importance,
        scores=scores,
    )


def _concentration(weights: np.ndarray) -> float:
    """Weights (R, K) >= 0 -> 1 - entropy (base K) of each row, averaged by the row's share of all.

    1: each row puts all its weight on one column. 0: it spreads evenly, or there is no weight.
    """
    sums = weights.sum(axis=1)
    if sums.sum() == 0:
        return 0.0
    if weights.shape[1] == 1:
        return 1.0
    rows = [
        (total / sums.sum()) * (1 - _entropy(row / total) / np.log(len(row)))
        for row, total in zip(weights, sums, strict=True)
        if total > 0
    ]
    return float(np.clip(sum(rows), 0, 1))


def _entropy(p: np.ndarray) -> float:
    """Probabilities (K,) -> entropy in nats, with 0 ln 0 = 0."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def _leaders(ratios: np.ndarray) -> list[tuple[int, float, float]]:
    """Per factor: the best latent, its ratio, and the next latent's ratio (0 if there is none)."""
    best = ratios.argmax(axis=0)
    padded = np.vstack([ratios, np.zeros((1, ratios.shape[1]))])  # (Z + 1, F)
    top = np.sort(padded, axis=0)[::-1]
    return [(int(z), float(a), float(b)) for z, a, b in zip(best, top[0], top[1], strict=True)]


def _coded(
    factors: np.ndarray, categories: Sequence[int], valid: np.ndarray, bins: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per factor: the rows that count, bool (N,), and their integer codes (valid rows,)."""
    coded = []
    for f, count in enumerate(categories):
        rows = valid[:, f]
        column = factors[rows, f]
        coded.append((rows, column.astype(np.int64) if count > 0 else binned(column, bins)))
    return coded


def _table(ratios: np.ndarray) -> np.ndarray:
    ratios = np.asarray(ratios, dtype=np.float64)
    if ratios.ndim != 2 or len(ratios) == 0:
        raise ValueError(f"expected ratios (Z, F) with Z >= 1, got {ratios.shape}")
    return ratios


def _checked_means(mu: np.ndarray, rows: int) -> np.ndarray:
    mu = np.asarray(mu, dtype=np.float64)
    if mu.ndim != 2 or mu.shape[1] == 0 or len(mu) != rows:
        raise ValueError(f"expected mu (N, Z) with N = {rows} rows, got {mu.shape}")
    if not np.isfinite(mu).all():
        raise ValueError("mu must be finite")
    return mu


def _checked_factors(
    factors: np.ndarray, categories: Sequence[int], valid: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Factors as float64 and valid as bool, or a ValueError that says what does not fit."""
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
            raise ValueError(f"factor {f} has codes other than 0..{count - 1}")
    return factors, valid
