"""Images as one array of bytes (N, C, H, W), their split and their batches.

    images = load_images(Path("photos"), size=64)                  # utils/images/files.py
    training, validation = split(images, share=0.1, seed=0)
    for pixels, indices in Batches(training, batch_size=64, seed=0).epoch(1):
        ...                                     # pixels: float32 (B, C, H, W) in [0, 1]

Pictures stay bytes until they are in a batch: as floats they would take four times the memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from utils.errors import UserError
from utils.images.attributes import Attributes
from utils.training.fingerprint import Fingerprint, digest
from utils.words import count

MEMORY_LIMIT = 10**9  # bytes of pixels; more than that stays on disk
BLOCK = 256  # pictures that are compared at a time
SAMPLE = 1000  # pictures whose values a summary gives the range of
Shape = tuple[int, int, int]  # (C, H, W)


class Rows:
    """Some rows of a large array, read when they are indexed: rows[i] is store[index[i]].

    So a part of a memory map costs 8 bytes a picture.
    """

    def __init__(self, store: "np.ndarray | Rows", index: np.ndarray) -> None:
        self.store, self.index = store, index
        self.dtype, self.shape = store.dtype, (len(index), *store.shape[1:])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: np.ndarray | slice | int) -> np.ndarray:
        return self.store[self.index[rows]]


@dataclass(frozen=True)
class Images:
    """N pictures of one size, looked at in 2**bits levels.

    `pixels` is in memory, a memory map, or Rows of one: index it by rows (`pixels[:64]`,
    `pixels[indices]`), then it is an array. Models take `floats`, whose values have the levels.
    `labels` are digits (N,) or factors (N, F), `attributes` what else is known of the pictures.
    """

    pixels: np.ndarray | Rows  # uint8 (N, C, H, W)
    source: str  # for messages: "photos/", "faces.npz", "rendered faces"
    labels: np.ndarray | None = None
    bits: int = 8
    names: Sequence[str] | None = None  # of their files, below the folder; None for an array
    attributes: Attributes | None = None

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8, f"pixels are bytes, not {self.pixels.dtype}"
        assert len(self.pixels.shape) == 4, f"pixels are (N, C, H, W), not {self.pixels.shape}"
        assert self.labels is None or len(self.labels) == len(self.pixels), "a label per picture"

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        return tuple(self.pixels.shape[1:])

    def read(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Reads the pictures at these rows in their 2**bits levels, spread over 0 ... 255.

        A level is the upper bits of a byte. Level l of L becomes the byte nearest to
        255 l / (L - 1): with 2 bits, 0, 85, 170 and 255.
        """
        pixels = self.pixels[rows]
        if self.bits == 8:
            return pixels
        levels = np.arange(256) >> (8 - self.bits)  # of each byte
        return (levels * 255 / (2**self.bits - 1)).round().astype(np.uint8)[pixels]

    def floats(self, rows: np.ndarray | slice = slice(None)) -> torch.Tensor:
        """Reads the pictures at these rows as float32 (B, C, H, W) in [0, 1]."""
        return to_unit_range(self.read(rows))

    def parts(self, size: int, device: torch.device) -> Iterator[torch.Tensor]:
        """Yields all pictures in order, `size` of them at a time, as floats on a device."""
        for start in range(0, len(self), size):
            yield self.floats(slice(start, start + size)).to(device)

    def take(self, rows: np.ndarray | slice) -> "Images":
        """Returns the pictures at these rows, and what is known of them; copied if they fit."""
        rows = np.arange(len(self))[rows]
        large = len(rows) * math.prod(self.shape) > MEMORY_LIMIT
        pixels = Rows(self.pixels, rows) if large else np.array(self.pixels[rows])
        labels = None if self.labels is None else self.labels[rows]
        names = None if self.names is None else [self.names[row] for row in rows]
        known = None if self.attributes is None else self.attributes.take(rows)
        return replace(self, pixels=pixels, labels=labels, names=names, attributes=known)

    def digest(self) -> str:
        """Computes what tells these pictures from others.

        Those with labels are a set of the project's, known by its labels: its pixels may be
        computed, and so differ in a last digit on another machine.
        """
        known = self.pixels if self.labels is None else self.labels
        return digest(known[i : i + BLOCK] for i in range(0, len(known), BLOCK))

    def summary(self) -> str:
        """Says in a line how many there are, how large, the range of their values, where from."""
        (channels, height, width), number = self.shape, len(self)
        rows = np.unique(np.linspace(0, number - 1, min(number, SAMPLE)).astype(int))
        sample = self.read(rows)
        return (
            f"{number:,} image{'s'[: number != 1]} of {height} x {width}, "
            f"{channels} channel{'s'[: channels != 1]}, "
            f"values {sample.min()} to {sample.max()}"
            f"{f' in a sample of {SAMPLE:,}' if number > SAMPLE else ''}, from {self.source}"
        )


def to_unit_range(pixels: np.ndarray) -> torch.Tensor:
    """Turns uint8 (B, C, H, W) in 0 ... 255 into float32 (B, C, H, W) in [0, 1]."""
    # A copy, since a view may be read-only (a memory map) or in another order (channels last).
    return torch.from_numpy(np.array(pixels, order="C")).float().div_(255)


def split(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Splits images into training and validation: `share` of them, chosen by the seed, validate.

    Both keep the order of the whole. UserError where there are fewer than two images, or where all
    are alike, so that there is nothing to learn.
    """
    if len(images) < 2:
        raise UserError(
            f"{images.source} has {len(images)} image, too few to keep some for validation: "
            "take at least 2"
        )
    if all_alike(images.pixels):
        raise UserError(
            f"{images.source}: all {len(images):,} images are alike, with values "
            f"{images.pixels[0].min()} to {images.pixels[0].max()} of 0 to 255: there is nothing "
            "to learn from, right would be different ones"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    kept = min(max(round(share * len(images)), 1), len(images) - 1)
    return images.take(np.sort(order[kept:])), images.take(np.sort(order[:kept]))


def fingerprint_pictures(training: Images, validation: Images) -> Fingerprint:
    """Tells a set of pictures from others."""
    return {
        "training pictures": len(training),
        "validation pictures": len(validation),
        "digest": f"{training.digest()} {validation.digest()}",
    }


def all_alike(pixels: np.ndarray | Rows) -> bool:
    """Tells whether all pictures (N, C, H, W) are the same; mostly it looks at a few only."""
    first = pixels[:1]
    starts = range(0, len(pixels), BLOCK)
    return all((pixels[start : start + BLOCK] == first).all() for start in starts)


@dataclass
class Batches:
    """Batches of B images in a new random order every epoch, without a last, incomplete one.

    An epoch takes all images once; or `size` of them, over and over if there are fewer. UserError
    where it has fewer images than a batch takes.
    """

    images: Images
    batch_size: int
    seed: int
    size: int | None = field(default=None, kw_only=True)
    steps: int = field(init=False)  # batches of an epoch

    def __post_init__(self) -> None:
        size = self.size or len(self.images)
        self.steps = size // self.batch_size
        if self.steps == 0:
            raise UserError(
                f"{self.images.source}: {count(size, 'training image')}, fewer than a "
                f"batch of {self.batch_size}: lower --batch_size, or take more images"
            )

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields batches first, first + 1, ...: float32 (B, C, H, W) in [0, 1], indices (B,).

        The order depends on the seed and the epoch alone, so a run can continue at any batch.
        """
        random, N = np.random.default_rng([self.seed, number]), len(self.images)
        passes = math.ceil(self.steps * self.batch_size / N)
        order = np.concatenate([random.permutation(N) for _ in range(passes)])
        for index in range(first, self.steps):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            yield self.images.floats(rows), torch.from_numpy(rows)
