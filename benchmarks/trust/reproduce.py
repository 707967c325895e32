"""Trains what is shipped again: does the command inside each checkpoint still give what it gave?

    python benchmarks/reproduce.py                     all, shortened: at most 3 minutes each
    python benchmarks/reproduce.py --only lstm gan     these
    python benchmarks/reproduce.py --full --only lstm  by the whole command: minutes to hours
    python benchmarks/reproduce.py --quick             the shortest: does it work?
    python benchmarks/reproduce.py --record            three seeds of the short form, written down

The shortened form is the command with the options of SHORT behind it, and a seed. It agrees when
its last epoch lies within the tolerance of the mean over three seeds in reproduce.json: 3 standard
deviations, at least 2 % of the mean. --full compares with what the checkpoint itself says of its
best epoch, by the same tolerance. The runs are called reproduced_<name>.
"""

import argparse
import csv
import importlib
import json
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from utils import files
from utils.command_line import Parser
from utils.config import read_json
from utils.errors import UserError, command
from utils.files import write_whole
from utils.training import checkpoint
from vae import training

RECORDED = Path(__file__).parents[1] / "records" / "reproduce.json"
SEEDS = (1, 2, 3)  # not those of the shipped ones
# By name: the options that shorten the command, and the column that is compared.
SHORT = {
    "lstm": ("--training.epochs 4", "val_nats"),
    "tcn": ("--training.epochs 4", "val_nats"),
    "transformer": ("--training.epochs 8", "val_nats"),
    **{  # the same settings on the default text, which is short, and there
        f"{name}_tinyshakespeare": ("--data.name text --training.epochs 2", "val_nats")
        for name in ("lstm", "tcn", "transformer")
    },
    "palindrome": ("--training.epochs 2", "train_nats"),
    "palindrome_20": ("--training.epochs 2", "train_nats"),
    **{
        f"vae_beta_{beta}": ("--images 6000 --held_out 500 --epochs 2", "val_nats")
        for beta in (0, 4, 20)
    },
    "mnist_ladder": ("--images 10000 --held_out 1000 --epochs 2", "val_nats"),
    "mnist_4bit": ("--images 10000 --held_out 1000 --epochs 2", "val_nats"),
    "mnist_2d": ("--images 10000 --held_out 1000 --epochs 2", "val_nats"),
    "aae": ("--training.epochs 1", "val_reconstruction"),
    "gan": ("--training.epochs 1", "train_discriminator_nats"),
}
QUICK = "palindrome"


def train(words: list[str], name: str) -> dict[str, str]:
    """Runs a training command of README under another name; the last row of its history.csv."""
    script, *options = words[1:]  # the first is python
    run = f"reproduced_{name}"
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if status := module.main([*options, "--ckpt_name", run, "--overwrite"]):
        raise SystemExit(status)
    with open(files.checkpoint_folder(run) / "history.csv", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))[-1]


def shortened(words: list[str], name: str, seed: int) -> float:
    """What the shortened form ends with."""
    options, column = SHORT[name]
    training.WEIGHTED_DRAWS = 1  # of 10,000 test pictures, 100 would take longer than the training
    option = "--seed" if words[1] == "main.py" else "--training.seed"
    return float(train([*words, *options.split(), option, str(seed)], name)[column])


def tolerance(values: list[float]) -> float:
    """How far another seed, machine or version may be from their mean, as a share of it."""
    mean = abs(statistics.mean(values))
    return max(0.02, 3 * statistics.stdev(values) / mean)


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        choices=SHORT,
        default=list(SHORT),
        help=f"of {', '.join(SHORT)} (default: all)",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--full", action="store_true", help="the whole command, no option shortened")
    way.add_argument("--quick", action="store_true", help=f"{QUICK} only")
    way.add_argument("--record", action="store_true", help=f"write {RECORDED.name}")
    args = parser.parse_args(argv)
    recorded: dict[str, Any] = read_json(RECORDED) if RECORDED.is_file() else {}
    lines = ["| shipped | compared | expected | tolerance | found | minutes |", "|---" * 6 + "|"]
    failed = []
    for name in [QUICK] if args.quick else args.only:
        shipped = checkpoint.load(files.ROOT / "pretrained" / f"{name}.pt")
        words, column = shlex.split(shipped["trained_by"]), SHORT[name][1]
        began = time.perf_counter()
        if args.record:
            recorded[name] = [shortened(words, name, seed) for seed in SEEDS]
            write_whole(RECORDED, (json.dumps(recorded, indent=2) + "\n").encode())
            continue
        if name not in recorded:
            raise UserError(f"{RECORDED.name} has no {name}: --record --only {name} adds it")
        values = recorded[name]
        if args.full:
            train(words, name)
            best = checkpoint.load(files.checkpoint_folder(f"reproduced_{name}") / "best.pt")
            expected, found = shipped["row"][column], best["row"][column]
        else:
            expected, found = statistics.mean(values), shortened(words, name, seed=0)
        minutes, allowed = (time.perf_counter() - began) / 60, tolerance(values)
        if not abs(found - expected) <= allowed * abs(expected):
            failed.append(name)
        numbers = f"{expected:.4g} | {allowed:.1%} | {found:.4g} | {minutes:.1f}"
        lines.append(f"| `{name}` | {column} | {numbers} |")
    if args.record:
        print(f"wrote {RECORDED.name}: {len(SEEDS)} seeds of {', '.join(recorded)}")
        return
    print("\n".join(lines))
    if failed:
        raise UserError(f"not as recorded: {', '.join(failed)}: see the table above")


if __name__ == "__main__":
    raise SystemExit(main())
