"""The command explorer/serve.py: its mistakes are one line, and it ends when it is told to."""

import asyncio
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")

from explorer import serve
from tests.helpers.every_command import call
from tests.helpers.repository import REPOSITORY


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = call(serve.main, [f"--port={port}", "--no-browser"])
    assert (status, out) == (2, "")
    assert err == (
        f"error: port {port} is in use: take another --port, or leave it out for a free one\n"
    )


async def ask_asyncio(listening):
    """Asks whether asyncio lets what it writes to a connection of this socket leave at once."""
    found = asyncio.get_running_loop().create_future()

    def answer(reader, writer):
        sock = writer.get_extra_info("socket")
        found.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(answer, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        undelayed = await found
        writer.close()
        await writer.wait_closed()
    return undelayed


def test_an_answer_leaves_at_once():
    """No part of it waits until the one before was confirmed, which takes a browser 40 ms."""
    assert asyncio.run(ask_asyncio(serve.listen(0)))


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_package_is_one_line(missing, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("explorer", missing)]:
        if name not in ("explorer", "explorer.serve"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    status, out, err = call(serve.main, ["--no-browser"])
    assert (status, out) == (2, "")
    assert err.startswith(f"error: the explorer needs {missing}: uv run --extra explore")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for another process")
def test_ctrl_c_ends_it():
    command = [sys.executable, str(REPOSITORY / "explorer" / "serve.py"), "--no-browser"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            address = server.stdout.readline().split()[0]
            assert urlopen(address, timeout=60).status == 200
            asked = f"{address}api/faces/latents"  # measured in a process, which ends with it
            assert urlopen(asked, timeout=60).status == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 130
            assert server.stderr.read() == "interrupted\n"
        finally:
            server.kill()
