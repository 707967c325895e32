"""Decodes many pictures, into memory or, where they do not fit, once onto the disk.

So 200,000 pictures train in a few gigabytes: on disk they are a memory map, of which the system
keeps as much in memory as there is room for.
"""

import hashlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from utils import files
from utils.errors import UserError
from utils.files import lock, show
from utils.images.data import Shape

Read = Callable[[Any], np.ndarray | None]  # an item -> uint8 (C, H, W); None: it is unreadable
BLOCK = 256  # pictures under way at a time, so that the queue never holds them all
ABANDONED = 3600  # seconds without a write, after which a half-written file is nobody's
HEADER = 128  # bytes of a .npy file before its numbers


def collect(
    read: Read, items: Sequence[Any], shape: Shape, key: tuple, source: str, memory_limit: int
) -> tuple[np.ndarray, list[Any]]:
    """Reads every item with read(item) into uint8 (N, C, H, W); returns them and the unreadable.

    UserError where that is all of them. The array is in memory, or above memory_limit a map of
    data/images/<digest of key and shape>.npy, used again as long as the key is the same.
    """
    needed = len(items) * math.prod(shape)
    if needed <= memory_limit:
        pixels = np.empty((len(items), *shape), np.uint8)
        broken = _read_all(read, items, source, pixels.__setitem__)
        return pixels[: len(items) - len(broken)], broken
    # repr, since a file's name need not be valid text.
    digest = hashlib.sha256(repr((key, shape)).encode()).hexdigest()[:32]
    path = files.ROOT / "data" / "images" / f"{digest}.npy"
    pixels, broken = _open_map(path, shape), []
    if pixels is None:
        with lock(path):
            pixels = _open_map(path, shape)  # written by another process meanwhile
            if pixels is None:
                print(f"decoding {source} once, into {show(path)} ({needed / 1e9:,.1f} GB)")
                broken = _write_map(path, read, items, shape, source)
                pixels = _open_map(path, shape)
        assert pixels is not None, f"{path} was written, but cannot be read"
    return pixels, broken


def _open_map(path: Path, shape: Shape) -> np.ndarray | None:
    """Opens a memory map (N, C, H, W) written before; None where there is no sound one."""
    try:
        pixels = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):
        return None
    return pixels if pixels.dtype == np.uint8 and pixels.shape[1:] == shape else None


def _write_map(
    path: Path, read: Read, items: Sequence[Any], shape: Shape, source: str
) -> list[Any]:
    """Writes every picture that can be read into a .npy file; returns the items that cannot.

    The file is there whole or not at all, as in files.write_whole, but never in memory as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # With the process's number, since two runs may decode the same folder at the same time.
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
    for left in path.parent.glob(f"{path.stem}.*.partial"):
        if time.time() - left.stat().st_mtime > ABANDONED:  # its process was killed
            left.unlink(missing_ok=True)
    try:
        with open(partial, "wb") as file:
            file.seek(HEADER)
            broken = _read_all(
                read, items, source, lambda _, picture: file.write(picture.tobytes())
            )
            file.seek(0)  # only now it is known how many pictures there are
            header = {"descr": "|u1", "fortran_order": False}
            header["shape"] = (len(items) - len(broken), *shape)
            np.lib.format.write_array_header_1_0(file, header)
            assert file.tell() == HEADER, "numpy's header is longer than the place for it"
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return broken


def _read_all(
    read: Read, items: Sequence[Any], source: str, keep: Callable[[int, np.ndarray], Any]
) -> list[Any]:
    """Reads all items by a few threads; returns the unreadable. UserError where that is all.

    Of the others, keep(n, picture) is called with n = 0, 1, 2, ... in the order of the items.
    Pillow decodes outside Python's lock, so the threads do run side by side.
    """
    broken, kept = [], 0
    bar = tqdm(total=len(items), unit="image", delay=1, disable=None, dynamic_ncols=True)
    threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with quiet_pillow(), bar, threads:
        for start in range(0, len(items), BLOCK):
            block = items[start : start + BLOCK]
            for item, picture in zip(block, threads.map(read, block), strict=True):
                if picture is None:
                    broken.append(item)
                else:
                    keep(kept, picture)
                    kept += 1
                bar.update()
    if len(broken) == len(items):
        raise UserError(
            f"{source}: none of its {len(items):,} image files can be read "
            f"({first_names(broken)}): right would be pictures that an image viewer opens"
        )
    return broken


def first_names(names: list[Any]) -> str:
    """Lists the first three names; in quotes, since a name may hold anything."""
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


def stamp(path: Path) -> tuple[int, int] | None:
    """Returns size in bytes and time of the last change in ns; None for no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drops Pillow's remarks on odd files; a picture that would fill the memory is an error.

    It must be entered outside of threads, since warnings belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
