"""Writes the tables of docs that are made of benchmarks/records/*.csv.

    python -m docs.records              from the repository's root

A table stands between two marks that name it. A test compares the pages with what this makes.
"""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent
RECORDS = DOCS.parent / "benchmarks" / "records"
BEGIN, END = "<!-- made by python -m docs.records: {} -->\n", "<!-- until here -->\n"
Table = Callable[[], str]


def read_record(name: str) -> list[dict[str, str]]:
    """Reads the rows of benchmarks/records/<name>.csv."""
    with open(RECORDS / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def text_floors(text: str) -> str:
    """Makes the table of what counting and compressing predict of a text: the best n alone."""
    lines = ["| floor | stream: nats | bits | cold blocks: nats |", "|---|---|---|---|"]
    rows = [row for row in read_record("text_floors") if row["text"] == text]
    grams = [row for row in rows if row["what"] == "Kneser-Ney"]
    best = min(grams, key=lambda row: float(row["blocks_nats"]))
    for row in rows:
        if row in grams and row is not best:
            continue
        name = f"Kneser-Ney, n = {row['n']}" if row is best else row["what"]
        nats = float(row["stream_nats"])
        cells = [name, f"{nats:.4f}", f"{nats / math.log(2):.4f}", row["blocks_nats"] or "-"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, dict[str, Table]] = {
    "text.md": {
        "floors of the default text": lambda: text_floors("default"),
        "floors of tinyshakespeare": lambda: text_floors("tinyshakespeare"),
    },
}


def put_in(page: str, tables: dict[str, Table]) -> str:
    """Puts each table between its marks."""
    for name, make in tables.items():
        begin = BEGIN.format(name)
        part = f"{begin}\n{make()}\n{END}"
        pattern = re.escape(begin) + ".*?" + re.escape(END)
        page, count = re.subn(pattern, lambda _, part=part: part, page, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"the marks of {name!r} stand there {count} times, not once")
    return page


if __name__ == "__main__":
    for file, tables in TABLES.items():
        text = (DOCS / file).read_text(encoding="utf-8")
        (DOCS / file).write_text(put_in(text, tables), encoding="utf-8")
