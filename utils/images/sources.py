"""Finds what is known of pictures: in a table, in arrays, in the names of files and folders.

    images = add_attributes(load_images(Path("photos")), Path("photos"), "photos.csv")

Without the last, it is looked for: arrays of N values beside the pictures in an .npz; CelebA's list
of attributes, or one table, in the folder or beside it; names such as UTKFace's, or with
`name=value` in them; the folders that the files are in.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from utils.errors import UserError
from utils.files import show
from utils.images.arrays import read_columns
from utils.images.attributes import make_attributes
from utils.images.data import Images
from utils.images.files import CELEBA
from utils.images.names import find_readers, read_pattern
from utils.images.tables import CELEBA as CELEBA_LISTS
from utils.images.tables import ENDINGS, Columns, join, read_table

PRINTED = 50  # attributes, a line each
Source = tuple[str, Callable[[], tuple[Columns, list[str]]]]  # its name; columns, notes


def add_attributes(images: Images, data: Path, asked: str | None = None) -> Images:
    """Returns the images with their attributes, and prints what these are.

    `data` is where the images are from, `asked` a table, an .npz of arrays, or a pattern of the
    files' names: "{age}_{gender}_*". Without it, the first that fits of what is beside the
    pictures is taken, or nothing. UserError where what is asked for does not fit.
    """
    for name, read in [_open(images, asked)] if asked else _find_sources(images, data):
        try:
            columns, notes = read()
            attributes, left_out = make_attributes(columns)
        except UserError as problem:
            if asked:
                raise UserError(f"{name}: {problem}") from None
            print(f"note: {name} gives no attributes: {problem}")
            continue
        print(f"attributes of {images.source}, from {name}:")
        for lines in (attributes.describe(), left_out, notes):
            lines[PRINTED:] = [f"and {len(lines) - PRINTED} more"] * (len(lines) > PRINTED)
            print("".join(f"  {line}\n" for line in lines), end="")
        return replace(images, attributes=attributes)
    return images


def _open(images: Images, asked: str) -> Source:
    path = Path(asked)
    if "{" in asked and not path.exists():
        if not images.names:
            raise UserError(f"{images.source} has no files whose names {asked!r:.80} could be")
        return asked, lambda: (read_pattern(asked, images.names), [])
    return show(path), partial(_read_file, images, path)


def _read_file(images: Images, path: Path) -> tuple[Columns, list[str]]:
    if path.suffix.lower() != ".npz":
        return join(images, read_table(path))
    columns = read_columns(path, len(images))
    if not columns:
        raise UserError(f"it has no array of {len(images):,} numbers or words, one a picture")
    return columns, []


def _find_sources(images: Images, data: Path) -> Iterator[Source]:
    """Yields where attributes of these pictures may be, the surest first."""
    files = []
    if data.is_dir():
        for folder in (data, data / "celeba", data.parent):
            if folder != data.parent or data.name.startswith(CELEBA):
                files += [folder / name for name in CELEBA_LISTS]
        inside = [file for file in sorted(data.iterdir()) if file.suffix.lower() in ENDINGS]
        if len(inside) == 1:
            files += inside
        elif inside and not any(file.is_file() for file in files):
            print(f"note: of {len(inside)} tables in {show(data)}/ none is taken: ", end="")
            print(f"--attributes names one, as {show(inside[0])}")
    elif data.suffix.lower() == ".npz" and read_columns(data, len(images)):
        files.append(data)
    stem = data.name if data.is_dir() else data.stem
    files += [data.with_name(stem + ending) for ending in ENDINGS]
    for file in dict.fromkeys(files):
        if file.is_file():
            yield show(file), partial(_read_file, images, file)
    for name, read in find_readers(images.names or ()):
        yield name, lambda read=read: (read(), [])
