"""The pictures that a configuration names: rendered faces, or a file or folder of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from utils.image_data import Images, split
from utils.image_files import load_images
from vae.faces import FACTORS, NAMES, column, render, sample_factors

TRAINING_SEED, VALIDATION_SEED = 1, 2  # of the rendered faces: a fixed data set, whatever --seed
VALIDATION_SHARE = 0.1  # of one's own pictures


def rendered(count: int, seed: int, part: int = 1000) -> Images:
    """`count` faces with their factors as labels (count, F), with a bar while they are drawn."""
    factors = sample_factors(count, seed)
    pixels = np.empty((count, 3, 64, 64), dtype=np.uint8)
    with tqdm(total=count, unit="face", unit_scale=True, disable=None, leave=False) as bar:
        for start in range(0, count, part):
            pixels[start : start + part] = render(factors[start : start + part]).numpy()
            bar.update(min(part, count - start))
    return Images(pixels, "rendered faces", factors.numpy())


DATASETS = {"faces": rendered}  # by --dataset: (how many, seed) -> pictures


def training_images(data: Any) -> Images:
    """The pictures that are learned from. UserError where --data is not there or unreadable."""
    if data.data is None:
        return DATASETS[data.dataset](data.images, TRAINING_SEED)
    return split(load_images(Path(data.data)), VALIDATION_SHARE, seed=0)[0]


def validation_images(data: Any) -> Images:
    """The pictures that are kept apart: others than the training pictures, always the same ones."""
    if data.data is None:
        return DATASETS[data.dataset](data.held_out, VALIDATION_SEED)
    return split(load_images(Path(data.data)), VALIDATION_SHARE, seed=0)[1]


def has_factors(images: Images) -> bool:
    """Whether the true factors of the pictures are known."""
    return images.labels is not None and images.labels.ndim == 2


CATEGORIES = tuple(len(factor.values) for factor in FACTORS)  # 0 for a continuous one


def counted(factors: np.ndarray) -> np.ndarray:
    """Factors (N, F) -> (N, F) bool: hair colour counts only on heads with hair."""
    valid = np.ones(factors.shape, dtype=bool)
    bald = FACTORS[NAMES.index("hair_style")].values.index("bald")
    valid[:, NAMES.index("hair_colour")] = factors[:, NAMES.index("hair_style")] != bald
    return valid


def yaw_of(images: Images) -> torch.Tensor:
    """The yaw (N,) in degrees of rendered faces."""
    return column(torch.from_numpy(images.labels), "yaw")
