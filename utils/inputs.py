"""What a layer says to inputs of another kind, shape or dtype than it takes.

A layer compares shape and dtype itself, which costs a microsecond, and asks here where they differ.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

MIXED = (torch.float32, torch.bfloat16, torch.float16)  # what autocast turns into one another


def take(what: str, x: object, sizes: tuple[int | str, ...], dtype: torch.dtype) -> torch.Tensor:
    """Returns x where it has the sizes and, or under autocast is turned into, the dtype.

    A size in words is free, as "B", or at least one, as "T >= 1". `what` begins the message, as
    "x is". TypeError for what is no tensor, ValueError for another shape or dtype.
    """
    expected = f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)}) of {dtype}"
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{what} a {type(x).__name__}, expected a tensor {expected}")
    least = [int(">= 1" in size) if isinstance(size, str) else size for size in sizes]
    fits = x.dim() == len(sizes) and all(
        given >= size if isinstance(said, str) else given == size
        for given, size, said in zip(x.shape, least, sizes, strict=True)
    )
    if fits and (x.dtype == dtype or (dtype in MIXED and x.dtype in MIXED and is_mixed(x))):
        return x.to(dtype)
    raise ValueError(f"{what} {tuple(x.shape)} of {x.dtype}, expected {expected}")


def is_mixed(x: torch.Tensor) -> bool:
    """Tells whether autocast is on where x is."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def without_autocast(x: torch.Tensor) -> AbstractContextManager[object]:
    """Keeps the precision that x has inside, products included."""
    return torch.autocast(x.device.type, enabled=False) if is_mixed(x) else nullcontext()


def take_parts(what: str, state: object, count: int, expected: str) -> tuple:
    """Returns a state that has `count` parts. TypeError for no tuple, ValueError for other ones."""
    if not isinstance(state, tuple | list):
        raise TypeError(f"{what} a {type(state).__name__}, expected {expected}")
    if len(state) != count:
        raise ValueError(f"{what} of length {len(state)}, expected {expected}")
    return tuple(state)
