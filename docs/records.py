"""Writes the tables of docs that are made of benchmarks/records/*.csv.

    python -m docs.records              from the repository's root

A table stands between two marks that name it. It has a row for each record that is there, and
names those that are not. A test compares the pages with what this makes.
"""

import math
import re
import statistics
from collections.abc import Callable
from functools import partial

import torch

from docs.tables import (
    COLUMNS,
    MINUTES,
    ROOT,
    Columns,
    digits,
    group_rows,
    read_record,
    summarise,
    tabulate,
)

BEGIN, END = "<!-- made by python -m docs.records: {} -->\n", "<!-- until here -->\n"
Table = Callable[[], str]


def text_floors(text: str) -> str:
    """Makes the table of what counting and compressing predict of a text: the best n alone."""
    lines = ["| floor | stream: nats | bits | cold blocks: nats |", "|---|---|---|---|"]
    rows = [row for row in read_record("text_floors") if row["text"] == text]
    if not rows:
        return "Not recorded yet.\n"
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


NO_RACE = """\
The record is not taken yet; that command takes it, in half an hour to an hour a track.
"""


def two_cores() -> str:
    """Makes the table of the two-core record: the last session of each configuration."""
    rows = read_record("two_cores")
    if not rows:
        return NO_RACE
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


def is_shipped(name: str) -> bool | None:
    """Tells whether the record's seed 0 is the shipped checkpoint: the same epoch and loss.

    None where there is no seed 0, or where the two have no number in common.
    """
    first = next((row for row in read_record(name) if row["seed"] == "0"), {})
    column = next((column for column in ("blocks_nats", "nats") if column in first), None)
    file = ROOT / "pretrained" / f"{name}.pt"
    if column is None or not file.is_file():
        return None
    shipped = torch.load(file, map_location="cpu", weights_only=True)
    same_loss = math.isclose(
        float(first[column]), shipped["row"]["val_nats"], rel_tol=1e-4, abs_tol=1e-9
    )
    return same_loss and int(first["best_epoch"]) == shipped["epoch"]


def seeds(kind: str, *names: str) -> str:
    """Makes the table of runs that benchmarks/studies/seeds.py trained: a line for each record.

    Below it stands which seed 0 is the shipped checkpoint, and which records are not there.
    """
    groups = {f"`{name}`": read_record(name) for name in names if read_record(name)}
    table = tabulate("run | seeds", groups, [*COLUMNS[kind], MINUTES]) if groups else ""
    words = {
        "Seed 0 is the shipped checkpoint": [name for name in names if is_shipped(name)],
        "The shipped checkpoint was trained on another machine, and no seed here equals it": [
            name for name in names if is_shipped(name) is False
        ],
        "Not recorded yet": [name for name in names if not read_record(name)],
    }
    said = [
        f"{what}: {', '.join(f'`{n}`' for n in which)}." for what, which in words.items() if which
    ]
    return "\n".join(filter(None, [table, *said])) + ("\n" if said else "")


def digit_floors() -> str:
    """Makes the table of what real digits score against real ones, and of recipes for a GAN."""
    columns: Columns = [("Fréchet distance", "frechet", digits(2))]
    groups = {}
    for what, rows in group_rows(read_record("digit_floors"), "what").items():
        groups[f"{what}, {int(rows[0]['pictures']):,} to {int(rows[0]['compared_with']):,}"] = rows
    names = {"theirs": "PyTorch-GAN's recipe", "eps": "the same at batch normalisation's own eps"}
    names["ours"] = "`models/gan`, last epoch"
    recipes = group_rows(read_record("gan_recipes"), "recipe")
    groups |= {f"{names[name]}, 10,000 samples": recipes[name] for name in names if name in recipes}
    said = "" if "eps" in recipes else f"\nNot recorded yet: {names['eps']}.\n"
    return tabulate("what | draws or seeds", groups, columns) + said


def face_floors() -> str:
    """Makes the table of what scores of faces are where nothing was learned."""
    columns: Columns = [("MIG", "mig", digits(4)), ("latents named", "named", digits(1))]
    groups = group_rows(read_record("face_floors"), "what")
    return tabulate("what | orders or seeds", groups, columns)


# What the papers print for the test pictures, in nats. Static: drawn once (Larochelle & Murray
# 2011); dynamic: pixels are drawn anew in every epoch, which is easier.
LITERATURE = (
    ("VAE (Rezende & Mohamed 2015)", "static", "at most 89.9"),
    ("IWAE, one layer, k = 50 (Burda et al. 2016)", "static", "87.10"),
    ("ladder VAE (Sønderby et al. 2016)", "dynamic", "81.74"),
)


def binarised() -> str:
    """Makes the table of nats that a binary digit costs: ours, and what papers print."""
    lines = [
        "| model | binarisation | epochs | bound: nats | weighted draws: nats |",
        "|---" * 5 + "|",
    ]
    runs = {"mnist_binary": "VAE, 20 latents", "mnist_binary_ladder": "ladder, 620 latents"}
    rows = {row["run"]: row for row in read_record("binarised")}
    for run, row in rows.items():
        bound, weighted = float(row["bound_nats"]), float(row["weighted_nats"])
        draws = f"{weighted:.2f} ({row['draws']} draws, {int(row['pictures']):,} pictures)"
        lines.append(f"| ours: {runs[run]} | static | {row['epochs']} | {bound:.2f} | {draws} |")
    lines += [f"| {what} | {how} | | | {nats} |" for what, how, nats in LITERATURE]
    missing = [f"`{run}`" for run in runs if run not in rows]
    said = f"\nNot recorded yet: {', '.join(missing)}.\n" if missing else ""
    return "\n".join(lines) + "\n" + said


NO_CARD = """\
No GPU was at hand: nothing here is measured yet. On a machine with one, the command above
fills `benchmarks/records/gpu.csv`, and `python -m docs.records` puts its tables here.
"""


def gpu() -> str:
    """Makes the tables of what benchmarks/speed/gpu.py measured; a sentence where it did not."""
    rows = read_record("gpu")
    if not rows:
        return NO_CARD
    parts = group_rows(rows, "part")
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


def photographs() -> str:
    """Makes the table of benchmarks/studies/photographs.py; a sentence where it was not run."""
    rows = read_record("photographs")
    if not rows:
        return "Not recorded yet.\n"
    machine = ", ".join(sorted({row["machine"] for row in rows}))
    columns: Columns = [
        ("processor minutes", "processor_minutes", digits(1)),
        ("images seen", "images", digits(0)),
        ("squared error, 1e-3", "squared_error", digits(2, times=1000)),
        ("Fréchet distance of draws", "frechet_draws", digits(2)),
        ("of reconstructions", "frechet_reconstructed", digits(2)),
    ]
    table = tabulate("recipe | seeds", group_rows(rows, "recipe"), columns)
    return f"`{rows[0]['command']}` ({machine})\n\n{table}"


TEXTS = ("lstm", "tcn", "transformer")
SHIPPED = {
    "text": (*TEXTS, *(f"{name}_tinyshakespeare" for name in TEXTS)),
    "palindromes": ("palindrome", "palindrome_20"),
    "faces": ("vae_beta_0", "vae_beta_4", "vae_beta_20"),
    "likelihood": ("mnist_ladder", "mnist_4bit", "mnist_2d"),
    "pictures": ("gan", "aae"),
}
TABLES: dict[str, dict[str, Table]] = {
    "docs/speed.md": {"on a GPU": gpu},
    "docs/text.md": {
        "floors of the default text": partial(text_floors, "default"),
        "floors of tinyshakespeare": partial(text_floors, "tinyshakespeare"),
        "seeds of the default text": partial(seeds, "text", *SHIPPED["text"][:3]),
        "seeds of tinyshakespeare": partial(seeds, "text", *SHIPPED["text"][3:]),
        "the two-core record": two_cores,
        "what single units know": lambda: table_of_units(read_record("cells")),
        "the test tenth": partial(seeds, "test text", *(f"{name}_test" for name in TEXTS)),
    },
    "docs/faces.md": {
        "seeds of faces": partial(seeds, "faces", *SHIPPED["faces"]),
        "floors of faces": face_floors,
        "photographs": photographs,
    },
    "docs/digits.md": {
        "seeds of exact likelihoods": partial(seeds, "likelihood", *SHIPPED["likelihood"]),
        "binarised digits": binarised,
        "seeds of samples": partial(seeds, "pictures", *SHIPPED["pictures"]),
        "floors of samples": digit_floors,
    },
    "docs/palindromes.md": {
        "seeds of palindromes": partial(seeds, "palindromes", *SHIPPED["palindromes"]),
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
        text = (ROOT / file).read_text(encoding="utf-8")
        (ROOT / file).write_text(put_in(text, tables), encoding="utf-8")
