"""Train what is shipped with several seeds, measure every run, and keep a line of each.

    python benchmarks/studies/seeds.py --what lstm             three seeds of its command
    python benchmarks/studies/seeds.py --what gan --seeds 1
    python benchmarks/studies/seeds.py --what lstm --test      with a test tenth, cut off first
    python benchmarks/studies/seeds.py --quick                 one short training: does it work?

The command is the one in the shipped checkpoint of that name, with another seed; the runs are
called seeds_<name>_<seed>. Each adds a line to benchmarks/records/<name>.csv: its numbers, the
seconds of processor time that its training took, the processor, versions, and the commit that
trained it. A seed that has a line is not trained again; one that was interrupted begins anew.
With --test, runs and record are called <name>_test.
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
from utils.text.training import TEXT_KINDS
from utils.training import checkpoint

SHIPPED = sorted(file.stem for file in (files.ROOT / "pretrained").glob("*.pt"))
QUICK = "palindrome"


def train(name: str, seed: int, run: str, options: str) -> tuple[str, float]:
    """Trains a shipped checkpoint's command with a seed and options; returns the command, seconds.

    The seconds are the processor's, so other work beside it hardly counts. UserError where it
    ends in an error, which it has printed itself.
    """
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
    return words, seconds - before.children_user - before.children_system


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    meaning = f"shipped checkpoint whose command is trained: {', '.join(SHIPPED)}"
    parser.add_argument("--what", choices=SHIPPED, metavar="NAME", help=meaning)
    add_number(parser, "--seeds", 3, "seeds, from 0 on")
    what = f"cut off a test text of a tenth, as a run of {', '.join(TEXT_KINDS)} can"
    parser.add_argument("--test", action="store_true", help=what)
    args = parser.parse_args(argv)
    if args.what is None and not args.quick:
        raise UserError(f"--what is missing: one of {', '.join(SHIPPED)}")
    if args.test and (args.what or QUICK).split("_")[0] not in TEXT_KINDS:
        raise UserError(f"--test is for texts, not for {args.what or QUICK}")
    find_mnist()
    find_raw_data("tinyshakespeare.txt")
    name, seeds = args.what or QUICK, 1 if args.quick else args.seeds
    of_test = "_test" if args.test else ""
    record = RECORDS / f"{name}{of_test}.csv"
    options = "--data.test_share 0.1" if args.test else ""
    if args.quick:
        options = f"{options} --training.epochs 1".strip()
        record = files.output("results") / "seeds_quick" / record.name
        record.unlink(missing_ok=True)
    known = {int(row["seed"]) for row in read_records(record)}
    for seed in range(seeds):
        if seed in known:
            print(f"{name}, seed {seed}: has its line in {show(record)}")
            continue
        origin = name_circumstances()
        run = f"seeds_{'quick_' if args.quick else ''}{name}{of_test}_{seed}"
        words, seconds = train(name, seed, run, options)
        row = {"seed": seed} | choose_measure(name)(run) | {"seconds": round(seconds)}
        add_record(record, round_numbers(row) | origin | {"command": words})
        print(f"{show(record)}: seed {seed}")


if __name__ == "__main__":
    raise SystemExit(main())
