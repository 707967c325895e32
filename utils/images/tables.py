"""Reads a table of attributes, and finds the row of each picture by its file's name.

    columns, notes = join(images, read_table(Path("photos.csv")))    # {"age": ["26", ...], ...}

Separated by commas, tabs or semicolons, or as CelebA's lists: the number of rows, a header without
a column for the names, words apart. Names may be written with or without folder and ending.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError
from utils.files import open_plain
from utils.images.data import Images
from utils.words import count

ENDINGS = (".csv", ".tsv")
CELEBA = ("list_attr_celeba.txt", "list_attr_celeba.csv")
DELIMITERS = "\t,;"
LARGEST = 10**9  # bytes of a table
MOST = 1000  # columns of it
Columns = dict[str, Sequence[str]]


def is_table(name: str) -> bool:
    """Tells by its name whether a file is a table, which may lie among the pictures it is of."""
    return name.lower().endswith((*ENDINGS, *CELEBA))


def last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


# How a picture's name and a table's cell are compared, the most exact first: with its folders,
# without, without its ending or endings, and without zeros before a number.
WAYS: tuple[Callable[[str], str], ...] = (
    lambda name: name.replace("\\", "/").removeprefix("./"),
    last,
    lambda name: (last(name).rpartition(".")[0] or last(name)).casefold(),
    lambda name: last(name).partition(".")[0].casefold(),
    lambda name: last(name).partition(".")[0].lstrip("0") or "0",
)


class Table(NamedTuple):
    """A table as it stands in a file, all cells texts."""

    header: list[str]
    rows: list[Sequence[str]]  # each as long as the header


def read_table(path: Path) -> Table:
    """Reads a table with a header: separated by commas, tabs or semicolons, or as CelebA's lists.

    UserError where it is none, or two of its columns have one name.
    """
    try:
        with open_plain(path) as file:
            content = file.read(LARGEST + 1)
    except OSError as problem:
        raise UserError(f"it cannot be read ({problem.strerror}): give a table") from None
    if len(content) > LARGEST:
        raise UserError(f"it is larger than {LARGEST // 10**9} GB: give a table")
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError("it is no text: give a table, separated by commas or tabs")
    lines = _decode(content).splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    if lines[start : start + 1] and lines[start].strip().isdecimal():
        start += 1  # CelebA's lists begin with the number of their rows
    first = lines[start] if start < len(lines) else ""
    delimiter = max(DELIMITERS, key=first.count)
    rows: list[Sequence[str]]
    if delimiter in first:
        text = io.StringIO("\n".join(lines[start:]))
        try:
            rows = [row for row in csv.reader(text, delimiter=delimiter) if row]
        except csv.Error as problem:
            raise UserError(f"it is no table: {problem}") from None
    else:
        rows = [words for line in lines[start:] if (words := line.split())]
        if rows and len(rows) > 1 and len(rows[1]) == len(rows[0]) + 1:
            rows[0] = ["", *rows[0]]  # CelebA names no column for the pictures
    if len(rows) < 2 or len(rows[0]) < 2:
        raise UserError("it has no table: right would be a header, and below it a row per picture")
    header = [name.strip() for name in rows[0]]  # a column without a name is no attribute
    check_header([name for name in header if name])
    return Table(header, [_fit_row(row, len(header), n) for n, row in enumerate(rows[1:], 2)])


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # as a spreadsheet saves "Unicode text"
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def check_header(names: Sequence[str]) -> None:
    if len(names) > MOST:
        raise UserError(f"it has {len(names):,} columns: right would be {MOST:,} at most")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(f"two columns are called {twice[0]!r:.80}: give each a name of its own")


def _fit_row(row: Sequence[str], length: int, number: int) -> Sequence[str]:
    """Returns a row as long as the header: what is left out at its end is missing."""
    if len(row) == length:
        return row
    if any(cell.strip() for cell in row[length:]):
        raise UserError(f"row {number} has {len(row)} cells, the header {length}")
    return [*row[:length], *[""] * (length - len(row))]


def join(images: Images, table: Table) -> tuple[Columns, list[str]]:
    """Finds the row of each picture: by the column that holds most names, else by their order."""
    columns = list(zip(*table.rows, strict=True))
    if images.names is None:
        named, places = _join_by_number(columns, len(images), images.source)
    else:
        named, places = _join_by_name(table, columns, images)
    notes = []
    lacking, unused = places.count(None), len(table.rows) - len(set(places) - {None})
    if lacking:
        notes.append(f"{count(lacking, 'picture')} of {images.source} without a row")
    if unused:
        notes.append(f"{count(unused, 'row')} without a picture")
    pick = itemgetter(*(len(table.rows) if place is None else place for place in places), 0)
    return {
        name: pick((*cells, ""))[:-1]  # what has no row is missing
        for n, (name, cells) in enumerate(zip(table.header, columns, strict=True))
        if name and n != named and any(cells)
    }, notes


def _join_by_number(
    columns: list[Sequence[str]], pictures: int, source: str
) -> tuple[int | None, list[int | None]]:
    """Finds rows of pictures without names: by a first column that counts them, else by order."""
    for first in (0, 1):
        numbers = {str(first + n): n for n in range(pictures)}
        places = {numbers[cell.strip()]: row for row, cell in enumerate(columns[0])
                  if cell.strip() in numbers}  # fmt: skip
        if len(places) == len(columns[0]) == pictures:
            return 0, [places[n] for n in range(pictures)]
    if len(columns[0]) != pictures:
        raise UserError(
            f"it has {count(len(columns[0]), 'row')}, {source} {count(pictures, 'picture')} without"
            " names: right would be a row for each, in their order"
        )
    return None, list(range(pictures))


def _join_by_name(
    table: Table, columns: list[Sequence[str]], images: Images
) -> tuple[int, list[int | None]]:
    """Finds the column of names, how they are written, and the row of each picture."""
    best, chosen = 0, (0, WAYS[0], {})
    different = [{cell.strip() for cell in set(cells)} for cells in columns]
    several = [c for c, cells in enumerate(columns) if 2 * len(different[c]) >= len(cells)]
    for way in WAYS:
        pictures: dict[str, int | None] = {}
        for n, name in enumerate(images.names):
            key = way(name)
            pictures[key] = None if key in pictures else n  # what two are called names none
        for c in several:  # names are different
            if way not in WAYS[:2] and any(table.header[:c]):
                continue  # beyond the first column a number is a number
            found = sum(pictures.get(way(cell)) is not None for cell in different[c])
            if found > best:
                best, chosen = found, (c, way, pictures)
        if best == len(images):
            break
    named, way, pictures = chosen
    title, first = table.header[named], str(columns[named][0]).strip()
    if best == 0:
        raise UserError(
            f"no row of it fits a picture of {images.source}: right would be a first column of "
            f"names such as {images.names[0]!r:.60}, here {title!r:.40} has {first!r:.60}"
        )
    if pictures.get(way(title)) is not None:
        raise UserError(f"it has no header: its first line is {title!r:.60}'s row already")
    places: list[int | None] = [None] * len(images)
    for row, cell in enumerate(columns[named]):
        n = pictures.get(way(cell.strip()))
        if n is None:
            continue
        if places[n] is not None and table.rows[places[n]] != table.rows[row]:
            raise UserError(f"two rows of {images.names[n]!r:.60} differ: give each picture one")
        places[n] = row
    return named, places
