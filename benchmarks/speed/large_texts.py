"""Texts of three sizes, up to 100 MB: how long preparing them takes, and how much memory.

    python benchmarks/speed/large_texts.py            25, 50, 100 MB as codes; one-hot up to 1 MB
    python benchmarks/speed/large_texts.py --quick    a hundredth of all that: does it work?

Every line of the table is a process of its own; its peak memory is what the system reports,
parts of a memory map that were read included. The last line trains a small LSTM for a few
steps from the map of the largest text. The texts are random words; nothing is kept.
"""

import contextlib
import importlib
import io
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np

from benchmarks.options import make_parser
from utils import files
from utils.errors import command

MILLION = 10**6
LARGEST = 100  # MB
SIZES = [("codes", 25), ("codes", 50), ("codes", LARGEST)]
SIZES += [("one_hot", 0.25), ("one_hot", 0.5), ("one_hot", 1.0)]
STEPS = 20


def write_text(file: Path, size: int) -> None:
    """Writes about `size` bytes of random words, twelve to a line, some of them not ASCII."""
    words = (files.ROOT / "data" / "text.txt").read_text(encoding="utf-8").split()
    random = np.random.default_rng(0)
    with open(file, "wb") as out:
        while out.tell() < size:
            lines = random.integers(len(words), size=(200, 12)).tolist()
            text = "".join(" ".join(words[n] for n in line) + "\n" for line in lines)
            out.write(text.encode("utf-8"))


def prepare(root: Path, text: Path, form: str) -> None:
    """Prepares a text as the command does, in the repository `root`."""
    import data_preparation

    files.ROOT = root
    assert data_preparation.main(["--text", str(text), "--format", form]) == 0


def train(root: Path, name: str) -> None:
    """Takes a few steps with a small LSTM, as models/lstm/train.py does."""
    import torch

    from benchmarks.tasks import make_text_task, read_settings
    from utils.text.data import load_text

    changes = {("model", "hidden_size"): 32, ("data", "name"): name, ("training", "device"): "cpu"}
    config = read_settings("lstm", changes)
    files.ROOT = root
    torch.set_num_threads(1)  # a small model: a second thread only waits for the first
    task = make_text_task(load_text(config.data), config)
    for number, batch in enumerate(islice(task.loader.epoch(1), STEPS), start=1):
        task.step(batch, number)


def measure(job: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Runs a job in a process of its own; returns its seconds, the process's peak memory in MB."""
    spawn = multiprocessing.get_context("spawn")  # a fork would begin with this one's memory
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(run, job, *arguments).result()


def run(job: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Runs a job; returns its seconds and this process's peak memory in MB."""
    import resource  # here: Windows has none

    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        job(*arguments)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, peak / (2**20 if sys.platform == "darwin" else 2**10)


@command
def main(argv: list[str] | None = None) -> None:
    scale = 0.01 if make_parser(__doc__).parse_args(argv).quick else 1
    say = partial(print, flush=True)
    say("| what | MB of text | seconds | peak memory, MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for form, size in SIZES:
            file = Path(folder, f"{form}_{size}.txt")
            write_text(file, int(scale * size * MILLION))
            seconds, memory = measure(prepare, Path(folder), file, form)
            say(f"| prepare, {form} | {scale * size:g} | {seconds:.1f} | {memory:.0f} |")
        _, memory = measure(importlib.import_module, "torch.utils.data")  # all trainings need it
        say(f"| import torch, nothing else | | | {memory:.0f} |")
        seconds, memory = measure(train, Path(folder), f"codes_{LARGEST}")
        what = f"{STEPS} steps from the memory map"
        say(f"| {what} | {scale * LARGEST:g} | {seconds:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    raise SystemExit(main())
