"""Writes the tables of docs that are made of benchmarks/records/*.csv.

    python -m docs.records              from the repository's root

A table stands between two marks that name it. A test compares the pages with what this makes.
"""

import csv
import math
import re
import statistics
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


def digits(number: int, times: float = 1) -> Callable[[float], str]:
    """Writes a value, in units of 1 / `times`, with so many digits behind the point."""
    return lambda value: f"{times * value:.{number}f}"


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


# For each kind of run the columns of its table: heading, column of the record, how it is written.
COLUMNS: dict[str, list[tuple[str, str, Callable[[float], str]]]] = {
    "text": [
        ("stream: nats", "stream_nats", digits(3)),
        ("bits", "stream_bits", digits(3)),
        ("right", "right", percent),
        ("cold blocks: nats", "blocks_nats", digits(3)),
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


def seeds(kind: str, *names: str) -> str:
    """Makes the table of runs that benchmarks/studies/seeds.py trained: a line for each record."""
    columns = [*COLUMNS[kind], MINUTES]
    lines = ["| run | seeds | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for name in names:
        rows = read_record(name)
        cells = [summarise([float(row[key]) for row in rows], write) for _, key, write in columns]
        lines.append(f"| `{name}` | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


NO_RACE = (
    "The record is not taken yet; that command takes it, in half an hour to an hour a track.\n"
)


def two_cores() -> str:
    """Makes the table of the two-core record: the last session of each configuration."""
    if not (RECORDS / "two_cores.csv").is_file():
        return NO_RACE
    rows = read_record("two_cores")
    columns = "track | settings | seeds | seconds | processor seconds | nats | of today's time | on"
    lines = [f"| {columns} |", "|---" * 8 + "|"]
    for track, config in dict.fromkeys((row["track"], row["config"]) for row in rows):
        own = [row for row in rows if (row["track"], row["config"]) == (track, config)]
        session = max(row["session"] for row in own)
        own = [row for row in own if row["session"] == session]
        today = [
            float(row["seconds"])
            for row in rows
            if (row["track"], row["config"], row["session"]) == (track, "tinyshakespeare", session)
        ]
        seconds, busy = (
            [float(row[key]) for row in own] for key in ("seconds", "processor_seconds")
        )
        late = sum(row["reached"] != "yes" for row in own)
        share = f"{statistics.mean(seconds) / statistics.mean(today):.2f}" if today else "-"
        cells = [track, f"`{config}`", str(len(own)), summarise(seconds, digits(0))]
        cells[3] += f", {late} of them not there" if late else ""
        cells += [summarise(busy, digits(0)), summarise([float(r["nats"]) for r in own], digits(4))]
        lines.append(f"| {' | '.join([*cells, share, own[0]['processor']])} |")
    return "\n".join(lines) + "\n"


NO_CARD = (
    "No GPU was at hand: nothing here is measured yet. On a machine with one, the command above\n"
)
NO_CARD += (
    "fills `benchmarks/records/gpu.csv`, and `python -m docs.records` puts its tables here.\n"
)


def gpu() -> str:
    """Makes the tables of what benchmarks/speed/gpu.py measured; a sentence where it did not."""
    if not (RECORDS / "gpu.csv").is_file():
        return NO_CARD
    rows = read_record("gpu")
    parts = {
        name: [row for row in rows if row["part"] == name] for name in {r["part"]: 0 for r in rows}
    }
    origin = "; ".join(
        dict.fromkeys(f"{row['card']}, {row['versions']}, {row['commit']}" for row in rows)
    )
    lines = [f"{origin}.", ""]
    lines += [f"{row['what']}: {row['result']}." for row in parts.get("tests", ())] + [""]
    lines += ["| a training's second epoch | precision | seconds | peak memory, MB | nats |"]
    lines += ["|---|---|---|---|---|"]
    for row in parts.get("epochs", ()):
        cells = (row[name] or "-" for name in ("what", "precision", "seconds", "megabytes", "nats"))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| whole training | minutes | best epoch | nats |", "|---|---|---|---|"]
    for row in parts.get("whole", ()):
        minutes = f"{float(row['seconds']) / 60:.1f}"
        lines.append(f"| {row['what']} | {minutes} | {row['best_epoch']} | {row['nats']} |")
    lines += ["", "| the same training | largest difference of its nats |", "|---|---|"]
    words = {
        "equal": "on the GPU and on the CPU",
        "torchrun": "with torchrun and without, on the GPU",
    }
    for part, where in words.items():
        for row in parts.get(part, ()):
            lines.append(f"| {row['what']}, {where} | {row['difference']} |")
    return "\n".join(lines) + "\n"


def table_of_units(rows: list[dict[str, str]]) -> str:
    """Makes the table of what single units know: a column for each kind of model.

    The rows are those of benchmarks/studies/cells.py. A kind's only run has its unit beside the
    score, several have their mean, lowest and highest.
    """
    kinds = dict.fromkeys(row["kind"] for row in rows)
    runs = {kind: {row["run"] for row in rows if row["kind"] == kind} for kind in kinds}
    heads = [f"{kind}, {len(runs[kind])} seeds" if len(runs[kind]) > 1 else kind for kind in kinds]
    lines = [f"| property | measure | {' | '.join(heads)} | by chance |"]
    lines.append("|---" * (len(kinds) + 3) + "|")
    for name in dict.fromkeys(row["property"] for row in rows):
        found = [row for row in rows if row["property"] == name]
        cells = []
        for kind in kinds:
            own = [row for row in found if row["kind"] == kind]
            written = summarise([float(row["score"]) for row in own], digits(2)) if own else ""
            alone = f" ({own[0]['unit']})" if len(runs[kind]) == len(own) == 1 else ""
            cells.append(f"{written}{alone}" or "too rare")
        chance = max(float(row["chance"]) for row in found)
        cells = [name, found[0]["measure"], *cells, digits(2)(chance)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, dict[str, Table]] = {
    "speed.md": {"on a GPU": gpu},
    "text.md": {
        "floors of the default text": lambda: text_floors("default"),
        "floors of tinyshakespeare": lambda: text_floors("tinyshakespeare"),
        "the two-core record": two_cores,
        "what single units know": lambda: table_of_units(read_record("cells")),
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
