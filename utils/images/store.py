"""Decodes many pictures, into memory or, where they do not fit, once onto the disk.

So 200,000 pictures train in a few gigabytes: on disk they are a memory map, of which the system
keeps as much in memory as there is room for.
"""

import hashlib
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from utils import files
from utils.errors import UserError
from utils.files import lock, name_in_errors, preparing, show, tidy
from utils.images.data import Shape
from utils.images.levels import Levels
from utils.images.pictures import Unreadable, quiet_pillow
from utils.images.tables import is_table
from utils.words import count

Read = Callable[[Any], np.ndarray]  # an item -> uint8 (C, H, W), or Unreadable
Keep = Callable[[int, np.ndarray], Any]  # keep(n, picture) of the n-th that could be read
Broken = tuple[int, Any, Unreadable]  # its place among the items, the item, why
BLOCK = 256  # pictures under way at a time, so that the queue never holds them all
SAMPLE = 100  # pictures of a larger set that are looked at first, for what is black and white
HEADER = 128  # bytes of a .npy file before its numbers
FORM = 2  # of the files below data/images/: one that is decoded otherwise has another


def collect(
    read: Read,
    items: Sequence[Any],
    shape: Shape,
    key: tuple,
    source: str,
    memory_limit: int,
    levels: Levels,
) -> tuple[np.ndarray, list[Any]]:
    """Reads every item with read(item) into uint8 (N, C, H, W), and says which were skipped.

    Returns the N that were not, too. UserError where that is none. The array is in memory, or above
    memory_limit a map of data/images/<digest of key and shape>.npy, used again as long as the key
    is the same.
    """
    needed = len(items) * math.prod(shape)
    if needed <= memory_limit:
        pixels = np.empty((len(items), *shape), np.uint8)
        notes, skipped = _decode(read, items, source, levels, lambda: pixels.__setitem__)
        pixels = pixels[: len(items) - len(skipped)]
    else:
        # repr, since a file's name need not be valid text.
        digest = hashlib.sha256(repr((key, shape, FORM)).encode()).hexdigest()[:32]
        path = files.find("data", "images", f"{digest}.npy")
        found = _open_map(path, shape)
        if found is None:
            path = files.output("data") / "images" / path.name
            with lock(path):
                found = _open_map(path, shape)  # written by another process meanwhile
                if found is None:
                    print(f"decoding {source} once, into {show(path)} ({needed / 1e9:,.1f} GB)")
                    _write_map(path, read, items, shape, source, levels)
                    found = _open_map(path, shape)
            assert found is not None, f"{path} was written, but cannot be read"
        pixels, notes, skipped = found
    if notes:
        print(notes)
    left_out = set(skipped)
    return pixels, [item for n, item in enumerate(items) if n not in left_out]


def _open_map(path: Path, shape: Shape) -> tuple[np.ndarray, str, list[int]] | None:
    """Opens a memory map (N, C, H, W) written before, its notes and the places of what it lacks.

    None where none is sound, or an earlier version wrote one that lacks some.
    """
    try:
        pixels = np.lib.format.open_memmap(path, mode="r")
        with open(path, "rb") as file:
            file.seek(HEADER + pixels.nbytes)
            notes, _, listed = file.read().decode("utf-8").partition("\0")
        skipped = json.loads(listed or ("[]" if "skipped" not in notes else ""))
    except (OSError, ValueError):
        return None
    fits = pixels.dtype == np.uint8 and pixels.shape[1:] == shape
    return (pixels, notes, skipped) if fits else None


def _write_map(
    path: Path, read: Read, items: Sequence[Any], shape: Shape, source: str, levels: Levels
) -> None:
    """Writes every picture that can be read into a .npy file, and behind them what is to be said.

    The file is there whole or not at all, as in files.write_whole, but never in memory as a whole.
    The caller holds its lock.
    """
    tidy(path)
    partial = preparing(path)
    try:
        with name_in_errors(path), open(partial, "wb") as file:

            def begin() -> Keep:
                file.seek(HEADER)
                file.truncate()
                return lambda _, picture: file.write(picture.tobytes())

            notes, skipped = _decode(read, items, source, levels, begin)
            after = f"{notes}\0{json.dumps(skipped)}"
            file.write(after.encode("utf-8", "backslashreplace"))
            file.seek(0)  # only now it is known how many pictures there are
            header = {"descr": "|u1", "fortran_order": False}
            header["shape"] = (len(items) - len(skipped), *shape)
            np.lib.format.write_array_header_1_0(file, header)
            assert file.tell() == HEADER, "numpy's header is longer than the place for it"
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _decode(
    read: Read, items: Sequence[Any], source: str, levels: Levels, begin: Callable[[], Keep]
) -> tuple[str, list[int]]:
    """Reads all items; returns what is to be said, and the places of those that were skipped.

    begin() starts anew, and returns what keeps a picture. What is black and white is a guess from a
    sample at first: where all the values say otherwise, all is read a second time.
    """
    if len(items) > BLOCK:
        _read_all(read, items[:: len(items) // SAMPLE or 1], source, lambda *_: None)
        levels.settle()
    while True:
        broken = _read_all(read, items, source, begin())
        if levels.settle():
            break
    if len(broken) == len(items):
        raise UserError(
            f"{source}: none of its {count(len(items), 'file')} can be read "
            f"({describe_broken(broken)}): right would be pictures that an image viewer opens"
        )
    notes = [f"{source}: {levels.describe()}"] if levels.describe() else []
    wrong = [case for case in broken if not is_table(str(case[1]))]  # it lies beside its pictures
    if wrong:
        skipped = f"skipped {len(wrong):,} of {count(len(items), 'file')} in {source}"
        notes.append(f"{skipped}: {describe_broken(wrong)}")
    return "\n".join(notes), [place for place, _, _ in broken]


def _read_all(read: Read, items: Sequence[Any], source: str, keep: Keep) -> list[Broken]:
    """Reads all items by a few threads; returns the unreadable, and why.

    Of the others, keep(n, picture) is called with n = 0, 1, 2, ... in the order of the items.
    Pillow decodes outside Python's lock, so the threads do run side by side.
    """

    def attempt(item: Any) -> np.ndarray | Unreadable:
        try:
            return read(item)
        except Unreadable as problem:
            return problem

    broken, kept = [], 0
    threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with _open_bar(len(items)) as bar, quiet_pillow(), threads:
        for start in range(0, len(items), BLOCK):
            block = items[start : start + BLOCK]
            results = enumerate(zip(block, threads.map(attempt, block), strict=True), start)
            for place, (item, picture) in results:
                if isinstance(picture, Unreadable):
                    broken.append((place, item, picture))
                else:
                    keep(kept, picture)
                    kept += 1
                bar.update()
    return broken


@contextmanager
def _open_bar(total: int) -> Iterator[tqdm]:
    """Opens a progress bar on a copy of stderr, which `quiet_pillow` closes for all others."""
    try:
        copy = os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # closed, or no stream of the system's
        copy = os.open(os.devnull, os.O_WRONLY)
    with (
        open(copy, "w", encoding="utf-8") as stream,
        tqdm(
            total=total, unit="image", delay=1, disable=None, dynamic_ncols=True, file=stream
        ) as bar,
    ):
        yield bar


def describe_broken(broken: list[Broken]) -> str:
    """Counts what cannot be read: files of no known format by kind, others with their names."""
    reasons: dict[str, list[Broken]] = {}
    for case in broken:
        reasons.setdefault(case[2].reason, []).append(case)
    parts = []
    for reason, cases in reasons.items():
        kinds = Counter(problem.kind for _, _, problem in cases).most_common()
        if reason == Unreadable.UNKNOWN:
            some = [f"{number:,} {kind}" for kind, number in kinds[:5]]
            others = sum(number for _, number in kinds[5:])
            some += [f"{others:,} others"] * (others > 0)
            parts.append(f"{', '.join(some)}: {reason}")
        else:
            names = ", ".join(f"{ascii(str(item))[:40]}" for _, item, _ in cases[:3])
            parts.append(f"{len(cases):,} {reason}: {names}{', ...' * (len(cases) > 3)}")
    return "; ".join(parts)


def stamp(path: str | Path) -> tuple[int, int] | None:
    """Returns size in bytes and time of the last change in ns; None for no such file."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
