"""Kill what prepares a text or decodes pictures, again and again: is what is there whole?

    python benchmarks/trust/kill_data.py            50 kills of each
    python benchmarks/trust/kill_data.py --quick    3 kills of each

A child process prepares a text (data_preparation.py) or decodes a folder of pictures onto the disk,
and is ended by SIGKILL, SIGTERM and SIGHUP in turn: after a random time, or at the moment when what
is new takes the place of what was. The old text, the new one, or nothing may be there then; nothing
else may be taken for it. After SIGTERM and SIGHUP nothing may lie beside it. The next command must
work, and remove what was left: it loads the data, or makes it anew. The first thing that is not so
ends this command as an error. Linux and macOS; nothing is kept.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
import torch
from PIL import Image

import data_preparation
from benchmarks.options import add_number, make_parser
from utils import files
from utils.errors import UserError, command
from utils.images.files import load_images
from utils.text.data import DataConfig, load_text

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
TIMES, QUICK = 50, 3
LINES = 400  # of a text, each of which becomes a file
PICTURES, SIDE = 300, 128


class Text:
    """A text that is prepared: of the old and the new one each has an alphabet of its own."""

    what = "preparing a text"
    moments = (("sync", 1), ("rename", 1), ("rename", 2), ("unlink", 1))

    def __init__(self, root: Path) -> None:
        self.folder = root / "data"
        rng = random.Random(0)
        for name, letters in (("old", "abc "), ("new", "vwxyz ")):
            lines = ["".join(rng.choices(letters, k=40)) for _ in range(LINES)]
            (root / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")

    def make(self, name: str) -> int:
        """Prepares the old or the new text, as a command does; returns its exit status."""
        return data_preparation.main([f"--text={files.ROOT / name}.txt", "--name=tale"])

    def read(self) -> str | None:
        """Tells which text is there, whole; None for none. UserError for anything else."""
        try:
            text = load_text(DataConfig(name="tale"))
        except UserError:
            return None
        codes = np.concatenate([text.training, text.validation])
        found = "".join(np.array(text.alphabet)[codes])
        for name in ("old", "new"):
            if found == (files.ROOT / f"{name}.txt").read_text(encoding="utf-8"):
                return name
        raise UserError(f"{len(found):,} characters are taken for a text that has others")


class Pictures:
    """A folder of pictures that is decoded onto the disk: of another brightness when it is new."""

    what = "decoding pictures"
    moments = (("fsync", 1), ("replace", 1), ("unlink", 1))

    def __init__(self, root: Path) -> None:
        self.folder = root / "data" / "images"
        for name, shade in (("old", 50), ("new", 200)):
            (root / name).mkdir()
            picture = Image.new("RGB", (SIDE, SIDE), (shade, shade, shade))
            for index in range(PICTURES):
                picture.save(root / name / f"{index:03}.png")

    def make(self, name: str) -> int:
        """Decodes the old or the new pictures, as a command does; returns its exit status."""
        return command(lambda argv: self.load(argv[0]))([name])

    def load(self, name: str) -> np.ndarray:
        return load_images(files.ROOT / name, memory_limit=0).pixels

    def read(self) -> str | None:
        """Tells which pictures are there, whole; None for none. UserError for anything else."""
        found = None
        for path in self.folder.glob("[!.]*"):
            if path.suffix != ".npy":
                raise UserError(f"{path.name} stands where decoded pictures do")
            pixels = np.load(path, mmap_mode="r")
            if len(pixels) != PICTURES or np.ptp(pixels) or pixels.flat[0] not in (50, 200):
                raise UserError(f"{path.name} is taken for pictures that are others")
            found = "old" if pixels.flat[0] == 50 and found is None else "new"
        return found


Data = Text | Pictures


def end_at(function: str, number: int, ending: int) -> None:
    """Arranges a signal just before the number-th call of a function of os."""
    usual, calls = getattr(os, function), iter(range(1, number))

    def call(*args: object, **options: object) -> object:
        if next(calls, None) is None:
            os.kill(os.getpid(), ending)
        return usual(*args, **options)

    setattr(os, function, call)


def start(action: Callable[[], int], errors: Path) -> multiprocessing.process.BaseProcess:
    """Starts a child process that does something as a command, in a session of its own."""

    def child() -> NoReturn:
        for name, stream in ((os.devnull, sys.stdout), (errors, sys.stderr)):
            opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, stream.fileno())
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        files.choose_output.cache_clear()  # it is another command
        raise SystemExit(action())

    process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
    process.start()
    return process


def do(action: Callable[[], int], errors: Path) -> float:
    """Lets a child process do something to its end; returns the seconds. UserError if it fails."""
    began = time.perf_counter()
    process = start(action, errors)
    process.join()
    if process.exitcode != 0:
        said = errors.read_text(encoding="utf-8").strip() or "no message"
        raise UserError(f"the next command ended with {process.exitcode}: {said}")
    return time.perf_counter() - began


def list_left(folder: Path) -> list[str]:
    """Lists what lies beside the data: begun, replaced, locked."""
    return sorted(path.name for path in folder.rglob(".*")) if folder.is_dir() else []


def end_once(data: Data, rng: random.Random, number: int, seconds: float, errors: Path) -> str:
    """Makes the new data, ends that by a signal, and looks at what is there; tells what it is."""
    ending, before = SIGNALS[number % len(SIGNALS)], data.read()
    moment = rng.choice(data.moments) if rng.random() < 0.4 else None

    def make() -> int:
        if moment:
            end_at(*moment, ending)
        return data.make("new")

    process = start(make, errors)
    if moment is None:
        process.join(rng.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, ending)
    process.join()
    over = process.exitcode == 0
    if process.exitcode not in (0, -ending, 128 + ending):
        said = errors.read_text(encoding="utf-8").strip() or "no message"
        raise UserError(f"{ending.name}: it ended with {process.exitcode}: {said}")
    left = list_left(data.folder)
    if left and ending != signal.SIGKILL:
        raise UserError(f"{ending.name} left {', '.join(left)}")
    after = data.read()
    if after not in (before, "new"):
        raise UserError(f"{ending.name}: {before} was there, then {after}")
    return "over" if over else {None: "nothing", "new": "the new"}.get(after, "the old")


def measure(data: Data, times: int, seed: int) -> Counter[str]:
    """Ends the making of data so many times; counts what was there then."""
    rng, errors = random.Random(seed), files.ROOT / "stderr.txt"
    seconds = do(lambda: data.make("new"), errors)
    found: Counter[str] = Counter()
    while found.total() - found["over"] < times:  # kills that came in time
        remove_all(data)
        if rng.random() < 0.7:
            do(lambda: data.make("old"), errors)
        found[end_once(data, rng, found.total(), seconds, errors)] += 1
        do(lambda: data.make("new" if rng.random() < 0.5 else "old"), errors)
        if left := list_left(data.folder):
            raise UserError(f"after the next command there is still {', '.join(left)}")
        if data.read() is None:
            raise UserError("the next command has made nothing")
    return found


def remove_all(data: Data) -> None:
    """Begins on a disk where nothing was made yet."""
    for path in data.folder.glob("*"):
        files.remove(path)


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--seed", 0, "seed of the moments of the kills", low=0)
    args = parser.parse_args(argv)
    if "fork" not in multiprocessing.get_all_start_methods():
        raise UserError("this system has no fork and no SIGKILL: run it on Linux or macOS")
    torch.set_num_threads(1)  # and no other thread, for what is forked has only one
    times, lines = QUICK if args.quick else TIMES, []
    usual = files.ROOT
    try:
        for kind in (Text, Pictures):
            with tempfile.TemporaryDirectory(prefix="kill-") as folder:
                files.ROOT = Path(folder).resolve()
                found = measure(kind(files.ROOT), times, args.seed)
            columns = [found[word] for word in ("the old", "nothing", "the new", "over")]
            lines.append(f"| {kind.what} | {times} | {' | '.join(map(str, columns))} |")
    finally:
        files.ROOT = usual
    print("| killed in | times | the old was there | nothing | the new | too late |")
    print("|---" * 6 + "|", *lines, sep="\n")
    print("\nwhole each time, and the next command worked and removed what was left")


if __name__ == "__main__":
    raise SystemExit(main())
