"""Train again what is shipped: does the command in each checkpoint still give what it gave?

    python benchmarks/trust/reproduce.py                     all, shortened: at most 3 minutes each
    python benchmarks/trust/reproduce.py --only lstm gan     the ones named
    python benchmarks/trust/reproduce.py --full --only lstm  the whole command: minutes to hours
    python benchmarks/trust/reproduce.py --quick             the shortest one: does it work?
    python benchmarks/trust/reproduce.py --record            three seeds of the short form, kept

The short form is the command followed by the options in SHORT and a seed. It agrees when its last
epoch is as near to the mean of the three seeds in reproduce.json as the tolerance allows: three
standard deviations, at least 2 % of the mean. With --full the best epoch is compared with the one
that the shipped checkpoint reports, by the same tolerance. The runs are called reproduced_<name>.
"""

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
from utils.training import checkpoint
from vae import training

RECORDED = Path(__file__).resolve().parents[1] / "records" / "reproduce.json"
SEEDS = (1, 2, 3)  # of the recorded runs; the shipped ones have seed 0
ON_TEXT = "--data.name text --training.epochs 2"  # the default text: it is short, and there
FACES = "--data.images 6000 --data.held_out 500 --training.epochs 2"
DIGITS = "--data.images 10000 --data.held_out 1000 --training.epochs 2"
# By name: the options that shorten the command, and the column that is compared.
SHORT = {
    "lstm": ("--training.epochs 4", "val_nats"),
    "tcn": ("--training.epochs 4", "val_nats"),
    "transformer": ("--training.epochs 8", "val_nats"),
    "lstm_tinyshakespeare": (ON_TEXT, "val_nats"),
    "tcn_tinyshakespeare": (ON_TEXT, "val_nats"),
    "transformer_tinyshakespeare": (ON_TEXT, "val_nats"),
    "palindrome": ("--training.epochs 2", "train_nats"),
    "palindrome_20": ("--training.epochs 2", "train_nats"),
    "vae_beta_0": (FACES, "val_nats"),
    "vae_beta_4": (FACES, "val_nats"),
    "vae_beta_20": (FACES, "val_nats"),
    "mnist_ladder": (DIGITS, "val_nats"),
    "mnist_4bit": (DIGITS, "val_nats"),
    "mnist_2d": (DIGITS, "val_nats"),
    "aae": ("--training.epochs 1", "val_reconstruction"),
    "gan": ("--training.epochs 1", "train_discriminator_nats"),
}
QUICK = "palindrome"


def train(name: str, options: str = "") -> dict[str, Any]:
    """Trains a shipped checkpoint again by its command, as another run; returns the shipped one."""
    shipped = checkpoint.load(files.ROOT / "pretrained" / f"{name}.pt")
    _, script, *words = shlex.split(f"{shipped['trained_by']} {options}")  # the first is python
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if status := module.main([*words, "--ckpt_name", f"reproduced_{name}", "--overwrite"]):
        raise SystemExit(status)
    return shipped


def train_shortened(name: str, seed: int) -> float:
    """Runs the short form of a command; returns the last epoch's value that is compared."""
    options, column = SHORT[name]
    usual = training.WEIGHTED_DRAWS
    training.WEIGHTED_DRAWS = 1  # of 10,000 test pictures, 100 would take longer than the training
    try:
        train(name, f"{options} --training.seed {seed}")
    finally:
        training.WEIGHTED_DRAWS = usual
    return checkpoint.load(files.checkpoint_folder(f"reproduced_{name}") / "last.pt")["row"][column]


def record(names: list[str], recorded: dict[str, list[float]]) -> None:
    """Trains the short forms with three seeds each and writes reproduce.json."""
    for name in names:
        recorded[name] = [train_shortened(name, seed) for seed in SEEDS]
        files.write_whole(RECORDED, (json.dumps(recorded, indent=2) + "\n").encode())
    print(f"wrote {RECORDED.name}: {len(SEEDS)} seeds of {', '.join(recorded)}")


def reproduce(name: str, values: list[float], *, full: bool) -> tuple[str, bool]:
    """Trains once more; returns a line of the table, and whether it agrees with what is known."""
    column, mean, began = SHORT[name][1], statistics.mean(values), time.perf_counter()
    if full:
        shipped = train(name)
        best = checkpoint.load(files.checkpoint_folder(f"reproduced_{name}") / "best.pt")
        expected, found = shipped["row"][column], best["row"][column]
    else:
        expected, found = mean, train_shortened(name, seed=0)
    minutes = (time.perf_counter() - began) / 60
    tolerance = max(0.02, 3 * statistics.stdev(values) / abs(mean))  # a share of what is expected
    numbers = f"{expected:.4g} | {tolerance:.1%} | {found:.4g} | {minutes:.1f}"
    agrees = abs(found - expected) <= tolerance * abs(expected)
    return f"| `{name}` | {column} | {numbers} |", agrees


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    meaning = f"shipped checkpoints to train again: {', '.join(SHORT)} (default: all)"
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=SHORT, default=list(SHORT), help=meaning
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--full", action="store_true", help="the whole command, not its short form")
    way.add_argument("--quick", action="store_true", help=f"train {QUICK} only: does it work?")
    way.add_argument(
        "--record", action="store_true", help=f"train with three seeds, write {RECORDED.name}"
    )
    args = parser.parse_args(argv)
    names = [QUICK] if args.quick else args.only
    recorded: dict[str, list[float]] = read_json(RECORDED) if RECORDED.is_file() else {}
    if args.record:
        record(names, recorded)
        return
    lines, failed = ["| shipped | compared | expected | tolerance | found | minutes |"], []
    lines.append("|---" * 6 + "|")
    for name in names:
        if name not in recorded:
            raise UserError(f"{RECORDED.name} has no {name}: --record --only {name} adds it")
        line, agrees = reproduce(name, recorded[name], full=args.full)
        lines.append(line)
        if not agrees:
            failed.append(name)
    print("\n".join(lines))
    if failed:
        raise UserError(f"not as recorded: {', '.join(failed)}: see the table above")


if __name__ == "__main__":
    raise SystemExit(main())
