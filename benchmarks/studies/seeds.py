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

import csv
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist, find_raw_data
from benchmarks.studies.measure import choose_measure
from utils import files
from utils.errors import UserError, command
from utils.files import show
from utils.training import checkpoint
from utils.words import count, make_csv

RECORDS = Path(__file__).resolve().parents[1] / "records"
SHIPPED = sorted(file.stem for file in (files.ROOT / "pretrained").glob("*.pt"))
QUICK = "palindrome"


def read_records(file: Path) -> list[dict[str, str]]:
    """Reads the lines of a record; none where there is no file yet."""
    if not file.is_file():
        return []
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def add_record(file: Path, row: dict[str, Any]) -> None:
    """Adds a line to a record, which stays sorted by seed."""
    rows = sorted([*read_records(file), row], key=lambda row: int(row["seed"]))
    files.write_whole(file, make_csv(rows).encode())


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


def measure_run(name: str, run: str) -> dict[str, Any]:
    """Measures a finished run: its numbers, rounded to six digits."""
    numbers = choose_measure(name)(run)
    return {
        key: value if isinstance(value, int) else f"{value:.6g}" for key, value in numbers.items()
    }


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
        commit = name_commit()
        run, words, seconds = train(name, seed, quick=args.quick)
        row = {"seed": seed} | measure_run(name, run) | {"seconds": round(seconds)}
        versions = f"Python {platform.python_version()}, torch {torch.__version__}"
        row |= {"processor": name_processor(), "versions": versions, "commit": commit}
        add_record(record, row | {"command": words})
        print(f"{show(record)}: seed {seed}")


if __name__ == "__main__":
    raise SystemExit(main())
