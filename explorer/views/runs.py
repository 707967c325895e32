"""Runs: history.csv of several trainings as curves, and what they wrote early and late."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

from explorer.library import Library
from explorer.web import Query
from utils import files
from utils.errors import UserError

NAME = "runs"
MOST_BYTES = 4 * 10**6
MOST_ROWS = 2000
LINE = re.compile(r" *(prompt|original|epoch \d+)  (.*)")


def read_small(path: Path) -> str:
    """Reads a text file of a run; "" where there is none. UserError where it is too large."""
    try:
        with files.open_plain(path) as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(content) > MOST_BYTES:
        raise UserError(f"{files.show(path)} is too large to be shown")
    return content.decode("utf-8", "replace")


def read_history(folder: Path) -> dict[str, list[float | None]]:
    """Reads history.csv as columns, as many epochs as can be shown."""
    rows = list(csv.DictReader(io.StringIO(read_small(folder / "history.csv"))))[:MOST_ROWS]
    names = list(rows[0]) if rows else []

    def number(value: str | None) -> float | None:
        try:
            found = float(value or "")
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    return {name: [number(row[name]) for row in rows] for name in names if name}


def read_protocol(text: str) -> list[list[tuple[str, str]]]:
    """Reads protocol.md: for each passage its lines, (prompt, original, epoch 10, ...) -> text."""
    passages: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line.startswith("## Passage"):
            passages.append([])
        elif passages and (match := LINE.fullmatch(line)):
            passages[-1].append((match[1], match[2]))
    return passages


def trained(library: Library) -> dict[str, Path]:
    """Lists the folders of runs that have a history."""
    return {path.name: path for path in library.folders() if (path / "history.csv").is_file()}


def list_trained(query: Query, library: Library) -> dict[str, Any]:
    """Lists the runs that have a history, and those that are training now."""
    query.finish()
    there = trained(library)
    live = [run for run in there if (there[run].parent / f".{run}.owner").is_file()]
    return {"there": list(there), "live": live}


def show_history(query: Query, library: Library) -> dict[str, Any]:
    """Gives the history of a run as columns."""
    run = query.text("run", "", most=120)
    query.finish()
    there = trained(library)
    if run not in there:
        raise UserError(f"there is no history of {run!r:.60}: train it, or choose another run")
    return {"columns": read_history(there[run])}


def show_protocol(query: Query, library: Library) -> dict[str, Any]:
    """Gives what a run wrote at each epoch of its protocol."""
    run = query.text("run", "", most=120)
    query.finish()
    if run not in trained(library):
        raise UserError(f"there is no protocol of {run!r:.60}: train it, or choose another run")
    text = read_small(files.find("results", run) / "protocol.md")
    return {"passages": read_protocol(text)}


ROUTES = {"there": list_trained, "history": show_history, "protocol": show_protocol}
