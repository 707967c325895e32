"""Facts: what a report shows of a file, with the file and the place where it is found again.

    history.csv     "epoch=22/val_nats": the row whose epoch is 22, the column val_nats
    config.json     "training.epochs", as in any .json, .toml and, of a checkpoint's entries, .pt
    best.pt         "weights": how many numbers it learned
    protocol.md     "text": the words themselves, as in any other file

How a number comes from the value at its place is one of WAYS: as it is, or in another unit.
"""

import csv
import functools
import io
import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import files
from utils.errors import UserError
from utils.files import open_plain, show
from utils.training import checkpoint

# What batch normalisation has counted, not learned.
COUNTED = ("running_mean", "running_var", "num_batches_tracked")
WAYS: dict[str, Callable[[float], float]] = {
    "": float,
    "in bits": lambda nats: nats / math.log(2),
    "in minutes": lambda seconds: seconds / 60,
}


@dataclass(frozen=True)
class Fact:
    """A piece of text that a report takes from a file, and all that is needed to find it there."""

    text: str  # as it is shown
    file: Path
    place: str
    value: str = ""  # as it is in the file
    way: str = ""  # of WAYS

    @property
    def origin(self) -> str:
        """Says in a line where it comes from: what a reader sees beside a number."""
        parts = [name_file(self.file)]
        if self.place != "text":
            parts.append(f"{self.place} = {self.value}" if self.value else self.place)
        return " · ".join([*parts, self.way] if self.way else parts)


def roots() -> list[Path]:
    """Lists the folders that files are named from: of what runs write, and the project."""
    return [*(files.output(part).parent for part in ("checkpoints", "results")), files.ROOT]


def name_file(file: Path) -> str:
    """Writes a path as a report does: from the folder of all output, or of the project."""
    for root in roots():
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
    return str(file)


def find_named(name: str) -> Path:
    """Finds the file that `name_file` named so."""
    found = [root / name for root in roots() if (root / name).is_file()]
    return found[0] if found else Path(name)


def shorten(value: Any, digits: int = 4) -> str:
    """Writes a number as a report shows it: thousands apart, of a fraction so many digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, digits - whole)}f}" if whole else f"{value:.{digits}g}"


def plain(value: Any) -> str:
    """Writes a setting as config.json has it; a text without its quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def take_number(file: Path, place: str, way: str = "", digits: int = 4) -> Fact | None:
    """Takes a number from a file; None where that place is empty. UserError for what is none."""
    value = look_up(file, place)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        where = f"{show(file)}: {place} is {value!r:.40}"
        raise UserError(f"{where}, not a number: remove it, and it is made anew") from None
    if not way and isinstance(value, str) and value.lstrip("-").isdecimal():
        number = int(value)
    elif not way and isinstance(value, int):
        number = value
    shown = shorten(number if not way else WAYS[way](number), digits)
    return Fact(shown, file, place, str(value), way)


def take_text(file: Path, place: str) -> Fact | None:
    """Takes a text, or a setting, from a file; None where that place is empty."""
    value = look_up(file, place)
    return None if value is None else Fact(plain(value), file, place, plain(value))


def quote(text: str, file: Path) -> Fact:
    """Takes words that stand in a text file."""
    return Fact(text, file, "text")


def look_up(file: Path, place: str) -> Any:
    """Finds the value at a place of a file; of a .csv it is a text. None where nothing is there."""
    if file.suffix == ".csv":
        return look_up_row(read_rows(file), place)
    value = read(file)
    if file.suffix == ".pt" and place == "weights":
        return count_weights(value)
    if place == "text":
        return value
    for name in place.split("."):
        if isinstance(value, list):
            value = value[int(name)] if name.isdecimal() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def look_up_row(rows: list[dict[str, str]], place: str) -> str | None:
    """Finds "column=value/other column" in the rows of a table, or "all rows/column": their sum."""
    which, _, column = place.rpartition("/")
    if which == "all rows":
        return str(sum(float(row[column]) for row in rows))
    name, _, value = which.partition("=")
    found = next((row for row in rows if row.get(name) == value), {})
    return found.get(column) or None


def count_weights(content: dict[str, Any]) -> int:
    """Counts the numbers that a checkpoint's network has learned."""
    weights = content["model"].items()
    return sum(weight.numel() for name, weight in weights if not name.endswith(COUNTED))


def read_rows(file: Path) -> list[dict[str, str]]:
    """Reads a table with a line of names. UserError where it is none."""
    return read(file)


def read(file: Path) -> Any:
    """Reads a file by its ending, once: nothing changes while a report is written."""
    state = file.stat() if file.is_file() else None
    return _read(file, state and (state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=512)
def _read(file: Path, state: tuple[int, int] | None) -> Any:
    if file.suffix == ".pt":
        content = checkpoint.load(file)
        return dict(content)
    try:
        with open_plain(file) as opened:
            text = opened.read().decode("utf-8-sig")
        if file.suffix == ".csv":
            reader = csv.DictReader(io.StringIO(text), strict=True)
            rows = list(reader)
            if not rows or any(None in row or None in row.values() for row in rows):
                raise ValueError("it has no rows, or some that are cut short")
            return rows
        parsers = {".json": json.loads, ".toml": tomllib.loads}
        return parsers.get(file.suffix, str)(text)
    except FileNotFoundError:
        raise UserError(f"{show(file)} is not there") from None
    except UnicodeDecodeError as problem:
        raise UserError(
            f"{show(file)} is not UTF-8 text (byte {problem.start}): save it as UTF-8"
        ) from None
    except (ValueError, csv.Error, RecursionError) as problem:
        raise UserError(f"{show(file)} cannot be read: {problem}") from None
