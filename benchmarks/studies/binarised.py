"""Measure how many nats a black and white digit costs, as the tables of the literature have it.

    python benchmarks/studies/binarised.py              trains both models, then measures: long
    python benchmarks/studies/binarised.py --quick      small digits, two steps: does it work?

MNIST is binarised once (vae.data.binarise): a draw of every pixel, fixed by a seed. The models are
main.py's, the 20 latents and the ladder, with bits 1; a run of theirs that was interrupted goes on,
and one that is finished is measured as it is. Measured on the first test pictures (all 10,000 by
default): the evidence lower bound, and the tighter one of 200 weighted draws. Adds a line to
benchmarks/records/binarised.csv.
"""

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import main as main_py
from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from benchmarks.record import RECORDS, add_record, name_circumstances, read_records, round_numbers
from solver import Solver
from utils import files
from utils.errors import UserError, command
from utils.files import show
from vae.data import load_unseen
from vae.likelihood import estimate_bounds
from vae.training import build_model

MODELS = {"mnist_binary": ("digits", "20", 12), "mnist_binary_ladder": ("ladder", "32", 4)}
RECORD = RECORDS / "binarised.csv"


def spell_training(name: str, dataset: str) -> list[str]:
    """Spells main.py's options for a model of MODELS."""
    network, z_dim, epochs = MODELS[name]
    words = f"--dataset {dataset} --network {network} --z_dim {z_dim} --epochs {epochs}"
    return [*words.split(), "--bits", "1", "--binarise", "true", "--ckpt_name", name]


def train(name: str) -> None:
    """Trains a model, or goes on with one that was interrupted; leaves a finished run as it is.

    UserError where it ends in an error, which it has printed itself.
    """
    folder, words = files.find("checkpoints", name), spell_training(name, "mnist")
    if (folder / "history.csv").is_file() and count_seconds(name)[0] >= MODELS[name][2]:
        return
    words += ["--resume"] if (folder / "last.pt").is_file() else []
    if main_py.main(words):
        raise UserError(f"main.py {' '.join(words)} ended in an error: see above")


def count_seconds(run: str) -> tuple[int, int]:
    """Reads from a run's history how many epochs it had, and how many seconds they took."""
    file = files.find("checkpoints", run) / "history.csv"
    with open(file, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return len(rows), round(sum(float(row["seconds"]) for row in rows))


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--what", nargs="+", choices=MODELS, default=list(MODELS), help="models")
    add_number(parser, "--draws", 200, "weighted draws of each picture")
    add_number(parser, "--pictures", 10_000, "test pictures, from the first on")
    args = parser.parse_args(argv)
    find_mnist()
    known = {row["run"] for row in read_records(RECORD)}
    for name in args.what:
        if name in known and not args.quick:
            print(f"{name}: has its line in {show(RECORD)}")
            continue
        origin, epochs, seconds = name_circumstances(), 0, 0
        config = main_py.read(spell_training(name, "digits" if args.quick else "mnist"))[1]
        if args.quick:
            if main_py.main([*spell_training(name, "digits"), "--dry-run"]):
                raise UserError("main.py ended in an error: see above")
            model, draws = build_model((1, 28, 28), config), 2
        else:
            train(name)
            model, draws = Solver.load(name, device="cpu").model, args.draws
            epochs, seconds = count_seconds(name)
        pictures = load_unseen(config.data).take(slice(50 if args.quick else args.pictures))
        elbo, weighted = estimate_bounds(model, pictures, "categorical", draws)
        row = {"run": name, "seed": config.training.seed, "epochs": epochs}
        row |= {"pictures": len(pictures), "draws": draws, "bound_nats": elbo}
        row |= {"weighted_nats": weighted, "wall_seconds": seconds}
        print("  ".join(str(value) for value in round_numbers(row).values()))
        if not args.quick:
            add_record(RECORD, round_numbers(row) | origin, group="run")


if __name__ == "__main__":
    raise SystemExit(main())
