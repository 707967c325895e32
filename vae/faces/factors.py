"""The factors of a rendered face: what varies, in which range, and how faces are sampled.

As in 3D Shapes (Burgess & Kim 2018), the true latent variables of these pictures are known, so what
a model finds can be compared with what there is.

    factors = sample_factors(count=1000, seed=0)  # (1000, 11) numbers
"""

from typing import NamedTuple

import numpy as np
import torch

from utils.images.attributes import Attributes
from utils.images.data import Images


class Factor(NamedTuple):
    """One thing that varies. Where `values` names categories, it takes the numbers 0, 1, ..."""

    name: str
    low: float
    high: float
    meaning: str
    values: tuple[str, ...] = ()


FACTORS: tuple[Factor, ...] = (
    Factor("yaw", -45, 45, "degrees the head is turned; positive: nose to the viewer's right"),
    Factor("pitch", -8, 8, "degrees the head is tilted; positive: chin up"),
    Factor("skin_tone", 0, 1, "light to dark"),
    Factor("hair_style", 0, 2, "how much hair there is", ("bald", "short", "long")),
    Factor("hair_colour", 0, 1, "black, brown, blond; without effect on a bald head"),
    Factor("hat", 0, 1, "a red cap", ("no", "yes")),
    Factor("glasses", 0, 1, "dark glasses", ("no", "yes")),
    Factor("smile", -1, 1, "corners of the mouth, down to up"),
    Factor("face_width", 0.85, 1.15, "width of the head relative to the usual one"),
    Factor("light", -1, 1, "where the light is: the viewer's left to right, 0 in front"),
    Factor("background", 0, 1, "dark blue to light sand"),
)
NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)
CATEGORIES = tuple(len(factor.values) for factor in FACTORS)  # how many; 0: continuous


def column(factors: torch.Tensor, name: str) -> torch.Tensor:
    """Picks the values (N,) of the factor called `name` out of factors (N, F); shares memory."""
    return factors[:, NAMES.index(name)]


def sample_factors(count: int, seed: int) -> torch.Tensor:
    """Samples independent factors (N, F): uniform in their range, categories equally likely."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.rand(count, len(FACTORS), generator=generator)
    for values, factor in zip(factors.T, FACTORS, strict=True):
        if factor.values:  # rand is below 1, so the categories end at n - 1
            values.mul_(len(factor.values)).floor_()
        else:
            values.mul_(factor.high - factor.low).add_(factor.low).clamp_(factor.low, factor.high)
    return factors


def check_factors(factors: torch.Tensor) -> None:
    """Raises a ValueError that names the factor which no face can have."""
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise ValueError(f"factors {tuple(factors.shape)} are not (N, {len(FACTORS)}): {NAMES}")
    for values, factor in zip(factors.T, FACTORS, strict=True):
        slack = 1e-5 * (factor.high - factor.low)  # a range's end in float32 may lie beyond it
        wrong = ~((values >= factor.low - slack) & (values <= factor.high + slack))  # nan is wrong
        if factor.values:
            wrong |= values != values.round()
        if wrong.any():
            kind = factor.values or f"{factor.low} to {factor.high}"
            raise ValueError(f"{factor.name}: {values[wrong][0].item()} is not in {kind}")


def mark_valid(factors: np.ndarray) -> np.ndarray:
    """Marks which factors (N, F) count, bool (N, F): hair colour does on heads with hair only."""
    valid = np.ones(factors.shape, dtype=bool)
    bald = FACTORS[NAMES.index("hair_style")].values.index("bald")
    valid[:, NAMES.index("hair_colour")] = factors[:, NAMES.index("hair_style")] != bald
    return valid


def find_attributes(images: Images) -> Attributes | None:
    """Finds what is known of pictures: their attributes, of rendered faces (labels (N, F)) factors.

    None where nothing is known.
    """
    if images.attributes is not None or images.labels is None or images.labels.ndim != 2:
        return images.attributes
    words = tuple(factor.values for factor in FACTORS)
    return Attributes(NAMES, words, images.labels.astype(np.float64), mark_valid(images.labels))
