"""What a user meets when something is wrong: one line on stderr, an exit status, no traceback."""

import argparse
import functools
import math
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn


class UserError(Exception):
    """A mistake the user can mend. Its text says what is wrong and what would be right."""


class Interrupted(Exception):
    """Training was stopped by a signal, after its step was finished and saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signal_number  # 130 after Ctrl-C, 143 after SIGTERM, as in a shell


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are one line too, and which never guesses an option from a prefix."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], Any]:
    """An argparse type: a finite number of this kind, int or float, in low..high."""
    limits = f">= {low}" if high == math.inf else f"in {low}..{high}"

    def parse(text: str) -> Any:
        value = kind(text)
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"{text} is not a number {limits}")
        return value

    parse.__name__ = {int: "whole number", float: "number"}[kind]  # argparse's word for it
    return parse


def command(main: Callable[[list[str] | None], None]) -> Callable[[list[str] | None], int]:
    """Turns `main(argv)` into one that returns an exit status: 0, 2 for a mistake, 128 + signal."""

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        try:
            main(argv)
        except UserError as mistake:
            print("error:", " ".join(str(mistake).split()), file=sys.stderr)
            return 2
        except BrokenPipeError:  # who read our output has gone, as after `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
            return 141  # 128 + SIGPIPE
        except OSError as problem:  # a full disk, a folder that may not be written to
            what = problem.strerror or type(problem).__name__
            where = f": {problem.filename}" if problem.filename else ""
            print(f"error: {what}{where}", file=sys.stderr)
            return 2
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            return stop.status
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 0

    return run
