"""Name the units of the text models by what they know, measured on text they have not learned from.

    python benchmarks/studies/cells.py                       the shipped lstm, tcn and transformer
    python benchmarks/studies/cells.py --run mine other      runs of your own
    python benchmarks/studies/cells.py --run seeds_lstm_0 seeds_lstm_1 seeds_lstm_2 tcn --record
    python benchmarks/studies/cells.py --quick

For each property of a text the unit that knows most of it is chosen on one half of the held-out
text, and scored on the other (explorer/units.py). "By chance" is what the same search finds for the
property moved by a quarter of the text, where nothing can know it. Runs of one kind share a column:
the mean, the lowest and the highest. Written: results/cells/cells.md, and with --record
benchmarks/records/cells.csv. benchmarks/studies/seeds.py --what lstm trains such runs.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from docs.records import table_of_units
from docs.tables import RECORDS
from explorer.library import Library
from explorer.units import find_units, held_out, read_units
from utils import files
from utils.errors import command
from utils.text.data import decode
from utils.words import make_csv

RUNS = ("lstm", "tcn", "transformer")
FEW = 1500  # characters of --quick


def measure_run(library: Library, run: str, most: int) -> list[dict[str, Any]]:
    """Measures a run: a row for each property that is not too rare in the text."""
    loaded = library.text_model(run)
    codes, _ = held_out(loaded, most)
    text = decode(codes, loaded.content["alphabet"])
    return [
        {
            "kind": loaded.config.kind,
            "run": run,
            "seed": loaded.config.training.seed,
            "property": found.property,
            "measure": "rank" if found.is_rank else "area",
            "score": f"{found.score:.4f}",
            "unit": f"{'−' * (found.sign < 0)}{found.group} {found.unit}",
            "chance": f"{found.chance:.4f}",
        }
        for found in find_units(read_units(loaded.model, codes), text)
    ]


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--run", nargs="+", metavar="RUN", help="runs (default: the shipped ones)")
    parser.add_argument(
        "--record", action="store_true", help="keep it for the table of docs/text.md"
    )
    args = parser.parse_args(argv)
    parser.typed(argv)
    runs = args.run or list(RUNS)[: 1 if args.quick else None]
    library, rows = Library(), []
    for run in runs:
        rows += measure_run(library, run, FEW if args.quick else 8000)
    table = table_of_units(rows)
    print(f"\n{table}")
    if args.quick:
        return
    files.write_whole(files.output("results") / "cells" / "cells.md", table.encode())
    if args.record:
        files.write_whole(RECORDS / "cells.csv", make_csv(rows).encode())
        print(f"wrote {files.show(RECORDS / 'cells.csv')}: python -m docs.records makes its table")


if __name__ == "__main__":
    raise SystemExit(main())
