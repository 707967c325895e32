"""Kill a training (SIGKILL) again and again: is anything lost?

    python benchmarks/trust/kill.py            50 kills: 20 in a step, 20 in a save, 10 at any time
    python benchmarks/trust/kill.py --quick    6 kills

A small LSTM is trained in child processes. Each resumes where the last one was killed: in a step,
when there are gradients and the weights have not moved yet; in a save, when a random share of a
file's bytes is written; or after a random time. After each kill every checkpoint must be readable,
and the rows of history.csv must be those of a run that was never disturbed. At the end everything
must equal that run: rows, weights, optimisers, random numbers, the text so far. The first thing
that does not ends this command as an error. Linux and macOS; nothing is kept.
"""

import csv
import io
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
import torch.utils.tensorboard  # slow to import: here once, for all children
from torch.optim.optimizer import register_optimizer_step_pre_hook

from benchmarks.options import add_number, make_parser
from models.lstm import train as lstm
from utils import files
from utils.errors import UserError, command
from utils.training import checkpoint
from utils.training.progress import TIMINGS

STEP, SAVE, TIME = "in a step", "in a save", "at any time"
KILLS = {STEP: 20, SAVE: 20, TIME: 10}
SETTINGS = """--model.hidden_size 8 --model.layers 2 --model.dropout 0.2 --training.device cpu
    --training.batch_size 16 --training.length 32 --training.warmup_steps 2
    --protocol.prompts 1 --protocol.prompt_length 10 --protocol.length 10"""
STEPS = 5  # of an epoch: 90 % of the text's characters in batches of 16 x 32
CHARACTERS = 3000


def die() -> None:
    """Kills this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_step(number: int) -> None:
    """Arranges a kill in the number-th step from now: with gradients, before they are used."""
    steps = iter(range(1, number))
    register_optimizer_step_pre_hook(lambda *_: None if next(steps, None) else die())


def die_in_save(number: int, share: float) -> None:
    """Arranges a kill in the number-th file written from now, with a share of its bytes on disk."""
    earlier = iter(range(1, number))

    class DyingFile(io.FileIO):
        def write(self, content: bytes) -> None:
            super().write(content[: round(share * len(content))])
            die()

    def open_or_die(path: Path, mode: str) -> io.IOBase:
        return open(path, mode) if next(earlier, None) else DyingFile(path, mode)

    files.open = open_or_die  # write_whole finds it before the built-in function


class Trainer:
    """Runs models/lstm/train.py in child processes, in a repository of its own."""

    def __init__(self, root: Path, epochs: int) -> None:
        self.root = root
        milestones = ",".join(str(epoch) for epoch in range(1, epochs, 4))
        self.settings = f"{SETTINGS} --training.epochs {epochs} --protocol.epochs {milestones}"
        text = (files.ROOT / "data" / "text.txt").read_text(encoding="utf-8")
        (root / "data").mkdir()
        (root / "data" / "text.txt").write_text(text[:CHARACTERS], encoding="utf-8")

    def folder(self, run: str) -> Path:
        """Returns the folder of a run's checkpoints."""
        return self.root / "checkpoints" / run

    def train(
        self, run: str, before: Callable[[], None] = lambda: None, seconds: float | None = None
    ) -> int:
        """Starts or resumes a run; returns its exit status, or minus the signal that ended it.

        `before` is called in the child process, which is killed after so many `seconds`.
        """
        resume = (self.folder(run) / "last.pt").is_file()
        argv = [*self.settings.split(), "--ckpt_name", run]
        errors = self.root / "stderr.txt"

        def child() -> NoReturn:
            for name, stream in ((os.devnull, sys.stdout), (errors, sys.stderr)):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
            files.ROOT = self.root
            before()
            raise SystemExit(lstm.main([*argv, "--resume" if resume else "--overwrite"]))

        process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            what = errors.read_text(encoding="utf-8").strip() or "no message"
            raise UserError(f"training ended with {process.exitcode}: {what}")
        return process.exitcode

    def read_rows(self, run: str) -> list[dict[str, str]]:
        """Reads history.csv, but for its timings; [] where there is none yet."""
        file = self.folder(run) / "history.csv"
        if not file.is_file():
            return []
        rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
        return [{name: row[name] for name in row if name not in TIMINGS} for row in rows]

    def find_unfinished(self) -> list[str]:
        """Names the files that were being written when the training was killed."""
        return [file.stem for file in self.root.rglob("*.partial")]


def are_equal(a: Any, b: Any) -> bool:
    """Tells whether nested dicts, lists, tuples, numbers and tensors agree bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(are_equal(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(are_equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def check_after_kill(trainer: Trainer, before: int) -> int:
    """Checks that all files are sound and none of the rows `before` is lost; counts the rows."""
    saved = 0
    for file in trainer.folder("killed").glob("*.pt"):
        content = checkpoint.load(file, "lstm")  # UserError where it cannot be read
        saved = content["epoch"] if file.name == "last.pt" else saved
    rows, undisturbed = trainer.read_rows("killed"), trainer.read_rows("undisturbed")
    if not before <= len(rows) <= saved:
        raise UserError(f"history.csv: {before} epochs, then {len(rows)}; last.pt: {saved}")
    if rows != undisturbed[: len(rows)]:
        raise UserError(f"the first {len(rows)} epochs are not those of the undisturbed run")
    return len(rows)


def check_end(trainer: Trainer) -> None:
    """Checks that the run that was killed has ended as the undisturbed one."""
    if left := trainer.find_unfinished():
        raise UserError(f"left over: {', '.join(left)}")
    folders = trainer.folder("killed"), trainer.folder("undisturbed")
    names, expected = (sorted(file.name for file in folder.iterdir()) for folder in folders)
    if names != expected:
        raise UserError(f"its files are {names}, not {expected}")
    for name in (name for name in names if name.endswith(".pt")):
        killed, undisturbed = (checkpoint.load(folder / name, "lstm") for folder in folders)
        states = [[c["model"], c.get("training", {}).get("task")] for c in (killed, undisturbed)]
        if not are_equal(*states):
            raise UserError(f"{name} is not that of the undisturbed run")
    if trainer.read_rows("killed") != trainer.read_rows("undisturbed"):
        raise UserError("history.csv is not that of the undisturbed run")


def measure(trainer: Trainer, kinds: list[str], seed: int) -> Counter:
    """Kills and resumes a training; counts the files that were unfinished at a kill, by name."""
    began = time.perf_counter()
    trainer.train("undisturbed")
    epoch_seconds = (time.perf_counter() - began) / len(trainer.read_rows("undisturbed"))
    rng = random.Random(seed)
    rng.shuffle(kinds)
    epochs, unfinished = 0, Counter()
    for number, kind in enumerate(kinds):
        if kind == STEP:
            end = {"before": partial(die_in_step, rng.randint(1, 2 * STEPS))}
        elif kind == SAVE:
            file, share = rng.randint(1, 9), rng.choice((0.0, 1.0, rng.random()))
            end = {"before": partial(die_in_save, file, share)}
        else:
            end = {"seconds": rng.uniform(0, 5 * epoch_seconds)}
        if trainer.train("killed", **end) == 0:
            raise UserError(f"the run was over after {number} of {len(kinds)} kills")
        names = trainer.find_unfinished()
        if kind == SAVE and not names:
            raise UserError("a kill in a save left no unfinished file: it was not in a save")
        epochs = check_after_kill(trainer, epochs)
        unfinished.update(names)
    if trainer.train("killed") != 0:
        raise UserError("the run could not be finished")
    check_end(trainer)
    return unfinished


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    meaning = "seed of the moments at which the training is killed"
    add_number(parser, "--seed", 0, meaning, low=0)
    args = parser.parse_args(argv)
    if "fork" not in multiprocessing.get_all_start_methods():
        raise UserError("this system has no fork and no SIGKILL: run it on Linux or macOS")
    kills = dict.fromkeys(KILLS, 2) if args.quick else KILLS
    kinds = [kind for kind, times in kills.items() for _ in range(times)]
    epochs, began = 3 * len(kinds), time.perf_counter()
    torch.set_num_threads(1)  # and no other thread, for what is forked has only one
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        unfinished = measure(Trainer(Path(folder), epochs), kinds, args.seed)
    minutes = (time.perf_counter() - began) / 60
    print("| killed | times | resumed |\n|---|---|---|")
    for kind, times in kills.items():
        print(f"| {kind} | {times} | {times} |")
    names = ", ".join(f"{name} {times}" for name, times in sorted(unfinished.items()))
    print(f"\nunfinished at a kill: {names}")
    print(f"{len(kinds)} kills in {epochs} epochs: no row of history.csv lost, all files read,")
    print("nothing left over, and the end is that of the undisturbed run, bit for bit")
    print(f"{minutes:.1f} minutes")


if __name__ == "__main__":
    raise SystemExit(main())
