"""What a user meets when something is wrong: one line on stderr, an exit status, no traceback."""

import functools
import os
import re
import sys
from collections.abc import Callable

# How torch says it, on the CPU, on a GPU, and where the size is beyond all memory. It has no class.
NO_MEMORY = re.compile("can't allocate memory|out of memory|size calculation overflowed")


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
            main(argv)
        except UserError as mistake:
            return report(str(mistake)) if _speaks() else 2
        except BrokenPipeError:  # who read our output has gone, as after `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
            return 141  # 128 + SIGPIPE
        except OSError as problem:  # a full disk, a folder that may not be written to
            what = problem.strerror or type(problem).__name__
            return report(f"{what}: {problem.filename}" if problem.filename else what)
        except (MemoryError, RuntimeError) as problem:
            if not (isinstance(problem, MemoryError) or NO_MEMORY.search(str(problem))):
                raise
            return report("not enough memory: take a smaller model, smaller batches or less data")
        except Interrupted as stop:
            if _speaks():
                print(stop, file=sys.stderr)
            return stop.status
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 0

    return run


def report(mistake: str) -> int:
    """Prints a mistake as one line, even if a file's name in it has line ends; returns status 2."""
    print("error:", " ".join(mistake.split()), file=sys.stderr)
    return 2


def _speaks() -> bool:
    """Tells whether this process speaks for all that torchrun has started on its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
