"""Asks one function of a submission in a process of its own, and waits no longer than allowed.

The processes are forked from a server that has torch loaded and has never seen an answer. What a
child hands back are numbers; everything else it does (prints, files, its exit status) is ignored.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from course import isolation, wire
from course.attempt import attempt
from course.judging import CRASHED, SLOW, Verdict
from course.probes.probe import Arrays, find_probes
from utils import files

# What students' files import: once in the server, not in every child.
SLOW_TO_IMPORT = (
    "sklearn.ensemble",
    "sklearn.linear_model",
    "matplotlib",
    "PIL.Image",
    "tqdm",
    "filelock",
)
WALL_SECONDS = 30.0  # for one function: three times the processor time, on a busy machine
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


def work(
    answer: Connection, function: str, inputs: Arrays, room: Path, hidden: list[Path], worker: int
) -> None:
    """Is the child: shuts itself in, asks the function of the room, and sends what came of it."""
    isolation.close_all_but(answer.fileno())
    isolation.enter(room, hidden, worker)
    os.chdir(room / "scratch")
    os.environ.update(TMPDIR=str(room / "scratch"), MPLCONFIGDIR=str(room / "scratch"))
    sys.path[:] = [str(room), *(path for path in sys.path if path not in ("", str(files.ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("utils", "models")]:
        del sys.modules[name]  # ours; the room has its own
    answer.send_bytes(wire.pack(attempt(PROBES[function], inputs, room)))
    os._exit(0)


def ask_apart(
    context: BaseContext,
    function: str,
    inputs: Arrays,
    room: Path,
    hidden: list[Path],
    worker: int = 0,
) -> Arrays | Verdict:
    """Asks a function of the files in a room: outputs, or a verdict where there are none."""
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=work, args=(sending, function, inputs, room, hidden, worker), daemon=True
    )
    process.start()
    sending.close()
    answers: list[bytes] = []
    reader = threading.Thread(target=receive, args=(receiving, answers), daemon=True)
    reader.start()  # in a thread, since who stops in the middle of an answer would stop us, too
    reader.join(WALL_SECONDS)
    slow = reader.is_alive()
    if not slow:
        process.join(1)
    end(process)
    reader.join(1)
    if not reader.is_alive():
        receiving.close()
    if slow:
        return Verdict(SLOW, f"it did not end within {WALL_SECONDS:g} seconds")
    if not answers and process.exitcode in OUT_OF_TIME:
        return Verdict(SLOW, f"it took more than {isolation.CPU_SECONDS} seconds of processor time")
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
