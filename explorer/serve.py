"""Explore the trained models in a browser: what they write, what a neuron does, turned faces.

    python explorer/serve.py                       opens a page on this machine alone
    python explorer/serve.py --port 8000 --no-browser

It answers to 127.0.0.1 only, loads nothing from anywhere else, and writes nothing. Ctrl-C ends it.
"""

import errno
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import utils.start  # noqa: F401

from utils.command_line import Parser, number
from utils.errors import UserError, command


def parse(argv: list[str] | None) -> tuple[int, bool]:
    """Reads the command line: the port, 0 for a free one, and whether a browser is opened."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--port", type=number(int, 0, 65535), default=0, help="default: one that is free"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    args = parser.parse_args(argv)
    return args.port, not args.no_browser


def listen(port: int) -> socket.socket:
    """Opens a port of this machine alone. UserError where it is taken, or not allowed."""
    # As TCP by name: asyncio lets small answers go at once only where it sees that it is TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # there it would let two programs have one port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
    except OSError as problem:
        listening.close()
        taken = problem.errno == errno.EADDRINUSE
        why = "is in use" if taken else f"cannot be opened ({problem.strerror})"
        raise UserError(
            f"port {port} {why}: take another --port, or leave it out for a free one"
        ) from None
    return listening


def settings() -> Any:
    """Returns uvicorn's settings: one process, no log, and a bound on a request's head."""
    import uvicorn

    from explorer.app import make_app

    return uvicorn.Config(
        make_app(),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what goes wrong in an answer is said where it is made
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=2**17,
    )


@contextmanager
def explain_missing(script: str) -> Iterator[None]:
    """Turns the lack of a package into a UserError that says how to get it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").split(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise UserError(
            f"the explorer needs {package}: uv run --extra explore {script}, "
            "or pip install starlette uvicorn"
        ) from None


@command
def main(argv: list[str] | None = None) -> None:
    port, browse = parse(argv)
    with explain_missing("explorer/serve.py"):
        import uvicorn

        import explorer.app  # noqa: F401
    with listen(port) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if browse:
            threading.Timer(0.3, webbrowser.open, [address]).start()
        uvicorn.Server(settings()).run(sockets=[listening])


if __name__ == "__main__":
    raise SystemExit(main())
