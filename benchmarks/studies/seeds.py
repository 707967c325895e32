"""Train what is shipped with several seeds, measure every run, and keep a line of each.

    python benchmarks/studies/seeds.py --what lstm             three seeds of its command
    python benchmarks/studies/seeds.py --what gan --seeds 1
    python benchmarks/studies/seeds.py --quick                 one short training: does it work?

The command is the one in the shipped checkpoint of that name, with another seed; the runs are
called seeds_<name>_<seed>. Each adds a line to benchmarks/records/<name>.csv: its numbers, the
seconds of processor time that its training took, the processor, versions, and the commit that
trained it. A seed that has a line is not trained again; one that was interrupted begins anew.
`python -m docs.records` makes the tables of docs from these files.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist, find_raw_data
from benchmarks.record import (
    RECORDS,
    add_record,
    name_circumstances,
    read_records,
    round_numbers,
)
from benchmarks.studies.measure import choose_measure
from utils import files
from utils.errors import UserError, command
from utils.files import show
from utils.training import checkpoint

SHIPPED = sorted(file.stem for file in (files.ROOT / "pretrained").glob("*.pt"))
QUICK = "palindrome"


def train(name: str, seed: int, *, quick: bool) -> tuple[str, str, float]:
    """Trains a shipped checkpoint's command with a seed; returns the run, its command, seconds.

    The seconds are the processor's, so other work beside it hardly counts. UserError where it
    ends in an error, which it has printed itself.
    """
    run = f"seeds_quick_{name}" if quick else f"seeds_{name}_{seed}"
    options = "--training.epochs 1" if quick else ""
    trained_by = checkpoint.load(files.ROOT / "pretrained" / f"{name}.pt")["trained_by"]
    words = f"{trained_by} --training.seed {seed} {options}".rstrip()
    _, script, *rest = shlex.split(words)  # the first is python
    start = [sys.executable, str(files.ROOT / script), *rest, "--ckpt_name", run, "--overwrite"]
    before = os.times()
    ended = subprocess.run(start, cwd=files.ROOT)
    after = os.times()
    if ended.returncode:
        raise UserError(f"{words} ended with status {ended.returncode}: see above; call this again")
    seconds = after.children_user + after.children_system
    return run, words, seconds - before.children_user - before.children_system


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    meaning = f"shipped checkpoint whose command is trained: {', '.join(SHIPPED)}"
    parser.add_argument("--what", choices=SHIPPED, metavar="NAME", help=meaning)
    add_number(parser, "--seeds", 3, "seeds, from 0 on")
    args = parser.parse_args(argv)
    if args.what is None and not args.quick:
        raise UserError(f"--what is missing: one of {', '.join(SHIPPED)}")
    find_mnist()
    find_raw_data("tinyshakespeare.txt")
    name, seeds = args.what or QUICK, 1 if args.quick else args.seeds
    record = RECORDS / f"{name}.csv"
    if args.quick:
        record = files.output("results") / "seeds_quick" / record.name
        record.unlink(missing_ok=True)
    known = {int(row["seed"]) for row in read_records(record)}
    for seed in range(seeds):
        if seed in known:
            print(f"{name}, seed {seed}: has its line in {show(record)}")
            continue
        origin = name_circumstances()
        run, words, seconds = train(name, seed, quick=args.quick)
        row = {"seed": seed} | choose_measure(name)(run) | {"seconds": round(seconds)}
        add_record(record, round_numbers(row) | origin | {"command": words})
        print(f"{show(record)}: seed {seed}")


if __name__ == "__main__":
    raise SystemExit(main())
