"""Measure everything on a GPU: its tests, all trainings in both precisions, whole runs, equality.

    python benchmarks/speed/gpu.py            under an hour; fills the GPU section of docs/speed.md
    python benchmarks/speed/gpu.py --quick    a little of it, on the CPU where there is no GPU

Writes benchmarks/records/gpu.csv, a line for each of

    tests      the tests that need a GPU
    epochs     two epochs of every training command, in float32 and bfloat16
    whole      tinyshakespeare by each model, and the beta-VAE that is shipped as vae_beta_4
    equal      a short training on the GPU and on the CPU, of the same seed, without dropout
    torchrun   the same training as one process of torchrun (nccl), and without it

and `python -m docs.records` makes the tables. The runs stay in checkpoints/, called gpu_<part>_...
"""

import csv
import importlib
import math
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import make_parser
from benchmarks.raw_data import find_mnist, find_raw_data
from benchmarks.record import RECORDS, name_commit
from utils import files
from utils.errors import UserError, command
from utils.files import show
from utils.words import make_csv

Row = dict[str, Any]
TEXT = ("lstm", "tcn", "transformer")
SCRIPTS = {kind: f"models/{kind}/train.py" for kind in (*TEXT, "palindrome", "gan", "aae")}
SCRIPTS |= {"faces": "main.py", "mnist": "main.py --dataset mnist"}
FLOAT32_ONLY = ("gan", "aae")  # which have no --precision
WHOLE = {
    **{f"{kind} tinyshakespeare": f"{SCRIPTS[kind]} --config models/{kind}/tinyshakespeare.json"
       for kind in TEXT},
    "vae_beta_4": "main.py --beta 4",
}  # fmt: skip
# A GAN's noise is drawn on its device, so another device trains another GAN.
SHORT = {kind: f"{SCRIPTS[kind]} --dropout 0 --training.epochs 1" for kind in TEXT}
SHORT["palindrome"] = f"{SCRIPTS['palindrome']} --dropout 0 --batches 50 --training.epochs 1"
SHORT["faces"] = "main.py --images 1280 --held_out 100 --training.epochs 1"
QUICK = "models/palindrome/train.py --dropout 0 --batches 5"


class Record:
    """The lines of gpu.csv, written anew after each measurement."""

    def __init__(self, file: Path, device: str) -> None:
        self.file, self.device, self.rows = file, device, []

    def add(self, part: str, what: str, words: str, seconds: float, **numbers: object) -> None:
        row = {"part": part, "what": what, "precision": "float32", "seconds": f"{seconds:.4g}"}
        row |= {"megabytes": "", "nats": "", "best_epoch": "", "difference": "", "result": ""}
        row |= numbers | describe_card(self.device) | {"command": f"python {words}"}
        self.rows.append(row)
        files.write_whole(self.file, make_csv(self.rows).encode())
        print(f"{part}: {what}, {row['precision']}: {seconds:.1f} s", flush=True)


def describe_card(device: str) -> dict[str, str]:
    """Says which card, which versions and which commit numbers come from."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    card = "no GPU: the CPU"
    if device == "cuda":
        card = torch.cuda.get_device_name()
        versions += f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return {"card": card, "versions": versions, "commit": name_commit()}


def train(words: str, run: str, device: str) -> tuple[str, list[Row], float]:
    """Trains in this process; returns the command, its history, and the seconds of it all."""
    words = f"{words} --device {device} --ckpt_name {run} --overwrite"
    script, *options = shlex.split(words)
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    if status := module.main(options):
        raise UserError(f"python {words} ended with status {status}: see above")
    return words, read_history(run), time.perf_counter() - began


def read_history(run: str) -> list[Row]:
    """Reads a run's history.csv, numbers where they are some."""
    file = files.checkpoint_folder(run) / "history.csv"
    with open(file, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [{name: float(value) if value else None for name, value in row.items()} for row in rows]


def find_best(history: list[Row]) -> Row:
    """Returns nats and epoch of the best one; of a GAN, whose loss has none, its last."""
    known = [row for row in history if row.get("val_nats") is not None]
    if not known:
        return {"best_epoch": len(history)}
    best = min(known, key=lambda row: row["val_nats"])
    return {"nats": f"{best['val_nats']:.4f}", "best_epoch": int(best["epoch"])}


def compare(ours: list[Row], theirs: list[Row]) -> float:
    """Returns the largest difference of two histories' nats; of numbers above 1, its share."""
    pairs = [
        (row[name], other[name])
        for row, other in zip(ours, theirs, strict=True)
        for name in row
        if name.endswith("_nats")
    ]
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    return max(abs(a - b) / max(1, abs(b)) for a, b in pairs)


def measure_epochs(record: Record, commands: dict[str, str], epochs: int) -> None:
    """Times the last of some epochs of every training, in each precision that it has."""
    for name, script in commands.items():
        for precision in ("float32", "bfloat16")[: 1 if name in FLOAT32_ONLY else 2]:
            words = f"{script} --training.epochs {epochs}"
            words += "" if precision == "float32" else f" --precision {precision}"
            words, history, _ = train(words, f"gpu_epochs_{name}_{precision}", record.device)
            peak = torch.cuda.max_memory_allocated() / 1e6 if record.device == "cuda" else 0
            numbers = {"precision": precision, "megabytes": f"{peak:.0f}"} | find_best(history)
            record.add("epochs", name, words, history[-1]["seconds"], **numbers)


def measure_whole(record: Record) -> None:
    """Times whole trainings, with all that they evaluate, write and draw."""
    if not (files.find("data", "tinyshakespeare") / "alphabet.npy").is_file():
        text = find_raw_data("tinyshakespeare.txt") or "data/raw/tinyshakespeare.txt"
        prepare = importlib.import_module("data_preparation")
        if prepare.main(["--text", str(text), "--raw", "--format", "codes"]):
            raise UserError("docs/text.md says where tinyshakespeare is from")
    for name, words in WHOLE.items():
        words, history, seconds = train(words, f"gpu_whole_{name.split()[0]}", record.device)
        record.add("whole", name, words, seconds, **find_best(history))


def measure_equality(record: Record, commands: dict[str, str]) -> None:
    """Compares trainings on the device with those on the CPU, and under torchrun with those."""
    for name, script in commands.items():
        words, ours, seconds = train(script, f"gpu_equal_{name}", record.device)
        _, theirs, _ = train(script, f"gpu_equal_{name}_cpu", "cpu")
        record.add("equal", name, words, seconds, difference=f"{compare(ours, theirs):.1e}")
        if record.device == "cuda":
            words, together, seconds = train_together(script, f"gpu_torchrun_{name}")
            difference = f"{compare(together, ours):.1e}"
            record.add("torchrun", name, words, seconds, difference=difference)


def train_together(script: str, run: str) -> tuple[str, list[Row], float]:
    """Trains as one process of torchrun, whose gradients go by nccl."""
    words = f"-m torch.distributed.run --nproc_per_node 1 {script} --device cuda"
    words += f" --ckpt_name {run} --overwrite"
    began = time.perf_counter()
    if subprocess.run([sys.executable, *shlex.split(words)], cwd=files.ROOT).returncode:
        raise UserError(f"python {words} ended in an error: see above")
    return words, read_history(run), time.perf_counter() - began


def run_tests(record: Record) -> None:
    """Runs the tests that need a GPU; their last line is the result, whatever it is."""
    words = "-m pytest -m gpu"
    began = time.perf_counter()
    start = [sys.executable, *shlex.split(words)]
    ran = subprocess.run(start, cwd=files.ROOT, stdout=subprocess.PIPE, text=True)
    print(ran.stdout)
    lines = ran.stdout.strip().splitlines()
    last = lines[-1].strip("= ") if lines else f"status {ran.returncode}"
    record.add("tests", "all that need a GPU", words, time.perf_counter() - began, result=last)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__).parse_args(argv)
    there = torch.cuda.is_available()
    if args.quick:
        folder = files.output("results") / "gpu_quick"
        folder.mkdir(parents=True, exist_ok=True)
        record = Record(folder / "gpu.csv", "cuda" if there else "cpu")
        measure_epochs(record, {"palindrome": QUICK}, epochs=1)
        measure_equality(record, {"palindrome": f"{QUICK} --training.epochs 1"})
    elif not there:
        raise UserError("torch finds no CUDA device here: call this on a machine with one")
    else:
        find_mnist()
        record = Record(RECORDS / "gpu.csv", "cuda")
        run_tests(record)
        measure_equality(record, SHORT)
        measure_epochs(record, SCRIPTS, epochs=2)
        measure_whole(record)
    print(f"wrote {show(record.file)}")


if __name__ == "__main__":
    raise SystemExit(main())
