"""What a command does before its first slow import: two seconds pass until torch is there.

Every command imports this before all else that is not Python's own (pyproject.toml has it sorted
there): Ctrl-C then ends it in one line, too, and streams that its caller has closed, as `2>&-`
does, are opened on nothing. Otherwise the next file it opened would get their number, and with it
what is printed. Where another program imports the project, nothing happens.
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType


def is_command() -> bool:
    """Tells whether Python was started with a file of this project, and not of an installed one."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        return False
    file, root = Path(file).resolve(), Path(__file__).resolve().parents[1]
    return file.is_relative_to(root) and not file.is_relative_to(Path(sys.prefix).resolve())


def open_streams() -> None:
    """Opens stdin, stdout and stderr on nothing where they are closed."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def end_at_once(number: int, frame: FrameType | None) -> None:
    """Ends the process after Ctrl-C; as an exception, a library's import might swallow it."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(128 + number)


if is_command():
    open_streams()
    logging.basicConfig(handlers=[logging.NullHandler()])  # what libraries say when imported
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not of a background job
        signal.signal(signal.SIGINT, end_at_once)  # until `command` (errors.py) takes over
