"""Which pictures a task looks at, and what is known of them: behind `main.py --task ...`."""

import os
from pathlib import Path

from utils.command_line import Overrides
from utils.config import override, refuse_idle
from utils.errors import UserError
from utils.images.data import Images, Shape
from utils.images.sources import add_attributes
from utils.training.run import ensure_named
from utils.words import count
from vae.data import load_validation, load_whole
from vae.faces.factors import find_attributes
from vae.training import VAEConfig

FEW = 10  # pictures that show too little of how faces differ to learn a turn from
OWN = ("data", "data")


def find_pictures(config: VAEConfig, shape: Shape, overrides: Overrides) -> Images:
    """Loads the pictures that a task looks at: all of a typed --data, else what a run validates on.

    Of a typed --dataset, too, those for validation. UserError for pictures of another size.
    """
    name, own = config.model.name, config.data.data
    typed = {place: value for place, value in overrides.items() if place[0] == "data"}
    if ("data", "dataset") in typed:
        typed[OWN] = None  # it takes the place of the folder that the run was trained on
    asked = override(config, typed)
    refuse_idle(asked, typed, config)
    ensure_named(asked, typed, name)
    if OWN not in typed:
        images = load_validation(asked.data, shape)
    else:
        images, data = load_whole(asked.data, shape), asked.data.data
        if (
            own is not None
            and data is not None
            and os.path.abspath(own) == os.path.abspath(data)  # own is not to be touched
        ):
            print(f"{name} was trained on most of {images.source}")
    if images.shape != shape:
        raise UserError(f"{name} takes pictures of {shape}, {images.source} has {images.shape}")
    return images


def find_known(
    config: VAEConfig, shape: Shape, overrides: Overrides, attributes: str | None
) -> Images:
    """Loads the pictures that a task looks at, with the attributes of a typed --data.

    `attributes` says where these are; without it they are looked for.
    """
    images = find_pictures(config, shape, overrides)
    if overrides.get(OWN) is None:
        if attributes is not None:
            raise UserError("--attributes has no effect without --data: it is a table of those")
        return images
    return add_attributes(images, Path(overrides[OWN]), attributes)


def find_enough(config: VAEConfig, shape: Shape, images: Images, what: str) -> Images:
    """Returns pictures to learn `what` from, "a turn" or "a direction": these, or the run's own.

    The latter where these are few, or where nothing is known of them and a direction needs that. A
    path of the run's own is not opened unasked (`ensure_named`).
    """
    lacks = what == "a direction" and find_attributes(images) is None
    if (len(images) >= FEW and not lacks) or config.data.data is not None:
        return images
    others = load_whole(config.data, shape)
    if find_attributes(others) is None if lacks else len(others) <= len(images):
        return images
    why = (
        f"nothing is known of them to learn {what} from"
        if lacks
        else f"too few to learn {what} from"
    )
    print(f"{count(len(images), 'picture')} of {images.source}: {why}, ", end="")
    print(f"which is learned from {others.source}")
    return others
