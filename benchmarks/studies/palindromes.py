"""Measure how long the LSTM remembers a digit: the study over T that the course's report left out.

    python benchmarks/studies/palindromes.py            T = 5, 10, 20, 40, with and without dropout
    python benchmarks/studies/palindromes.py --T 80     another length
    python benchmarks/studies/palindromes.py --quick    two tiny trainings: does it work?

All trainings have the settings of models/palindrome/config.json, except T and dropout. Each ends
after the first epoch with every validation palindrome right, or after --epochs. Printed are that
epoch, the seconds until then, and both accuracies, that of training with dropout. No file is
written.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.tasks import read_settings
from models.palindrome.modules import Model
from models.palindrome.train import Config, LastDigit
from utils.command_line import number
from utils.errors import command

LENGTHS = (5, 10, 20, 40)
DROPOUTS = (0.5, 0.0)
QUICK = {
    ("data", "batches"): 2,
    ("data", "validation"): 20,
    ("training", "batch_size"): 12,
    ("training", "epochs"): 1,
}


def measure(config: Config) -> tuple[int, float, float, float]:
    """Trains once; returns the number of the last epoch, seconds, and mean accuracies in 0..1."""
    torch.manual_seed(config.training.seed)
    task, began = LastDigit(Model(config.model), config), time.perf_counter()
    for epoch in range(1, config.training.epochs + 1):
        first = (epoch - 1) * task.loader.steps + 1
        batches = enumerate(task.loader.epoch(epoch), first)
        rows = [task.step(batch, number) for number, batch in batches]
        right = task.validate()["val_accuracy"]
        if right == 1:
            break
    learned = sum(row["train_accuracy"] for row in rows) / len(rows)
    return epoch, time.perf_counter() - began, learned, right


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    meaning = "digits read, one fewer than a palindrome has (default: 5 10 20 40)"
    parser.add_argument(
        "--T", type=number(int, 2, 1000), nargs="+", default=LENGTHS, metavar="T", help=meaning
    )
    add_number(parser, "--epochs", 30, "most epochs of a training")
    args = parser.parse_args(argv)
    print("| T | dropout | epochs | seconds | training accuracy | validation accuracy |")
    print("|---|---|---|---|---|---|")
    for T in args.T[:1] if args.quick else args.T:
        for dropout in DROPOUTS:
            changes = {
                ("model", "T"): T,
                ("model", "dropout"): dropout,
                ("training", "epochs"): args.epochs,
            }
            if args.quick:
                changes |= QUICK
            config: Config = read_settings("palindrome", changes)
            epoch, seconds, learned, right = measure(config)
            print(
                f"| {T} | {dropout:g} | {epoch} | {seconds:.0f} "
                f"| {100 * learned:.2f} % | {100 * right:.2f} % |",
                flush=True,
            )


if __name__ == "__main__":
    raise SystemExit(main())
