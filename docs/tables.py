"""How the tables of docs/records.py are made: columns, records read, rows summarised."""

import csv
import statistics
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benchmarks" / "records"
Columns = list[tuple[str, str, Callable[[float], str]]]  # heading, key, how it is written


def read_record(name: str) -> list[dict[str, str]]:
    """Reads the rows of benchmarks/records/<name>.csv; none where there is no such file."""
    if not (RECORDS / f"{name}.csv").is_file():
        return []
    with open(RECORDS / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digits(number: int, times: float = 1) -> Callable[[float], str]:
    """Writes a value, in units of 1 / `times`, with so many digits behind the point."""
    return lambda value: f"{times * value:.{number}f}"


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


# For each kind of run the columns of its table: heading, column of the record, how it is written.
COLUMNS: dict[str, Columns] = {
    "text": [
        ("stream: nats", "stream_nats", digits(3)),
        ("bits", "stream_bits", digits(3)),
        ("right", "right", percent),
        ("cold blocks: nats", "blocks_nats", digits(3)),
        ("best epoch", "best_epoch", digits(0)),
    ],
    "test text": [
        ("validation: stream, nats", "stream_nats", digits(3)),
        ("cold blocks", "blocks_nats", digits(3)),
        ("test: stream, nats", "test_stream_nats", digits(3)),
        ("cold blocks", "test_blocks_nats", digits(3)),
        ("best epoch", "best_epoch", digits(0)),
    ],
    "faces": [
        ("MIG", "mig", digits(3)),
        ("DCI: D", "dci_disentanglement", digits(3)),
        ("C", "dci_completeness", digits(3)),
        ("I", "dci_informativeness", digits(3)),
        ("latents named", "named", digits(1)),
        ("active", "active", digits(1)),
        ("squared error, 1e-3", "squared_error", digits(2, times=1000)),
        ("turned: degrees of error", "degrees", digits(1)),
    ],
    "likelihood": [
        ("bound: bits per dimension", "bound_bpd", digits(4)),
        ("100 draws", "draws_100_bpd", digits(4)),
        ("active latents", "active", digits(1)),
    ],
    "pictures": [
        ("Fréchet distance", "frechet", digits(1)),
        ("digits covered", "covered", digits(0)),
        ("rarest", "rarest", percent),
    ],
    "palindromes": [
        ("validation accuracy", "right", percent),
        ("validation nats", "nats", digits(4)),
        ("best epoch", "best_epoch", digits(0)),
    ],
}
MINUTES = ("processor minutes", "seconds", digits(1, times=1 / 60))


def summarise(values: list[float], write: Callable[[float], str]) -> str:
    """Writes the mean, and the lowest and the highest value where they differ as written."""
    mean, low, high = (write(f(values)) for f in (statistics.mean, min, max))
    return mean if low == high else f"{mean} ({low} to {high})"


def tabulate(head: str, groups: dict[str, list[dict[str, str]]], columns: Columns) -> str:
    """Makes a table with a line for each group of rows: how many, and each column summarised."""
    lines = [f"| {head} | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + head.count("|") + 1) + "|")
    for name, rows in groups.items():
        cells = [summarise([float(row[key]) for row in rows], write) for _, key, write in columns]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def group_rows(rows: list[dict[str, str]], key: str) -> dict[str, list[dict[str, str]]]:
    """Puts rows with the same value of `key` together, in the order in which they come."""
    return {
        value: [row for row in rows if row[key] == value] for value in {r[key]: 0 for r in rows}
    }
