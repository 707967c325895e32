"""Images as one array of bytes (N, C, H, W), their split and their batches.

    images = load_images(Path("photos"), size=64)                  # utils/image_files.py
    training, validation = split(images, share=0.1, seed=0)
    for pixels, indices in Batches(training, batch_size=64, seed=0).epoch(1):
        ...                                     # pixels: float32 (B, C, H, W) in [0, 1]

Pictures stay bytes until they are in a batch: as floats they would take four times the memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from utils.errors import UserError

MEMORY_LIMIT = 10**9  # bytes of pixels; more than that stays on disk
SAMPLE = 1000  # pictures looked at for the range in a summary


class Rows:
    """Some rows of a large array, as if they were an array: read only when they are indexed.

    rows[index] is store[index_of_rows[index]]; so half of a memory map costs 8 bytes a picture.
    Where there is a `table` of 256 values, every byte is looked up in it.
    """

    def __init__(
        self, store: "np.ndarray | Rows", index: np.ndarray, table: np.ndarray | None = None
    ) -> None:
        self.store, self.index, self.table = store, index, table
        self.dtype, self.shape = store.dtype, (len(index), *store.shape[1:])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: np.ndarray | slice | int) -> np.ndarray:
        found = self.store[self.index[rows]]
        return found if self.table is None else self.table[found]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


@dataclass(frozen=True)
class Images:
    """N pictures of one size.

    `pixels` is in memory, a memory map, or Rows of one: index it by rows (`pixels[:64]`,
    `pixels[indices]`), then it is an array. `labels` are digits (N,) or factors (N, F).
    """

    pixels: np.ndarray | Rows  # uint8 (N, C, H, W)
    source: str  # for messages: "photos/", "faces.npz", "rendered faces"
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8, f"pixels are bytes, not {self.pixels.dtype}"
        assert len(self.pixels.shape) == 4, f"pixels are (N, C, H, W), not {self.pixels.shape}"
        assert self.labels is None or len(self.labels) == len(self.pixels), "a label per picture"

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        return tuple(self.pixels.shape[1:])

    def take(self, rows: np.ndarray | slice) -> "Images":
        """The pictures at these rows, with their labels; a copy where that fits into memory."""
        rows = np.arange(len(self))[rows]
        large = len(rows) * math.prod(self.shape) > MEMORY_LIMIT
        pixels = Rows(self.pixels, rows) if large else np.array(self.pixels[rows])
        return replace(
            self, pixels=pixels, labels=None if self.labels is None else self.labels[rows]
        )

    def summary(self) -> str:
        """One line: how many, how large, the range of their values, where from."""
        (channels, height, width), count = self.shape, len(self)
        rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))
        sample = self.pixels[rows]
        return (
            f"{count:,} image{'s'[: count != 1]} of {height} x {width}, "
            f"{channels} channel{'s'[: channels != 1]}, "
            f"values {sample.min()} to {sample.max()}"
            f"{f' in a sample of {SAMPLE:,}' if count > SAMPLE else ''}, from {self.source}"
        )


def unit_range(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (B, C, H, W) in 0 ... 255 -> float32 (B, C, H, W) in [0, 1]."""
    # A copy, since a view may be read-only (a memory map) or in another order (channels last).
    return torch.from_numpy(np.array(pixels, order="C")).float().div_(255)


def coarse(images: Images, bits: int) -> Images:
    """The same pictures in 2**bits levels: the upper bits of every byte, spread over 0 ... 255.

    Level l of L is the byte nearest to 255 l / (L - 1), so `unit_range` gives l / (L - 1) but for
    its rounding. With 8 bits nothing changes.
    """
    if bits == 8:
        return images
    levels = np.arange(256) >> (8 - bits)
    table = (levels * 255 / (2**bits - 1)).round().astype(np.uint8)
    if isinstance(images.pixels, Rows | np.memmap):  # too large to be copied
        return replace(images, pixels=Rows(images.pixels, np.arange(len(images)), table))
    return replace(images, pixels=table[images.pixels])


def split(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Training and validation images: `share` of them, chosen by the seed, are for validation.

    Both keep the order of the whole. UserError where there are fewer than two images.
    """
    if len(images) < 2:
        raise UserError(
            f"{images.source} has {len(images)} image, too few to keep some for validation: "
            "take at least 2"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    kept = min(max(round(share * len(images)), 1), len(images) - 1)
    return images.take(np.sort(order[kept:])), images.take(np.sort(order[:kept]))


@dataclass(frozen=True)
class Batches:
    """Batches of B images in a new random order every epoch; the last, incomplete one is dropped.

    UserError where there are fewer images than a batch takes.
    """

    images: Images
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if len(self) == 0:
            raise UserError(
                f"{self.images.source}: {len(self.images):,} training images are fewer than a "
                f"batch of {self.batch_size}: lower the batch size, or take more images"
            )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.images) // self.batch_size

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches first, first + 1, ...: float32 (B, C, H, W) in [0, 1], and their indices (B,).

        The order depends on the seed and the epoch alone, so a run can go on anywhere in it.
        """
        order = np.random.default_rng([self.seed, number]).permutation(len(self.images))
        for index in range(first, len(self)):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            yield unit_range(self.images.pixels[rows]), torch.from_numpy(rows)
