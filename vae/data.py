"""The pictures that a configuration names: rendered faces, digits, or a folder of one's own."""

from pathlib import Path
from typing import Any

from utils.images import mnist
from utils.images.data import Images, coarse, split
from utils.images.files import load_images
from utils.training import distributed
from vae.faces.head import render_faces
from vae.networks import SIDES

TRAINING_SEED, VALIDATION_SEED = 1, 2  # of the rendered faces: a fixed data set, whatever --seed
VALIDATION_SHARE = 0.1  # of other pictures


DATASETS = ("faces", *mnist.DATASETS)


def shape_of(config: Any) -> tuple[int, int, int]:
    """(C, H, W) of the pictures that a configuration trains on: grey digits, else colour."""
    side = SIDES[config.model.network]
    return (3 if config.data.dataset == "faces" else 1, side, side)


def training_images(data: Any, shape: tuple[int, int, int]) -> Images:
    """The pictures that are learned from, in 2**bits levels. One's own are fitted to the shape.

    UserError where --data, or MNIST, is not there or unreadable.
    """
    if data.data is None and data.dataset == "faces":
        images = render_faces(data.images, TRAINING_SEED)
    else:
        images = _parts(data, shape)[0]
    return coarse(images, data.bits)


def validation_images(data: Any, shape: tuple[int, int, int]) -> Images:
    """The pictures that are kept apart: others than the training pictures, always the same ones."""
    if data.data is None and data.dataset == "faces":
        images = render_faces(data.held_out, VALIDATION_SEED)
    else:
        images = _parts(data, shape)[1]
    return coarse(images, data.bits)


def unseen_images(data: Any) -> Images | None:
    """Pictures looked at only once all is decided, where the data set has some; else None."""
    if data.data is None and data.dataset in mnist.DATASETS:
        return coarse(mnist.digits(data.dataset)[1], data.bits)
    return None


def _parts(data: Any, shape: tuple[int, int, int]) -> tuple[Images, Images]:
    """Training and validation pictures that exist as such."""
    with distributed.in_turns():  # they may have to be fetched or decoded first
        if data.data is not None:
            channels, side, _ = shape
            return split(load_images(Path(data.data), side, channels), VALIDATION_SHARE, seed=0)
        training, validation = split(mnist.digits(data.dataset)[0], VALIDATION_SHARE, seed=0)
    return training.take(slice(data.images)), validation.take(slice(data.held_out))
