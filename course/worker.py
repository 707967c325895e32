"""Asks one function of a submission in a process of its own, and waits no longer than allowed.

A checkpoint is measured in the same way. The processes are forked from a server that has torch
loaded and has never seen an answer. What a child hands back are numbers; everything else it does
(prints, files, its exit status) is ignored.
"""

import contextlib
import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import torch

from course import isolation, wire
from course.attempt import NO_MEMORY, attempt
from course.judging import CRASHED, MEMORY, SLOW, Verdict
from course.probes.probe import Arrays, find_probes
from utils import files

# What students' files import, and torch by itself for an optimiser or a tensor that is nowhere:
# once in the server, not in every child.
SLOW_TO_IMPORT = (
    *("sklearn.ensemble", "sklearn.linear_model", "matplotlib.figure", "PIL.ImageFont"),
    *("PIL.ImageOps", "torch._dynamo", "tqdm", "filelock"),
)
WALL_SECONDS = 30.0  # for one function: three times the processor time, on a busy machine
MEASURING_SECONDS = 120  # of processor time, for one checkpoint: ours take 20 at most
OUT_OF_TIME = {-signal.SIGXCPU, -signal.SIGXCPU & 0xFF} if hasattr(signal, "SIGXCPU") else set()

isolation.hide_memory()  # of the server that imports this, and of all that it forks
torch.set_num_threads(1)
PROBES = find_probes()


def make_context() -> BaseContext:
    """Chooses how processes are started: forked from a clean server where there is one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    os.environ["PYTHONPATH"] = str(files.ROOT)  # for the server, which starts elsewhere
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *SLOW_TO_IMPORT])
    return context


def enter(answer: Connection, room: Path, hidden: list[Path], worker: int, seconds: int) -> None:
    """Begins a child: shuts it in, but for the way that its answer takes."""
    gc.freeze()  # what the server made is nobody's waste: a look through it would copy it
    isolation.close_all_but(answer.fileno())
    isolation.enter(room, hidden, worker, seconds)
    os.chdir(room / "scratch")
    os.environ.update(TMPDIR=str(room / "scratch"), MPLCONFIGDIR=str(room / "scratch"))


def work(
    answer: Connection, room: Path, hidden: list[Path], worker: int, function: str, inputs: Arrays
) -> None:
    """Is a child: shuts itself in, asks the function of the room, and sends what came of it."""
    enter(answer, room, hidden, worker, isolation.CPU_SECONDS)
    sys.path[:] = [str(room), *(path for path in sys.path if path not in ("", str(files.ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("utils", "models")]:
        del sys.modules[name]  # ours; the room has its own
    answer.send_bytes(wire.pack(attempt(PROBES[function], inputs, room)))
    os._exit(0)


def weigh(
    answer: Connection,
    room: Path,
    hidden: list[Path],
    worker: int,
    name: str,
    data: Path,
    kinds: Sequence[str],
) -> None:
    """Is a child, too: measures the checkpoint of the room by our own code, which it may read."""
    enter(answer, room, hidden, worker, MEASURING_SECONDS)
    answer.send_bytes(wire.pack(measure_safely(room / name, data, kinds)))
    os._exit(0)


def measure_safely(file: Path, data: Path, kinds: Sequence[str]) -> Arrays | Verdict:
    """Measures a checkpoint: numbers, or in a sentence why there are none."""
    from course.measures import measure  # here: the server shall have no solution in its memory
    from utils.errors import UserError

    try:
        found = measure(file, data, kinds)
        return {name: np.array(float(value)) for name, value in found.items()}
    except UserError as problem:
        said = str(problem).removeprefix(f"{file}: ").replace(str(file), "it")
        return Verdict(CRASHED, re.split(r": (?=train again|take another)", said)[0])
    except (MemoryError, RuntimeError) as problem:
        if isinstance(problem, MemoryError) or any(text in str(problem) for text in NO_MEMORY):
            return Verdict(MEMORY, "there is no memory for what it asks for")
        return Verdict(CRASHED, f"it cannot be run: {' '.join(str(problem).split())[:200]}")
    except Exception as problem:
        return Verdict(CRASHED, f"it cannot be read: {' '.join(str(problem).split())[:200]}")


def ask_apart(
    context: BaseContext,
    function: str,
    inputs: Arrays,
    room: Path,
    hidden: list[Path],
    worker: int = 0,
) -> Arrays | Verdict:
    """Asks a function of the files in a room: outputs, or a verdict where there are none."""
    arguments = (room, hidden, worker, function, inputs)
    return run_apart(context, work, arguments, WALL_SECONDS, isolation.CPU_SECONDS)


def measure_apart(
    context: BaseContext,
    file: Path,
    data: Path,
    kinds: Sequence[str],
    hidden: list[Path],
    worker: int = 0,
) -> Arrays | Verdict:
    """Measures a checkpoint that lies in a room: numbers, or a verdict where there are none."""
    arguments = (file.parent, hidden, worker, file.name, data, kinds)
    return run_apart(context, weigh, arguments, 3 * MEASURING_SECONDS, MEASURING_SECONDS)


def run_apart(
    context: BaseContext, target: Callable, arguments: tuple, wall: float, seconds: int
) -> Arrays | Verdict:
    """Runs a child until it answers or its time is over; reads the answer with suspicion."""
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(sending, *arguments), daemon=True)
    process.start()
    sending.close()
    answers: list[bytes] = []
    reader = threading.Thread(target=receive, args=(receiving, answers), daemon=True)
    reader.start()  # in a thread, since who stops in the middle of an answer would stop us, too
    reader.join(wall)
    slow = reader.is_alive()
    if not slow:
        process.join(1)
    end(process)
    reader.join(1)
    if not reader.is_alive():
        receiving.close()
    if slow:
        return Verdict(SLOW, f"it did not end within {wall:g} seconds")
    if not answers and process.exitcode in OUT_OF_TIME:
        return Verdict(SLOW, f"it took more than {seconds} seconds of processor time")
    try:
        return wire.unpack(answers[0])
    except (IndexError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Verdict(CRASHED, "its process ended without an answer")


def receive(answer: Connection, answers: list[bytes]) -> None:
    """Reads an answer, if there is a whole one."""
    with contextlib.suppress(EOFError, OSError):
        answers.append(answer.recv_bytes(wire.LONGEST))


def end(process: multiprocessing.process.BaseProcess) -> None:
    """Ends a child and all that it started, as far as they stayed in its session."""
    with contextlib.suppress(OSError, AttributeError):  # Windows has no groups
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.kill()
    process.join(5)
