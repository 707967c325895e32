"""How long the LSTM remembers a digit: the study over T that the course's report did not make.

    python benchmarks/palindromes.py              T = 5, 10, 20, 40, with and without dropout
    python benchmarks/palindromes.py --T 80       another length
    python benchmarks/palindromes.py --quick      two tiny trainings: does it work?

Each training has models/palindrome/config.json but for T and dropout. It ends after the first
epoch with every validation palindrome right, or after --epochs. Printed: that epoch, the seconds
until then, and both accuracies (training's with dropout). No file is written.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from models.palindrome.train import CONFIG, PalindromeTask, tiny
from utils import files
from utils.command_line import Parser, number
from utils.config import defaults_of, override
from utils.errors import command

LENGTHS = (5, 10, 20, 40)
DROPOUTS = (0.5, 0.0)


def measure(config: Any) -> dict[str, float]:
    """One training -> the last epoch's number, seconds, and mean accuracies in 0..1."""
    torch.manual_seed(config.training.seed)
    task, began = PalindromeTask(config), time.perf_counter()
    for epoch in range(1, config.training.epochs + 1):
        first = (epoch - 1) * len(task) + 1
        rows = [task.step(batch, n) for n, batch in enumerate(task.batches(epoch, 0), first)]
        right = task.validate()["val_accuracy"]
        if right == 1:
            break
    learned = sum(row["train_accuracy"] for row in rows) / len(rows)
    seconds = time.perf_counter() - began
    return {"epoch": epoch, "seconds": seconds, "training": learned, "validation": right}


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two tiny trainings: does it work?")
    parser.add_argument("--T", type=number(int, 2, 1000), nargs="+", default=LENGTHS, metavar="T")
    parser.add_argument(
        "--epochs", type=number(int, 1), default=30, help="at most, of each (default: 30)"
    )
    args = parser.parse_args(argv)
    base = defaults_of(files.ROOT / "models" / "palindrome" / "config.json", CONFIG)

    print("| T | dropout | epochs | seconds | training accuracy | validation accuracy |")
    print("|---|---|---|---|---|---|")
    for T in args.T[:1] if args.quick else args.T:
        for dropout in DROPOUTS:
            config = override(
                base,
                {
                    ("model", "T"): T,
                    ("model", "dropout"): dropout,
                    ("training", "epochs"): args.epochs,
                },
            )
            found = measure(tiny(config) if args.quick else config)
            print(
                f"| {T} | {dropout:g} | {found['epoch']} | {found['seconds']:.0f} "
                f"| {100 * found['training']:.2f} % | {100 * found['validation']:.2f} % |",
                flush=True,
            )


if __name__ == "__main__":
    raise SystemExit(main())
