"""Reads the one array of pictures in a .npy or .npz file, or in MNIST's format (IDX).

    stack = read_stack(Path("faces.npz"))       # (N, C, H, W), of any type of numbers

Its header says first how large it is: nothing is unpacked that the memory has no room for.
"""

import gzip
import math
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from utils.errors import UserError
from utils.files import open_plain, show

SHAPES = "(N, H, W), (N, H, W, 3), (N, H, W, 1), (N, 3, H, W) or (N, 1, H, W)"
MOST_NAMES = 1000  # arrays of a .npz that are looked at
LARGEST = 10**9  # bytes of one that says something of pictures
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class Header(NamedTuple):
    """What an array's header says of it."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def is_stack(self) -> bool:
        """Tells whether these are pictures: (H, W, 3) is one picture, not a stack of them."""
        if self.dtype.kind not in "buif" or 0 in self.shape or min(self.shape, default=0) < 0:
            return False
        if len(self.shape) == 3:
            return self.shape[2] > 4
        return len(self.shape) == 4 and (self.shape[3] in (1, 3) or self.shape[1] in (1, 3))

    def describe(self) -> str:
        return "of Python objects" if self.dtype.hasobject else f"{self.dtype} {self.shape}"


def is_array(path: Path) -> bool:
    """Tells by its name whether a file holds an array."""
    name = path.name.lower()
    return name.endswith((".npy", ".npz", "-ubyte", "-ubyte.gz"))


def read_stack(path: Path) -> np.ndarray:
    """Reads a stack of pictures as (N, C, H, W); a .npy file as a memory map.

    Objects are never unpickled: that would run code out of the file. UserError for a broken file,
    for none or several stacks in it, and where the memory has no room for it.
    """
    name = path.name.lower()
    read = _read_npy if name.endswith(".npy") else _read_npz
    read = _read_idx if "-ubyte" in name else read
    try:
        stack = read(path)
    except (UserError, MemoryError):
        raise
    except Exception as problem:  # numpy, zipfile, gzip and zlib each raise their own
        raise UserError(
            f"{show(path)} cannot be read ({type(problem).__name__}: it is cut short, pickled, or "
            f"no such file): right would be one array of numbers, {SHAPES}"
        ) from None
    if stack.ndim == 3:
        return stack[:, None]  # (N, 1, H, W)
    return np.moveaxis(stack, 3, 1) if stack.shape[3] in (1, 3) else stack  # (N, C, H, W)


def available_memory() -> int:
    """Returns how many bytes of memory are free; a guess of 8 GB where the system does not say."""
    free = 8 * 2**30
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        free = sizes["MemAvailable"]
        group = Path("/sys/fs/cgroup")
        used, most = ((group / f"memory.{name}").read_text() for name in ("current", "max"))
        free = min(free, int(most) - int(used))
    except (OSError, ValueError, KeyError, IndexError):
        pass  # another system, or no limit
    return free


def _check_room(path: Path, header: Header) -> None:
    free = available_memory()
    if header.bytes > free:
        raise UserError(
            f"{show(path)} holds {header.bytes / 1e9:,.1f} GB of pictures, more than the "
            f"{free / 1e9:,.1f} GB of memory that are free: give a .npy file in C order, which is "
            "read from the disk, or a folder of pictures"
        )


def _read_header(file: IO[bytes]) -> Header:
    """Reads the header of a .npy file. ValueError where it is none."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return Header(*np.lib.format.read_array_header_1_0(file))
    return Header(*np.lib.format.read_array_header_2_0(file))


def _choose(path: Path, headers: dict[str, Header | None]) -> str:
    """Chooses the one stack of pictures: of several, the only one of bytes."""
    stacks = [name for name, header in headers.items() if header and header.is_stack()]
    of_bytes = [name for name in stacks if headers[name].dtype == np.uint8]
    if len(stacks) > 1 and len(of_bytes) == 1:
        return of_bytes[0]
    if len(stacks) != 1:
        found = [f"{n} {h.describe() if h else 'no array'}" for n, h in headers.items()]
        rest = f", and {len(found) - 9} more" if len(found) > 9 else ""
        raise UserError(
            f"{show(path)} has {len(stacks) or 'no'} arrays of images (found: "
            f"{', '.join(found[:9]) or 'nothing'}{rest}): right would be one array of numbers, "
            f"{SHAPES}"
        )
    return stacks[0]


def _read_npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        header = _read_header(file)
        _choose(path, {"array": header})
        if os.path.getsize(path) - file.tell() < header.bytes:
            raise EOFError
    if header.fortran:  # on the disk, the values of a picture lie far apart
        _check_room(path, header)
        return np.ascontiguousarray(np.load(path, allow_pickle=False))
    return np.lib.format.open_memmap(path, mode="r")


def _read_npz(path: Path) -> np.ndarray:
    headers: dict[str, Header | None] = {}
    with zipfile.ZipFile(path) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()[:MOST_NAMES]}
        for name, member in members.items():
            with archive.open(member) as file:
                try:
                    headers[name] = _read_header(file)
                except ValueError:
                    headers[name] = None
        chosen = _choose(path, headers)
        if members[chosen].file_size < headers[chosen].bytes:
            raise EOFError
        _check_room(path, headers[chosen])
        with archive.open(members[chosen]) as file:
            stack = np.lib.format.read_array(file, allow_pickle=False)
            file.read()  # to the end, where the checksum is compared
        return np.ascontiguousarray(stack)


def _read_idx(path: Path) -> np.ndarray:
    return read_idx(path, lambda header: _choose(path, {"array": header}))


def read_idx(path: Path, check: Callable[[Header], Any] = lambda header: None) -> np.ndarray:
    """Reads MNIST's format: 0, 0, the type, the number of axes, each axis in four bytes.

    check(header) may refuse it before it is unpacked. Any error where the file is broken.
    """
    opened: Callable[..., Any] = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        zeros, kind, axes = struct.unpack(">HBB", file.read(4))
        if zeros:
            raise ValueError
        shape = struct.unpack(f">{axes}i", file.read(4 * axes))
        header = Header(shape, False, np.dtype(IDX_TYPES[kind]))
        check(header)
        _check_room(path, header)
        content = file.read(header.bytes + 1)
    if len(content) != header.bytes:
        raise EOFError
    return np.frombuffer(content, header.dtype).reshape(header.shape)


def read_columns(path: Path, pictures: int) -> dict[str, list[str]]:
    """Reads the arrays of a .npz that hold a number or a word for each picture, as texts.

    (N,), (N, 1), or (N, F) as F columns, which another array of F words may name. UserError for a
    broken file.
    """
    columns: dict[str, list[str]] = {}
    try:
        with open_plain(path) as file, np.load(file, allow_pickle=False) as arrays:
            headers = {name: _read_member(arrays, name) for name in arrays.files[:MOST_NAMES]}
            titles = [name for name, header in headers.items() if _is_words(header)]
            for name, header in headers.items():
                shape = header.shape if header and header.dtype.kind in "buifUS" else ()
                if shape[:1] != (pictures,) or len(shape) > 2 or math.prod(shape[1:]) > MOST_NAMES:
                    continue
                array = arrays[name].reshape(pictures, -1)
                array = np.char.decode(array, "latin-1") if array.dtype.kind == "S" else array
                fitting = [title for title in titles if headers[title].shape == array.shape[1:]]
                names = [name]
                if len(shape) == 2 and shape[1] > 1:
                    names = [f"{name}_{n}" for n in range(shape[1])]
                    names = arrays[fitting[0]].astype(str).tolist() if fitting else names
                for title, cells in zip(names, array.T.tolist(), strict=True):
                    columns[title] = [str(cell) for cell in cells]
    except UserError:
        raise
    except Exception as problem:  # zipfile, zlib and numpy each raise their own
        raise UserError(f"{show(path)} cannot be read ({type(problem).__name__})") from None
    return columns


def _is_words(header: Header | None) -> bool:
    return header is not None and header.dtype.kind in "US" and len(header.shape) == 1


def _read_member(arrays: np.lib.npyio.NpzFile, name: str) -> Header | None:
    """Reads the header of one array of a .npz; None where it has none, holds objects or is vast."""
    try:
        member = name if name in arrays.zip.namelist() else f"{name}.npy"
        with arrays.zip.open(member) as file:
            header = _read_header(file)
    except ValueError:
        return None
    return None if header.dtype.hasobject or header.bytes > LARGEST else header
