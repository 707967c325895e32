"""How intruders attack the explorer's server: every kind of attack, and what must come of it.

Each must end in an answer of 400 to 499, in one that stays within its bounds, or in a closed
connection: never in one of 500 and more, in a second line of an error, or in a wait. After each
kind, and beside those that hold connections open, a page and a view must be answered.
benchmarks/trust/explorer.py makes them all, tests/explorer/test_attacks.py some of each kind.
"""

import json
import os
import re
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

from benchmarks.trust.intrusions import CHEAP, HEADS, REFUSED, STREAM, VALUES
from utils import files

PATIENCE = 60  # seconds that an answer may take while others compute
CLOSED = 0  # the status of a connection that was closed without an answer
HOST = b"Host: 127.0.0.1\r\n"


class Hole(Exception):
    """Something got through."""


def connect(port: int, window: int = 0) -> socket.socket:
    connection = socket.socket()
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    return connection


def ask(port: int, request: str | bytes, *, whole: bool = True) -> tuple[int, bytes]:
    """Sends a request as it is; returns the status and the body, CLOSED without an answer.

    One that is not `whole` is not waited for: it may wait for the rest of it.
    """
    request = request if isinstance(request, bytes) else request.encode("latin-1")
    answer = b""
    with connect(port) as connection:
        connection.settimeout(PATIENCE if whole else 1)
        try:
            connection.sendall(request)
            while not is_whole(answer, request) and (part := connection.recv(2**16)):
                answer += part
        except (ConnectionResetError, BrokenPipeError):  # it did not want to hear all of it
            pass
        except TimeoutError:
            if whole:
                raise Hole(f"no answer in {PATIENCE} s to {request[:100]!r}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1.1 (\d+)", head)
    return (int(status[1]), body) if status else (CLOSED, b"")


def is_whole(answer: bytes, request: bytes) -> bool:
    """Tells whether all of an answer has come."""
    head, there, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    if not there or (length is None and not request.startswith(b"HEAD")):
        return bool(there) and answer.endswith(b"0\r\n\r\n")
    return request.startswith(b"HEAD") or len(body) >= int(length[1])


def get(port: int, path: str) -> tuple[int, bytes]:
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")


def check(status: int, body: bytes, what: str) -> int:
    """Raises Hole for an answer of 500 and more, or an error that is not one line."""
    if status >= 500:
        raise Hole(f"{status} to {what:.200}: {body[:300]!r}")
    if status >= 400 and body.startswith(b"{"):
        error = json.loads(body)["error"]
        if any(ord(char) < 32 for char in error):
            raise Hole(f"an error of several lines to {what:.200}: {error!r}")
    return status


def check_alive(port: int, when: str) -> None:
    """Asks for the page and for a view: they are answered, whatever else is going on."""
    for path in ("/", "/api/runs", CHEAP):
        status, body = get(port, path)
        if status != 200:
            raise Hole(f"{path} is answered with {status} {when}: {body[:200]!r}")


def send_heads(port: int, kind: str) -> Counter:
    """Sends requests as they are. All of a kind that must be refused are."""
    requests = HEADS[kind]
    statuses: Counter = Counter()
    for request in requests:
        status = check(*ask(port, request, whole=request.startswith("GET /")), request)
        if kind in REFUSED and not (status == CLOSED or 400 <= status < 500):
            raise Hole(f"{status} to {request[:200]!r}")
        statuses[status] += 1
    return statuses


def find_settings(port: int, path: str) -> list[str]:
    """Lists what an address can be asked: an unknown setting is answered with those it knows."""
    _, body = get(port, f"{path}?~=1")
    found = re.search(r"there is (.*)$", json.loads(body)["error"])
    return found[1].split(", ") if found and found[1] else []


def send_values(port: int, paths: list[str], values: list[str]) -> Counter:
    """Asks every address for every value in every one of its settings."""
    statuses: Counter = Counter()
    for path in paths:
        for name in find_settings(port, path):
            for value in values:
                address = f"{path}?{quote(name)}={value}"
                if path.startswith("/api/write") and name != "length":
                    address += "&length=2"
                statuses[check(*get(port, address), address)] += 1
    return statuses


def send_bodies(port: int, paths: list[str]) -> Counter:
    """Sends every address what is no picture."""
    statuses: Counter = Counter()
    for path in paths:
        for body in (
            b"",
            b"\x00" * 1000,
            b"\x89PNG\r\n\x1a\n" + b"\xff" * 1000,
            b"GIF89a\xff\xff\xff\xff",
        ):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
            statuses[check(*ask(port, head.encode() + body), f"a body to {path}")] += 1
    return statuses  # fmt: skip


def ask_together(port: int, number: int) -> Counter:
    """Asks from many connections at the same moment."""
    statuses: Counter = Counter()

    def one(seed: int) -> None:
        path = f"/api/write/text?run=lstm&length=5&seed={seed}"
        statuses[check(*get(port, path), path)] += 1

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(statuses.values()) != number:
        raise Hole(f"{number - sum(statuses.values())} of {number} had no answer at once")
    return statuses


def hold_open(port: int, number: int, start: bytes, drip: bytes, window: int = 0) -> Counter:
    """Opens many connections that send a byte now and then, and read nothing; others go on."""
    with ExitStack() as stack:
        held = [stack.enter_context(connect(port, window)) for _ in range(number)]
        for connection in held:
            connection.sendall(start)
        for byte in drip:
            for connection in held:
                with suppress(OSError):  # it was closed: all right
                    connection.sendall(bytes([byte]))
            check_alive(port, f"beside {number} connections that began {start[:40]!r}")
            time.sleep(1)
    return Counter({"held": number})


def drop(port: int, number: int) -> Counter:
    """Reads the first lines of a long text, and hangs up."""
    for _ in range(number):
        with connect(port) as connection:
            connection.sendall(f"GET {STREAM} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
            seen = b""
            while b'"steps"' not in seen and (part := connection.recv(2000)):
                seen += part
    return Counter({"dropped": number})


def replace_run(port: int, folder: Path, number: int) -> Counter:
    """Deletes, cuts and replaces a run while its text is streamed."""
    statuses: Counter = Counter()
    shipped = files.ROOT / "pretrained"
    for turn in range(number):
        run = folder / "checkpoints" / "prey"
        run.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped / ("lstm.pt", "tcn.pt")[turn % 2], run / "best.pt")
        with connect(port) as connection:
            path = STREAM.replace("run=lstm&length=2000", "run=prey&length=200")
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nConnection: close\r\n".encode() + HOST + b"\r\n"
            )
            seen = connection.recv(2000)
            if turn % 3 == 0:
                shutil.rmtree(run)
            elif turn % 3 == 1:
                os.truncate(run / "best.pt", 1000)
            else:
                (run / "best.pt").write_bytes(b"\x00" * 10_000)
            while part := connection.recv(2**16):
                seen += part
        if not seen.startswith(b"HTTP/1.1 200") or b'"error"' in seen:
            raise Hole(f"a run that changes while it writes: {seen[-300:]!r}")
        statuses[check(*get(port, "/api/cells/known?run=prey"), "a run that has gone")] += 1
    shutil.rmtree(folder / "checkpoints" / "prey", ignore_errors=True)
    return statuses


def put_strangers(port: int, folder: Path) -> Counter:
    """Puts files in checkpoints/ that are none, or that would run code: each is only left out."""
    evil = b"cos\nsystem\n(S'touch owned'\ntR."
    sound = (files.ROOT / "pretrained" / "lstm.pt").read_bytes()
    made = {
        "empty": b"", "evil": evil, "cut": sound[: len(sound) // 2], "text": b"hello\n" * 1000,
        "flipped": sound[:5000] + bytes(200) + sound[5200:],
        "zip": b"PK\x05\x06" + b"\x00" * 18, "line\nend": sound, "tab\tand\x1b[31m": sound,
        os.fsdecode(b"\xff\xfe"): sound, "a,b@c": sound, "..": b"", "con": sound, "x" * 200: sound,
    }  # fmt: skip
    for name, content in made.items():
        with suppress(OSError):
            run = folder / "checkpoints" / name
            run.mkdir(parents=True, exist_ok=True)
            (run / "best.pt").write_bytes(content)
    (folder / "checkpoints" / "folder" / "best.pt").mkdir(parents=True, exist_ok=True)
    looped = folder / "checkpoints" / "looped"
    looped.mkdir(exist_ok=True)
    with suppress(OSError):
        (looped / "best.pt").symlink_to(looped / "best.pt")
    if hasattr(os, "mkfifo"):
        piped = folder / "checkpoints" / "piped"
        piped.mkdir(exist_ok=True)
        os.mkfifo(piped / "best.pt")
    statuses: Counter = Counter()
    try:
        check_alive(port, "beside strangers' checkpoints")
        listed = [run["name"] for run in json.loads(get(port, "/api/runs")[1])["runs"]]
        for name in ("empty", "evil", "cut", "text", "flipped", "zip", "folder", "looped", "piped"):
            if name in listed:
                raise Hole(f"the stranger's checkpoint {name} is in the list")
        for name in [*made, "none"]:
            path = f"/api/cells/text?run={quote(os.fsencode(name))}"
            statuses[check(*get(port, path), path)] += 1
    finally:
        for run in (folder / "checkpoints").iterdir():
            shutil.rmtree(run, ignore_errors=True)
    return statuses


def attack(
    port: int, folder: Path, paths: list[str], *, few: bool
) -> Iterator[tuple[str, Counter]]:
    """Makes all attacks, and after each kind sees that the server answers; yields what they met."""
    body = f"POST {CHEAP} HTTP/1.1\r\nContent-Length: 1000\r\n".encode() + HOST + b"\r\n"
    stream = f"GET {STREAM} HTTP/1.1\r\n".encode() + HOST + b"\r\n"
    crowd, drip, turns, values = (40, b"a", 3, VALUES[::9]) if few else (200, b"aaaaa", 15, VALUES)
    kinds: dict[str, Callable[[], Counter]] = {
        name: lambda name=name: send_heads(port, name) for name in HEADS
    }
    kinds |= {
        "every setting of every address": lambda: send_values(port, paths, values),
        "bodies that are no pictures": lambda: send_bodies(port, paths),
        "connections at once": lambda: ask_together(port, crowd),
        "heads at a byte a second": lambda: hold_open(port, crowd, b"GET / HTTP/1.1\r\nX: ", drip),
        "bodies at a byte a second": lambda: hold_open(port, crowd, body, drip),
        "texts that nobody reads": lambda: hold_open(port, crowd, stream, drip, window=1),
        "connections dropped in the middle": lambda: drop(port, turns),
        "a run deleted or replaced while it writes": lambda: replace_run(port, folder, turns),
        "strangers' checkpoints": lambda: put_strangers(port, folder),
    }  # fmt: skip
    for name, make in kinds.items():
        found = make()
        check_alive(port, f"after {name}")
        yield name, found
