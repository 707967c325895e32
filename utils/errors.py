"""What a user meets when something is wrong: one line on stderr, an exit status, no traceback."""

import functools
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from types import FrameType
from typing import Any, TextIO

from utils.words import ESCAPES, escape

# How torch says it, on the CPU, on a GPU, and where the size is beyond all memory. It has no class.
NO_MEMORY = re.compile("can't allocate memory|out of memory|size calculation overflowed")
LONGEST = 300  # characters of a line
ENDING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
IGNORED = (signal.SIG_IGN, None)  # handlers that stay: None is one that is not Python's


class UserError(Exception):
    """A mistake the user can mend. Its text says what is wrong and what would be right."""


class SettingError(UserError, ValueError):
    """Settings that do not fit together: a ValueError for an engineer, one line for the command."""


class Interrupted(Exception):
    """Training was stopped by a signal, after its step was finished and saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signal_number  # 130 after Ctrl-C, 143 after SIGTERM, as in a shell


def command(main: Callable[[list[str] | None], None]) -> Callable[[list[str] | None], int]:
    """Turns `main(argv)` into one that returns an exit status: 0, 2 for a mistake, 128 + signal."""

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):  # a name or a text may not fit the terminal's
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            with end_in_order(), speak_plainly():
                flush_denormals()
                main(argv)
        except UserError as mistake:
            return report(str(mistake)) if speaks() else 2
        except BrokenPipeError:  # who read our output has gone, as after `| head`
            return 128 + 13  # SIGPIPE
        except OSError as problem:  # a full disk, a folder that may not be written to
            what = problem.strerror or str(problem) or type(problem).__name__
            return report(f"{what}: {problem.filename}" if problem.filename else what)
        except (MemoryError, RuntimeError) as problem:
            if not (isinstance(problem, MemoryError) or NO_MEMORY.search(str(problem))):
                raise
            return report("not enough memory: take a smaller model, smaller batches or less data")
        except Interrupted as stop:
            if speaks():
                say(str(stop))
            return stop.status
        except KeyboardInterrupt as stop:
            number = stop.args[0] if stop.args else signal.SIGINT
            say("interrupted" if number == signal.SIGINT else f"ended by {number.name}")
            return 128 + number
        finally:
            Lasting(sys.stdout).flush()  # here, where it may fail: Python's own comes later
        return 0

    return run


@contextmanager
def end_in_order() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP (a closed terminal) exceptions, as Ctrl-C is: files are tidied up.

    Where the caller has them ignored, as nohup does, they stay so.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number))

    previous = {}
    if threading.current_thread() is threading.main_thread():  # others may not set handlers
        previous = {number: signal.getsignal(number) for number in ENDING}
        previous = {n: handler for n, handler in previous.items() if handler not in IGNORED}
    for number in previous:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Lets a signal that ends the command wait until what is inside is done: it must be short."""
    received, previous = [], {}
    if threading.current_thread() is threading.main_thread():
        for number in (n for n in ENDING if signal.getsignal(n) not in IGNORED):
            previous[number] = signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def flush_denormals() -> None:
    """Lets the processor take numbers below 1.2e-38 for 0, in this thread and those it starts.

    What a dead unit leaves in an optimiser decays for ever, and below that bound an operation may
    take a hundred times as long. Torch's threads start with the first large operation, so this
    comes before it. Importing torch is left to the command.
    """
    torch = sys.modules.get("torch")
    if torch and not torch.set_flush_denormal(True) and speaks():
        say("note: this processor cannot take denormal numbers for 0, steps may become slow")


class Screen:
    """A stream for people: what a terminal would obey is escaped, lines are broken at LONGEST."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.column = stream, 0
        self.encoding = getattr(stream, "encoding", None)  # asked for by what torch imports

    def write(self, text: str) -> int:
        for line in text.translate(ESCAPES).splitlines(keepends=True):
            while len(line.rstrip("\n")) > (room := LONGEST - self.column):
                cut = line.rfind(" ", room // 2, room) + 1 or room
                self.stream.write(f"{line[:cut]}\n")
                line, self.column = line[cut:], 0
            self.stream.write(line)
            self.column = 0 if line.endswith("\n") else self.column + len(line)
        return len(text)

    def pour(self, text: str) -> None:
        """Writes a part of a long text at once, its lines as long as they are."""
        self.stream.write(escape(text))
        self.stream.flush()
        self.column = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Lasting:
    """A stream that outlives its readers: when they have gone, what is written is lost."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self._attempt(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self.stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError:  # a pipe nobody reads, a terminal that was closed, a full disk
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())  # what is left in its buffer goes there
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def outlive_readers() -> Iterator[None]:
    """Lets what is inside go on where nobody reads stdout or stderr any more: a long training."""
    with redirect_stdout(Lasting(sys.stdout)), redirect_stderr(Lasting(sys.stderr)):
        yield


@contextmanager
def speak_plainly() -> Iterator[None]:
    """Makes stdout a Screen, and keeps what libraries warn of to oneself, unless -W asks for it.

    Warnings are for developers: the tests turn each into an error. They are still raised where a
    filter says so.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])
    with warnings.catch_warnings(), redirect_stdout(Screen(sys.stdout)):
        if not sys.warnoptions:
            warnings.showwarning = lambda *_, **__: None
        yield


def say(text: str) -> None:
    """Prints one line on stderr, even if a file's name in it has line ends; shortens a long one."""
    line = escape(" ".join(text.split()))
    if len(line) > LONGEST:  # what is wrong comes first, what would be right last
        line = f"{line[: LONGEST - 105]} ... {line[-100:]}"
    print(line, file=Lasting(sys.stderr))


def report(mistake: str) -> int:
    """Says a mistake; returns status 2."""
    say(f"error: {mistake}")
    return 2


def speaks() -> bool:
    """Tells whether this process speaks for all that torchrun has started on its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
