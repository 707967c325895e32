"""What a checkpoint holds, described once: names, types, ranges, sizes; for every kind of model.

`check_content` looks at each entry by itself; whether it fits a network or a training is seen in
fitting.py. Written by hand, not with a library of schemas: the settings are described already
(utils/config.py), and most of the rest are tensors, of which such libraries know nothing.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

Rule = Callable[[str, Any], None]  # (its place in the file, the value): raises Misfit

MOST_VALUES, DEEPEST = 2 * 10**6, 12  # of everything in a file; of lists in lists
LONGEST_TEXT = 10**6
LARGEST_WEIGHT = torch.finfo(torch.float16).max  # 65,504: no shipped file can hold a larger one
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8)


class Misfit(ValueError):
    """A value that no checkpoint of this project has at that place."""


def whole(low: int = 0, high: float = math.inf) -> Rule:
    def check(place: str, value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            limit = f"from {low} on" if high == math.inf else f"in {low}..{high}"
            raise Misfit(f"{place} is {describe(value)}, not a whole number {limit}")

    return check


def number(place: str, value: Any) -> None:
    if type(value) not in (int, float):
        raise Misfit(f"{place} is {describe(value)}, not a number")


def number_or_none(place: str, value: Any) -> None:
    """None: what was not measured, as by a training without validation."""
    if value is not None:
        number(place, value)


def text(most: int) -> Rule:
    def check(place: str, value: Any) -> None:
        if type(value) is not str or len(value) > most:
            raise Misfit(f"{place} is {describe(value)}, not a text of at most {most:,} characters")

    return check


def each(rule: Rule) -> Rule:
    """Makes a rule for a list, all of whose parts follow one."""

    def check(place: str, value: Any) -> None:
        if type(value) is not list:
            raise Misfit(f"{place} is {describe(value)}, not a list")
        for index, part in enumerate(value):
            rule(f"{place}[{index}]", part)

    return check


def table(rule: Rule) -> Rule:
    """Makes a rule for names and values, which all follow one."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, dict) or not all(type(name) is str for name in value):
            raise Misfit(f"{place} is {describe(value)}, not names with values")
        for name, part in value.items():
            rule(f"{place}.{name}", part)

    return check


def entries(rules: Mapping[str, Rule]) -> Rule:
    """Makes a rule for names that must all be there, each with a rule of its own."""

    def check(place: str, value: Any) -> None:
        table(anything)(place, value)
        if value.keys() != rules.keys():
            raise Misfit(f"{place} has {describe(list(value))}, not {', '.join(rules)}")
        for name, rule in rules.items():
            rule(f"{place}.{name}", value[name])

    return check


def anything(place: str, value: Any) -> None:
    """Leaves it to whoever knows more: config.build, check_optimizer, a task."""


def settings(place: str, value: Any) -> None:
    """No text is a long one; all else is for config.build, which knows every key."""
    if isinstance(value, dict):
        for name, part in value.items():
            settings(f"{place}.{name!s:.40}", part)
    elif isinstance(value, str):
        text(5000)(place, value)


def count_or_text(place: str, value: Any) -> None:
    (text(100) if type(value) is str else whole())(place, value)


def alphabet(place: str, value: Any) -> None:
    each(text(1))(place, value)
    if not value or len(set(value)) < len(value) or not all(value):
        raise Misfit(f"{place} is not a list of characters, one each")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise Misfit(f"{place} holds half of a surrogate pair, which is no character")


def shape(place: str, value: Any) -> None:
    if type(value) is not list or len(value) != 3:
        raise Misfit(f"{place} is {describe(value)}, no shape of pictures: right would be C, H, W")
    for size in value:
        whole(1, 2**16)(place, size)


def weight(place: str, value: Any) -> None:
    """A tensor of numbers that float16 can hold: with larger ones a network soon overflows."""
    if not isinstance(value, torch.Tensor):
        raise Misfit(f"{place} is {describe(value)}, not a tensor")
    if value.dtype not in (torch.float32, torch.float16, torch.int64):
        raise Misfit(f"{place} is {describe(value)}, not of float32 or float16")
    if value.numel() and value.is_floating_point() and value.abs().max() > LARGEST_WEIGHT:
        raise Misfit(f"{place} has weights beyond {LARGEST_WEIGHT:,.0f}")
    counts = not value.is_floating_point() or place.endswith("running_var")
    if value.numel() and counts and value.min() < 0:
        raise Misfit(f"{place} has values below 0")


NUMBERS = table(number_or_none)
CONTENT: dict[str, Rule] = {
    "format": whole(1),
    "project": text(100),  # the versions that wrote it
    "torch": text(100),
    "machine": text(300),  # what it was trained on
    "kind": text(100),  # "lstm", "vae"
    "config": settings,
    "data": table(count_or_text),  # what tells the data from other data
    "alphabet": alphabet,  # of a text model
    "shape": shape,  # of a variational autoencoder's pictures
    "epoch": whole(),
    "row": NUMBERS,  # of history.csv
    "model": table(weight),
    "trained_by": text(10_000),  # the command, of a shipped file
    "training": entries({"place": anything, "task": table(anything)}),  # last.pt alone
}
PLACE = entries(
    {"history": each(NUMBERS), "index": whole(), "sums": table(number), "seconds": number}
)
PROTOCOL = each(
    entries(
        {"epoch": whole(1), "train_nats": number, "val_nats": number_or_none}
        | {"written": each(text(LONGEST_TEXT))}
    )
)


def describe(value: Any) -> str:
    """Describes a value in a few words, whatever it is."""
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}".replace("torch.", "")
    if value is None or type(value) in (bool, int, float, str):
        return f"{value!r:.60}"
    return f"a {type(value).__name__} of {len(value):,}" if hasattr(value, "__len__") else "else"


def check_content(content: dict[Any, Any], size: int) -> None:
    """Checks all that was read from a file of `size` bytes. Misfit says where and what is wrong."""
    check_values(content, size)
    for name, value in content.items():
        if name not in CONTENT:
            raise Misfit(f"{name!r:.60} is no entry of a checkpoint")
        if name != "training":  # whether it fits a training only that one can say
            CONTENT[name](name, value)


def check_values(content: Any, size: int) -> None:
    """Checks that there is nothing but plain values, finite numbers and tensors of their own.

    A list may hold itself, and a tensor show a few bytes as millions of numbers: so both are
    counted before anything walks over them.
    """
    waiting, values = [("", content, 0)], 0
    while waiting:
        place, value, depth = waiting.pop()
        values += 1
        if values + len(waiting) > MOST_VALUES or depth > DEEPEST:
            raise Misfit(f"{place:.60} goes on for ever, or nearly so")
        if isinstance(value, dict):
            if not all(type(name) in (str, int) for name in value):
                raise Misfit(f"{place} has names that are none")
            named = f"{place}." if place else ""
            waiting += [(f"{named}{name!s:.60}", part, depth + 1) for name, part in value.items()]
        elif type(value) in (list, tuple):
            waiting += [(place, part, depth + 1) for part in value]
        elif isinstance(value, torch.Tensor):
            size -= check_tensor(place, value)
            if size < 0:
                raise Misfit(f"{place} shares its memory with other tensors")
        elif isinstance(value, str):
            text(LONGEST_TEXT)(place, str(value))
        elif type(value) is float and not math.isfinite(value):
            raise Misfit(f"{place} is {value}, not a finite number")
        elif type(value) is int and abs(value) > 2**63:
            raise Misfit(f"{place} is a whole number of {value.bit_length():,} bits")
        elif value is not None and type(value) not in (bool, int, float):
            raise Misfit(f"{place} is {describe(value)}, no plain value")


def check_tensor(place: str, tensor: torch.Tensor) -> int:
    """Checks a tensor by itself; returns its bytes."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.dtype not in DTYPES or tensor.requires_grad:
        raise Misfit(f"{place} is {describe(tensor)}, no plain tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise Misfit(f"{place} is {describe(tensor)}, of which the file holds a part only")
    if not tensor.isfinite().all():
        raise Misfit(f"{place} has values that are infinite or no numbers")
    return tensor.numel() * tensor.element_size()
