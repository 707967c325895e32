"""The pictures that a configuration names: rendered faces, digits, or a folder of one's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from utils.config import key
from utils.files import show
from utils.images import mnist
from utils.images.arrays import is_array
from utils.images.data import Batches, Images, Shape, split
from utils.images.files import load_images, load_picture
from vae.faces.head import render_faces
from vae.networks import SIDES

DATASETS = ("faces", *mnist.DATASETS)
TRAINING_SEED, VALIDATION_SEED = 1, 2  # of what is rendered or drawn: fixed, whatever --seed
VALIDATION_SHARE = 0.1  # of other pictures
DRAWN = 1000  # pictures whose pixels are drawn at a time


@dataclass(frozen=True)
class DataConfig:
    """Which pictures: a data set by name, or a file or folder of one's own."""

    dataset: str = key("name of the data set", choices=DATASETS)
    data: str | None = key("a folder of pictures, or an .npz; null: the data set", is_path=True)
    bits: int = key("bits of a pixel's value, which has 2**bits levels", low=1, high=8)
    images: int = key(
        "pictures to train on: faces are rendered, of other data sets it is the most", low=1
    )
    held_out: int = key(
        "pictures kept for validation, counted like images", low=1, high=10**5, dry=8
    )
    binarise: bool = key(
        "draw every pixel of a digit once, white with its value as the probability; with bits 1",
        default=False,
    )


def load_pictures(
    data: DataConfig, network: str, *, few: int | None = None
) -> tuple[Images, Images]:
    """Loads training and validation pictures in the size of a network; `few` to train on at most.

    They have 2**bits levels. One's own are fitted to the size: in colour for faces, else grey.
    UserError where --data, or MNIST, is not there or unreadable.
    """
    if data.data is None and data.dataset == "faces":
        training = render_faces(min(data.images, few or data.images), TRAINING_SEED)
        validation = render_faces(data.held_out, VALIDATION_SEED)
    else:
        side = SIDES[network]
        training, validation = load_parts(data, (3 if data.dataset == "faces" else 1, side, side))
    if few is not None:
        training, validation = training.take(slice(few)), validation.take(slice(8))
    return replace(training, bits=data.bits), replace(validation, bits=data.bits)


def load_validation(data: DataConfig, shape: Shape) -> Images:
    """Loads the pictures for validation: none of the training pictures, always the same ones."""
    if data.data is None and data.dataset == "faces":
        images = render_faces(data.held_out, VALIDATION_SEED)
    else:
        images = load_parts(data, shape)[1]
    return replace(images, bits=data.bits)


def load_whole(data: DataConfig, shape: Shape) -> Images:
    """Loads every picture that is neither kept apart nor made up: all of one's own, one included.

    Of rendered faces and digits, which have a set for it, those for validation.
    """
    if data.data is None:
        return load_validation(data, shape)
    path, (channels, side, _) = Path(data.data), shape
    if path.is_file() and not is_array(path):
        return load_each([path], data, shape)
    return replace(load_images(path, side, channels), bits=data.bits)


def load_each(paths: Sequence[Path | str], data: DataConfig, shape: Shape) -> Images:
    """Loads pictures that are named one by one."""
    pixels = np.stack([load_picture(path, shape) for path in paths])
    names = [Path(path).name for path in paths]
    return Images(pixels, ", ".join(show(path) for path in paths), bits=data.bits, names=names)


def load_unseen(data: DataConfig) -> Images | None:
    """Loads the test set, for the measurements after all decisions; None where there is none."""
    if data.data is None and data.dataset in mnist.DATASETS:
        test = mnist.digits(data.dataset)[1]
        test = binarise(test, VALIDATION_SEED) if data.binarise else test
        return replace(test, bits=data.bits)
    return None


def load_parts(data: DataConfig, shape: Shape) -> tuple[Images, Images]:
    """Loads training and validation pictures that exist as files."""
    if data.data is not None:
        channels, side, _ = shape
        return split(load_images(Path(data.data), side, channels), VALIDATION_SHARE, seed=0)
    whole = mnist.digits(data.dataset)[0]
    whole = binarise(whole, TRAINING_SEED) if data.binarise else whole
    training, validation = split(whole, VALIDATION_SHARE, seed=0)
    return training.take(slice(data.images)), validation.take(slice(data.held_out))


def binarise(images: Images, seed: int) -> Images:
    """Draws every pixel once: white with its value, 0 ... 1, as the probability, else black.

    So the pictures are binary as in Salakhutdinov & Murray 2008, and always the same for a seed
    ("static" binarisation). Larochelle & Murray 2011 published such a draw; this is another one.
    """
    random, parts = np.random.default_rng(seed), []
    for start in range(0, len(images), DRAWN):
        values = images.pixels[start : start + DRAWN]
        below = random.integers(255, size=values.shape, dtype=np.uint8)  # 0 ... 254
        parts.append(np.where(below < values, 255, 0).astype(np.uint8))
    return replace(images, pixels=np.concatenate(parts), source=f"{images.source}, binarised")


@dataclass
class NoisyBatches(Batches):
    """Batches of pictures, and the noise that their latents are sampled with."""

    z_dim: int
    mirror: bool = False

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields pictures (B, C, H, W) in [0, 1], and noise (B, Z) from N(0, I)."""
        for x, _ in super().epoch(number, first):
            if self.mirror:
                flipped = torch.rand(len(x)) < 0.5
                x[flipped] = x[flipped].flip(3)
            yield x, torch.randn(len(x), self.z_dim, dtype=x.dtype)
