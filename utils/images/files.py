"""Reads pictures of a folder (at any depth), of an array's file, or of CelebA.

    images = load_images(Path("photos"))        # (N, 3, 64, 64), however they were stored

What a file is, its content says, not its ending. CelebA is found where torchvision puts it
(<folder>/celeba/img_align_celeba), as Kaggle unpacks it (<folder>/img_align_celeba, twice), or as
the bare folder; what is known of its pictures is in utils/images/tables.py.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from utils.errors import UserError
from utils.files import show
from utils.images.arrays import is_array, read_stack
from utils.images.data import MEMORY_LIMIT, Images, Shape
from utils.images.levels import Levels, find_levels, kind_of
from utils.images.pictures import Unreadable, decode_picture, fit, quiet_pillow
from utils.images.store import collect, stamp
from utils.words import count

SOURCES = "a folder of pictures, a .npy or .npz file, or one in MNIST's format"
CLUTTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}  # beside files whose names have a dot
CELEBA = "img_align_celeba"  # a folder that holds it has no other pictures
MNIST = "train-images-idx3-ubyte"  # a folder that holds it is taken for that file


def load_images(
    path: Path, size: int = 64, channels: int = 3, memory_limit: int = MEMORY_LIMIT
) -> Images:
    """Loads images, each cropped to its centre square and resized to (channels, size, size).

    Above memory_limit bytes of pixels they are decoded once, into data/images/, and stay on disk.
    UserError where there is nothing to read.
    """
    path = Path(path)
    if size < 1 or channels not in (1, 3):
        raise UserError(
            f"images of size {size} and {channels} channels: "
            "the size is at least 1, the channels are 1 (grey) or 3 (colour)"
        )
    if not path.exists():
        raise UserError(f"no such folder or file: {show(path)}; images are {SOURCES}")
    shape = (channels, size, size)
    if path.is_dir():
        for file in (path / MNIST, path / f"{MNIST}.gz"):
            if file.is_file():
                return _load_array(file, shape, memory_limit)
        for celeba in (path, path / "celeba"):
            if (celeba / CELEBA).is_dir():
                names = [f"{CELEBA}/{name}" for name in _list_files(celeba / CELEBA)]
                return _load_files(celeba, names, shape, memory_limit)
        return _load_files(path, _list_files(path), shape, memory_limit)
    if path.is_file() and is_array(path):
        return _load_array(path, shape, memory_limit)
    raise UserError(f"{show(path)} is no source of images: right would be {SOURCES}")


def load_picture(path: Path, shape: Shape = (3, 64, 64)) -> np.ndarray:
    """Loads a picture of any size and kind as uint8 (C, H, W). UserError if it cannot be read."""
    if not Path(path).is_file():
        raise UserError(f"no such picture: {show(path)}")
    picture, note = read_picture(Path(path), show(path), shape)
    if note:
        print(f"{one_line(path)}: {note}")
    return picture


def read_picture(file: Path | BytesIO, name: str, shape: Shape) -> tuple[np.ndarray, str]:
    """Reads a picture as uint8 (C, H, W), and says which values were taken for black and white.

    "" for the usual ones. UserError, which calls it by its name, if it cannot be read.
    """
    levels = Levels()
    try:
        with quiet_pillow():
            picture = decode_picture(file, shape, levels)
            if not levels.settle():  # its values are others than usual
                picture = decode_picture(file, shape, levels)
    except Unreadable as problem:
        raise UserError(f"{name} is no picture that can be read: {problem}") from None
    return picture, levels.describe()


def one_line(path: Path) -> str:
    """Writes a path for messages, where its name may have line ends in it."""
    return show(path).replace("\n", "\\n")


def _load_files(folder: Path, files: Sequence[str], shape: Shape, memory_limit: int) -> Images:
    """Loads files of a folder; those that cannot be read are left out, with a printed line."""
    levels = Levels()

    def read(name: str) -> np.ndarray:
        return decode_picture(folder / name, shape, levels)

    source = one_line(folder) + "/"
    key = (str(folder.resolve()), [(name, stamp(os.path.join(folder, name))) for name in files])
    pixels, names = collect(read, files, shape, key, source, memory_limit, levels)
    return Images(pixels, source, names=names)


def _list_files(folder: Path) -> list[str]:
    """Lists the files below a folder, sorted, without hidden ones. UserError where none is.

    Pipes, sockets and devices are no files. Links are followed, but no folder is entered twice: a
    link back to one above would never end. Folders that cannot be entered are counted and said.
    """
    names, seen, closed, waiting = [], set(), 0, [""]
    while waiting:  # not by recursion: folders may be thousands deep
        here = waiting.pop()
        try:
            status = os.stat(os.path.join(folder, here))
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(os.path.join(folder, here)) as entries:
                visible = [e for e in entries if e.name[0] != "." and e.name.lower() not in CLUTTER]
        except OSError:  # not allowed, or its path is longer than the system's limit
            closed += 1
            continue
        folders = []
        for entry in visible:
            name = f"{here}/{entry.name}" if here else entry.name
            with suppress(OSError):  # a link to itself
                if entry.is_dir():
                    folders.append(name)
                elif entry.is_file():
                    names.append(name)
        waiting += sorted(folders, reverse=True)
    if closed:
        print(f"left out {count(closed, 'folder')} in {one_line(folder)}/ that ", end="")
        print("cannot be entered: not allowed, or too deep")
    if not names:
        raise UserError(f"{show(folder)}/ has no images in it: right would be {SOURCES}")
    return sorted(names)


def _load_array(path: Path, shape: Shape, memory_limit: int) -> Images:
    """Loads the one array of pictures in a file; UserError for none or many."""
    stack, source = read_stack(path), one_line(path)
    kind, levels = kind_of(stack.dtype), find_levels(stack, source)
    plain = stack.dtype == np.uint8 and levels.table() is None
    if plain and stack.shape[1:] == shape:
        if isinstance(stack.base, np.memmap) and stack.nbytes <= memory_limit:
            stack = np.array(stack, order="C")
        return Images(stack, source)

    def read(row: int) -> np.ndarray:
        picture = levels.to_bytes(stack[row], kind)
        if picture.shape == shape:
            return picture
        picture = picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, 2)  # (H, W[, 3])
        return fit(Image.fromarray(np.ascontiguousarray(picture)), shape, Levels())

    key = (str(path.resolve()), stamp(path))
    pixels, _ = collect(read, range(len(stack)), shape, key, source, memory_limit, levels)
    return Images(pixels, source)
