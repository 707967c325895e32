"""Where files lie, what a path looks like in a message, and how a file is written: whole.

Every path starts at the repository, wherever a command is called from.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

# Windows cannot have files of these names, with any ending.
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}


def check_name(name: str, what: str) -> str:
    """Returns a name that is one folder on every system; UserError for any other."""
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) and not name.endswith(".")
    if not fits or name.split(".")[0].lower() in RESERVED:
        raise UserError(
            f"{what} {name!r} cannot be a folder's name: "
            "use letters, digits, '_', '-' and '.', starting with a letter, a digit or '_'"
        )
    return name


def show(path: Path) -> str:
    """Writes a path as the user would type it: short inside the repository, whole elsewhere."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def data_folder(name: str) -> Path:
    return ROOT / "data" / check_name(name, "the data's name")


def checkpoint_folder(run: str) -> Path:
    return ROOT / "checkpoints" / check_name(run, "the run's name")


def result_folder(run: str) -> Path:
    return ROOT / "results" / check_name(run, "the run's name")


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file so that it is there whole or not at all: beside it, flushed, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as problem:
        problem.filename = show(path)  # a full disk names no file, an unwritable one the partial
        raise
    finally:
        partial.unlink(missing_ok=True)
    return path


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Lets one process at a time make what belongs at a path; the others wait, then find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    with FileLock(file):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows: another process has it open, and removes it
                file.unlink()


def make_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Turns rows of the same columns into the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
