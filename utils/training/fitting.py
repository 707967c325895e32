"""Whether what a checkpoint holds fits: its weights a network, its training state a training.

Each is compared with what this program itself would make of the settings in the file, before any
of it is used. What an entry is by itself is described in content.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from utils.errors import UserError
from utils.files import show
from utils.training.content import (
    CONTENT,
    PLACE,
    Misfit,
    describe,
    table,
    weight,
    whole,
)

UNLIKE = "its weights do not fit its own config"


def check_weights(place: str, weights: dict[str, torch.Tensor], model: nn.Module) -> None:
    """Checks that weights are those of a network, name for name; it may be on the meta device."""
    table(weight)(place, weights)
    own = model.state_dict()
    if others := own.keys() ^ weights.keys():
        raise Misfit(f"{place} has no {min(others):.80}, or should have none: {UNLIKE}")
    for name, value in own.items():
        found = weights[name]
        if found.shape != value.shape or found.is_floating_point() != value.is_floating_point():
            like = tuple(value.shape)
            raise Misfit(f"{place}.{name} is {describe(found)}, not {like}: {UNLIKE}")


@contextmanager
def no_larger_than(content: Any, path: Path) -> Iterator[None]:
    """Raises a UserError inside as soon as networks are built for which a file has not the weights.

    Settings of a few bytes can ask for a billion layers, or for one that fills the memory. A module
    registers its weights before it fills them, so that nothing is spent yet. There is room for what
    is built beside: weights that are replaced, a classifier.
    """
    tensors = list(find_tensors(content))
    count = 2 * len(tensors) + 100
    numbers = 2 * sum(tensor.numel() for tensor in tensors) + 10**7

    def look(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count, numbers
        count -= 1
        numbers -= 0 if parameter is None else parameter.numel()
        if count < 0 or numbers < 0:
            raise UserError(f"{show(path)}: {UNLIKE}: train again, or take another epoch")

    handle = register_module_parameter_registration_hook(look)
    try:
        yield
    finally:
        handle.remove()


def watch(model: nn.Module, path: Path) -> None:
    """Lets a network raise a UserError where it comes to infinite numbers, or to none.

    Weights can be finite, each of them, and yet too large together for any use.
    """

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not all(tensor.isfinite().all() for tensor in find_tensors(output)):
            raise UserError(
                f"{show(path)}: its network comes to infinite numbers, or to none: "
                "train again, or take another epoch"
            )

    for child in model.children():
        for module in {child, *child.children()}:
            module.register_forward_hook(look)


def find_tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yields all tensors in dicts, lists and tuples."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from find_tensors(part)


def check_place(content: dict[str, Any], steps: int, columns: set[str]) -> None:
    """Checks where a training stands, of epochs of so many steps, and its rows of history.csv."""
    CONTENT["training"]("training", content["training"])
    place = content["training"]["place"]
    PLACE("training.place", place)
    whole(0, steps)("training.place.index", place["index"])
    if place["seconds"] < 0:
        raise Misfit("training.place.seconds is below 0")
    history = place["history"]
    if len(history) != content["epoch"]:
        raise Misfit(f"its history has {len(history)} epochs, not {content['epoch']}")
    for epoch, row in enumerate(history, 1):
        if row.keys() != history[0].keys() or not columns <= row.keys() or row["epoch"] != epoch:
            raise Misfit(f"row {epoch} of its history has other columns, or is of another epoch")
