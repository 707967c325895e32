"""Runs: history.csv of several trainings as curves, and what they wrote early and late."""

import csv
import io
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from explorer.library import MOST_RUNS, Library
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
    """Reads history.csv as columns; of more epochs than can be shown every second, third, ...

    None stands for what is no number, or infinite. UserError where it is no table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_small(folder / "history.csv"))))
    except csv.Error:
        file = files.show(folder / "history.csv")
        raise UserError(f"{file} is no table any more: train again") from None
    rows = rows[:: -math.ceil(len(rows) / MOST_ROWS) or 1][::-1]  # the last is always among them
    names = list(rows[0]) if rows else []

    def number(value: Any) -> float | None:
        try:
            found = float(value or "")
        except (ValueError, TypeError):
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


def is_training(folder: Path) -> bool:
    """Tells whether a process is training a run: one that was killed has left a file, no lock."""
    if not folder.with_name(f".{folder.name}.owner").is_file():
        return False
    held = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        held.acquire(timeout=0)
    except (Timeout, OSError):  # or there are no locks here
        return True
    held.release()
    return False


def trained(library: Library) -> dict[str, int]:
    """Lists the runs that have a history, the newest first, and when that was written, in ns."""
    written = {}
    for folder in library.folders():
        with suppress(OSError):
            written[folder.name] = (folder / "history.csv").stat().st_mtime_ns
    return dict(sorted(written.items(), key=lambda item: -item[1])[:MOST_RUNS])


def list_trained(query: Query, library: Library) -> dict[str, Any]:
    """Lists the runs that have a history, each with what changes with it, and who trains now."""
    query.finish()
    live = [folder.name for folder in library.folders(training=True) if is_training(folder)]
    there = [[run, str(changed)] for run, changed in trained(library).items()]
    return {"there": there, "live": sorted(live)}


def show_history(query: Query, library: Library) -> dict[str, Any]:
    """Gives the history of a run as columns."""
    return {"columns": read_history(choose(query, library))}


def choose(query: Query, library: Library) -> Path:
    """Finds the folder of the run asked for. UserError where it has none with a history."""
    run = query.text("run", "", most=120)
    query.finish()
    if run not in trained(library):
        raise UserError(f"there is no history of {run!r:.60}: train it, or choose another run")
    return files.find("checkpoints", run)


def show_protocol(query: Query, library: Library) -> dict[str, Any]:
    """Gives what a run wrote at each epoch of its protocol."""
    folder = choose(query, library)
    return {
        "passages": read_protocol(read_small(files.find("results", folder.name) / "protocol.md"))
    }


ROUTES = {"there": list_trained, "history": show_history, "protocol": show_protocol}
