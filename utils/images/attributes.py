"""What is known of pictures: attributes, each a number or a category, and cells that are missing.

    attributes, left_out = make_attributes({"age": ["26", "", "31"], "hat": ["no", "yes", "no"]})
    attributes.describe()                       # ["age: a number, 26 to 31; 1 missing", ...]

Which of the two a column is, what stands in it says: words are categories, numbers are numbers, but
those of two values, or of a few whole ones, are categories. A name may know better: an angle is a
number however few there are, and a person's number is none.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from utils.errors import UserError
from utils.words import count

MISSING = {"", "nan", "na", "n/a", "null", "?"}
FEW = 10  # different whole numbers that are categories still
MOST = 100  # categories: a word in more of them is a name or a remark, and no attribute
NUMERIC = 0.95  # share of a column's cells from which on the others are slips of the pen
ANGLES = ("yaw", "pose", "angle")  # what a face is turned by, in this order
ORDERED = {*ANGLES, "pitch", "roll", "age"}  # numbers, however few
NOMINAL = {"id", "identity", "person", "subject", "class", "label", "digit"}  # never numbers
LISTED = 6  # categories in a printed line


@dataclass(frozen=True)
class Attributes:
    """F attributes of N pictures; of a category, the numbers 0, 1, ... of its words."""

    names: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]  # of each category's values; () for a number
    values: np.ndarray  # float64 (N, F)
    valid: np.ndarray  # bool (N, F), where a value is known

    @property
    def categories(self) -> tuple[int, ...]:
        """Says how many values each category has, (F,); 0 for a number."""
        return tuple(len(words) for words in self.words)

    def take(self, rows: np.ndarray | slice) -> "Attributes":
        """Returns those of the pictures at these rows."""
        return replace(self, values=self.values[rows], valid=self.valid[rows])

    def find(self, name: str, option: str) -> int:
        """Finds an attribute by its name, in any case. UserError lists those that there are."""
        if name in self.names:
            return self.names.index(name)
        places = [n for n, known in enumerate(self.names) if known.casefold() == name.casefold()]
        if len(places) != 1:
            known = ", ".join(self.names[place] for place in places or range(len(self.names)))
            what = "it may be" if places else "no such attribute, known are"
            raise UserError(f"{option} {name!r:.80}: {what} {known or 'none'}")
        return places[0]

    def describe(self) -> list[str]:
        """Says in a line for each attribute what it is, its values, how many are missing."""
        lines = []
        for f, (name, words) in enumerate(zip(self.names, self.words, strict=True)):
            known = self.values[self.valid[:, f], f]
            if words:
                shares = np.bincount(known.astype(int), minlength=len(words)) / max(1, len(known))
                most = sorted(np.argsort(-shares, kind="stable")[:LISTED].tolist())
                kind = ", ".join(f"{words[place]} ({100 * shares[place]:.0f} %)" for place in most)
                if len(words) > LISTED:
                    kind = f"{len(words)} categories, most often {kind}"
            else:
                kind = f"a number, {known.min():g} to {known.max():g}"
            missing = len(self.valid) - len(known)
            lines.append(f"{name}: {kind}" + (f"; {missing:,} missing" if missing else ""))
        return lines


class Column(NamedTuple):
    """One attribute of N pictures."""

    words: tuple[str, ...]
    values: np.ndarray  # (N,)
    valid: np.ndarray  # (N,)


def make_attributes(columns: Mapping[str, Sequence[str]]) -> tuple[Attributes, list[str]]:
    """Makes attributes of columns of N cells each, texts; and says which are left out, and why.

    UserError where none is left.
    """
    kept, left_out = {}, []
    for name, cells in columns.items():
        column = read_column(name, cells)
        if isinstance(column, str):
            left_out.append(f"left out {name}: {column}")
        else:
            kept[name] = column
    if not kept:
        why = f" ({'; '.join(left_out[:3])})" if left_out else ""
        raise UserError(f"no attribute is left{why}: right would be columns whose values vary")
    words, values, valid = zip(*kept.values(), strict=True)
    return Attributes(tuple(kept), words, np.stack(values, 1), np.stack(valid, 1)), left_out


def read_column(name: str, cells: Sequence[str]) -> Column | str:
    """Reads the cells of a column (N,) as a number or a category; or says why it is neither."""
    index = {cell: place for place, cell in enumerate(dict.fromkeys(cells))}
    codes = np.fromiter(map(index.__getitem__, cells), int, len(cells))
    texts, counts = [cell.strip() for cell in index], np.bincount(codes, minlength=len(index))
    missing = np.array([text.casefold() in MISSING for text in texts], dtype=bool)
    numbers = np.array([read_number(text) for text in texts], dtype=float)
    numeric = np.isfinite(numbers)
    known = int(counts[~missing].sum())
    if known == 0:
        return "all of its cells are missing"
    if counts[numeric].sum() >= NUMERIC * known:
        return _read_numbers(name, numbers, counts, codes)
    words = tuple(sorted({text for text, lacks in zip(texts, missing, strict=True) if not lacks}))
    if len(words) == 1:
        return f"it never varies, it is {words[0]!r:.40}"
    if len(words) > max(2, min(MOST, known // 2)):
        return f"{len(words):,} different words in {count(known, 'cell')}, no categories"
    place = {word: number for number, word in enumerate(words)}
    values = np.array([place.get(text, 0) for text in texts], dtype=float)
    return Column(words, values[codes], ~missing[codes])


def _read_numbers(
    name: str, numbers: np.ndarray, counts: np.ndarray, codes: np.ndarray
) -> Column | str:
    """Tells of a column of numbers whether they stand for categories; `codes` point into them."""
    numeric = np.isfinite(numbers)
    different = np.unique(numbers[numeric & (counts > 0)])
    if len(different) == 1:
        return f"it never varies, it is {different[0]:g}"
    most = MOST if is_called(name, NOMINAL) else FEW
    few = len(different) <= min(most, counts[numeric].sum() // 2)
    whole = bool((different == np.rint(different)).all())
    if (len(different) == 2 or (whole and few)) and not is_called(name, ORDERED):
        words = tuple(f"{value:g}" for value in different)
        values = np.searchsorted(different, np.where(numeric, numbers, different[0])).astype(float)
    else:
        words, values = (), np.where(numeric, numbers, 0)
    return Column(words, values[codes], numeric[codes])


def read_number(text: str) -> float:
    """Reads a number, with a comma or a point; NaN for anything else."""
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        text = text.replace(",", ".")
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def is_called(name: str, known: set[str]) -> bool:
    """Tells whether a column has one of these names, alone or as a part: "yaw", "head_yaw"."""
    return not known.isdisjoint(re.split(r"[^a-z]+", name.casefold()))
