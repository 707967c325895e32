"""What the fuzzing is made of: damage to any bytes, places without a file, how a case may end."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.helpers.every_command import Command, Outcome, call
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.digits import testing
from utils.errors import LONGEST
from utils.words import escape
from vae import training

ROOMS = ("models", "utils", "vae", "benchmarks")


def work_in_copy(every_run: Path, folder: Path, real: bool) -> Iterator[bool]:
    """Works in a copy of the small repository. Yields whether cases are real commands there."""
    root = folder / "repository"
    shutil.copytree(every_run, root)
    if real:
        for pattern in ("*.py", *(f"{room}/**/*.py" for room in ROOMS)):
            for file in REPOSITORY.glob(pattern):
                target = root / file.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        patch.setattr(testing, "EVALUATED", 100)
        patch.setattr(training, "WEIGHTED_DRAWS", 1)
        patch.chdir(root)
        yield real
    if counts := os.environ.get("FUZZ_COUNTS"):
        Path(counts).write_text(json.dumps(ENDS))


def survives(command: Command, argv: list[str], real: bool) -> Outcome:
    """Calls the command; it must end well or with one line. Returns what came of it."""
    if real:
        file = command.name.replace(".", "/") + ".py"
        launched = ["-m", command.name] if file.startswith("utils/") else [str(files.ROOT / file)]
        done = subprocess.run(
            [sys.executable, *launched, *argv],
            **{"cwd": files.ROOT, "capture_output": True, "timeout": 600, "check": False},
        )
        streams = (stream.decode("utf-8") for stream in (done.stdout, done.stderr))
        outcome = Outcome(done.returncode, *streams)
    else:
        with limited():
            outcome = call(command.main, argv)
    ENDS[f"exit status {outcome.status}"] += 1
    assert outcome.status in (0, 2), outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == (outcome.status == 2), outcome.err
    assert all(line.startswith("error: ") for line in lines)
    for line in [*lines, *outcome.out.split("\n")]:
        assert len(line) <= LONGEST
        assert line == escape(line)
    return outcome


ENDS: Counter[str] = Counter()  # how many cases ended in which exit status


class HangError(BaseException):
    """A command that goes on and on; no `except Exception` keeps it."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Ends what computes for longer than 10 seconds, or waits for something for a minute.

    Where others keep the processor busy a minute may pass, too, but not without any computing.
    """
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    began = time.process_time()

    def end(number: int, frame: object) -> None:
        nonlocal began
        earlier, began = began, time.process_time()
        if number == signal.SIGPROF or began - earlier < 0.02:
            raise HangError

    timers = [(signal.ITIMER_PROF, signal.SIGPROF, 10), (signal.ITIMER_REAL, signal.SIGALRM, 60)]
    try:
        for timer, number, seconds in timers:
            signal.signal(number, end)
            signal.setitimer(timer, seconds, seconds)
        yield
    finally:
        for timer, number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, signal.SIG_DFL)


# Damage to bytes of any kind


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some flipped, cut off, put in or repeated."""
    place = st.integers(0, max(0, len(content) - 1))
    how = draw(st.sampled_from(["flip", "cut", "insert", "blank", "repeat", "append"]))
    at = draw(place)
    if how == "flip":
        changed = bytearray(content)
        for index in [at, *draw(st.lists(place, max_size=7))] if content else []:
            changed[index] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if how == "cut":
        return content[:at]
    if how == "append":
        return content + draw(st.binary(max_size=30))
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=30)) + content[at:]
    length = draw(st.integers(1, 300))
    middle = bytes(length) if how == "blank" else 2 * content[at : at + length]
    return content[:at] + middle + content[at + length :]


PLACES = ["pipe", "socket", "folder", "/dev/zero", "/dev/full", "sparse", "closed"]


def no_file(place: Path, what: str) -> None:
    """Puts something in a file's place that is none, or one of 10 GB of nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if what == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(place)
    elif what == "socket" and hasattr(socket, "AF_UNIX"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))  # its path may be too long
    elif what == "sparse":
        with open(place, "wb") as file:
            file.truncate(10 * 2**30)
    elif what.startswith("/"):
        place.symlink_to(what)
    else:
        place.mkdir()
        place.chmod(0o500 if what == "closed" else 0o700)


def written(folder: Path, name: str, content: bytes) -> Path:
    """The file with that name, or, on a system that cannot have it, with another one."""
    file = folder / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError:
        file = folder / "other"
        file.write_bytes(content)
    return file


SHAPES = [(10**9, 3, 64, 64), (2**63, 3), (10**6,) * 4, (-1, 28, 28), (2, 3, 64, 64), (), (0,)]


@st.composite
def lies(draw: st.DrawFn) -> bytes:
    """A .npy file, or one of MNIST's format, that says of itself what it is not."""
    shape, content = draw(st.sampled_from(SHAPES)), draw(st.binary(max_size=100))
    if draw(st.booleans()):
        sizes = [size % 2**32 for size in shape[:4]]
        kind = draw(st.sampled_from([8, 9, 13, 14, 7]))
        head = struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes)
        return head + content
    buffer = io.BytesIO()
    descr = draw(st.sampled_from(["|u1", "|O", ">f8", "<U10", "<c16", "<M8[s]", "|V0"]))
    header = {"descr": descr, "fortran_order": draw(st.booleans()), "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + content
