"""How measurements are kept: a CSV file with a line for each training, and what it was taken on.

row = {"seed": 0, "frechet": 10.0}
add_record(RECORDS / "gan.csv", row | name_circumstances())
"""

import csv
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from utils import files
from utils.words import count, make_csv

RECORDS = Path(__file__).resolve().parent / "records"


def read_records(file: Path) -> list[dict[str, str]]:
    """Reads the lines of a record; none where there is no file yet."""
    if not file.is_file():
        return []
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def add_record(file: Path, row: dict[str, Any], group: str = "") -> None:
    """Adds a line to a record, which stays sorted by the column `group`, then by seed."""
    rows = [*read_records(file), row]
    rows.sort(key=lambda row: (row.get(group, ""), int(row["seed"])))
    files.write_whole(file, make_csv(rows).encode())


def round_numbers(numbers: dict[str, Any]) -> dict[str, Any]:
    """Writes fractions with six digits, and leaves whole numbers and words."""
    return {
        key: f"{value:.6g}" if isinstance(value, float) else value for key, value in numbers.items()
    }


def name_circumstances() -> dict[str, str]:
    """Names what a line was taken on: the processor, versions, the commit."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return {"processor": name_processor(), "versions": versions, "commit": name_commit()}


def name_processor() -> str:
    """Names the processor and how many threads torch takes."""
    name = platform.processor() or platform.machine()
    if (known := Path("/proc/cpuinfo")).is_file():
        lines = [line for line in known.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {count(torch.get_num_threads(), 'thread')}"


def name_commit() -> str:
    """Names the commit that is checked out, with a + where files differ from it."""
    git = ["git", "-C", str(files.ROOT)]
    try:
        said = subprocess.run([*git, "describe", "--always", "--dirty=+"], capture_output=True)
    except FileNotFoundError:
        return ""
    return said.stdout.decode().strip()
