"""Name the units of the text models by what they know, measured on text they have not learned from.

    python benchmarks/studies/cells.py                       the shipped lstm, tcn and transformer
    python benchmarks/studies/cells.py --run mine other      runs of your own
    python benchmarks/studies/cells.py --quick

For each property of a text the unit that knows most of it is chosen on one half of the held-out
text, and scored on the other (explorer/units.py). "By chance" is what the same search finds for the
property moved by a quarter of the text, where nothing can know it. Written: results/cells/cells.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from explorer.library import Library
from explorer.units import Found, find_units, held_out, read_units
from utils import files
from utils.errors import command
from utils.text.data import decode

RUNS = ("lstm", "tcn", "transformer")
FEW = 1500  # characters of --quick


def describe(found: Found) -> str:
    """Writes a unit and its score; a minus before one that is low where the property is there."""
    return f"{found.score:.2f} ({'−' * (found.sign < 0)}{found.group} {found.unit})"


def make_table(library: Library, runs: list[str], most: int) -> str:
    """Measures all runs; returns the table in Markdown, a column for each run."""
    columns, chance = [], {}
    for run in runs:
        loaded = library.text_model(run)
        codes, _ = held_out(loaded, most)
        text = decode(codes, loaded.content["alphabet"])
        found = find_units(read_units(loaded.model, codes), text)
        columns.append({one.property: describe(one) for one in found})
        for one in found:
            kind = "rank" if one.is_rank else "area"
            before = chance.get(one.property, (kind, 0.0))
            chance[one.property] = kind, max(before[1], one.chance)
    lines = [f"| property | measure | {' | '.join(runs)} | by chance |"]
    lines.append("|---|---|" + "---|" * (len(runs) + 1))
    for name, (kind, most_by_chance) in chance.items():
        cells = " | ".join(column.get(name, "too rare") for column in columns)
        lines.append(f"| {name} | {kind} | {cells} | {most_by_chance:.2f} |")
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--run", nargs="+", metavar="RUN", help="runs (default: the shipped ones)")
    args = parser.parse_args(argv)
    parser.typed(argv)
    runs = args.run or list(RUNS)[: 1 if args.quick else None]
    table = make_table(Library(), runs, FEW if args.quick else 8000)
    print(f"\n{table}")
    if not args.quick:
        files.write_whole(files.output("results") / "cells" / "cells.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
