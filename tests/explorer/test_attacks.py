"""Intruders of each kind that benchmarks/trust/explorer.py sends, a few of each."""

import json
import os
import time
from contextlib import ExitStack

import pytest

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
pytest.importorskip("uvicorn", reason="needs the extra explore: uvicorn is not installed")

from benchmarks.trust import intruders
from benchmarks.trust.explorer import list_addresses
from benchmarks.trust.intrusions import CHEAP, HEADS, STREAM, VALUES
from explorer import web
from utils import files

ASKS_NOTHING = ("/api/runs", "/api/runs/there", "/api/faces/factors", "/api/faces/photograph")


@pytest.fixture(scope="module")
def port(client):
    return client.port


@pytest.mark.parametrize("kind", HEADS)
def test_a_request_that_is_none_is_refused(port, kind, monkeypatch):
    some = [request for request in HEADS[kind] if len(request) < 2 * 10**6]
    monkeypatch.setitem(intruders.HEADS, kind, some[::3])
    intruders.send_heads(port, kind)
    intruders.check_alive(port, kind)


@pytest.mark.parametrize("path", list_addresses())
def test_every_setting_is_checked(port, path):
    names = intruders.find_settings(port, path)
    for place, name in enumerate(names):  # each value somewhere, and each setting a few
        for value in VALUES[place % 9 :: 9]:
            address = f"{path}?{name}={value}" + ("&length=2" * (name == "run"))
            intruders.check(*intruders.get(port, address), address)
    assert bool(names) is (path not in ASKS_NOTHING)


def test_a_body_that_does_not_come_keeps_nobody_waiting(port, monkeypatch):
    monkeypatch.setattr(web, "PATIENCE", 0.3)
    head = f"POST {CHEAP} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nabc"
    with ExitStack() as stack:
        held = [stack.enter_context(intruders.connect(port)) for _ in range(20)]
        for connection in held:
            connection.sendall(head.encode())
        intruders.check_alive(port, "beside bodies that do not come")
        answers = [connection.recv(2000) for connection in held]
    statuses = {answer.split()[1] for answer in answers}
    assert statuses == {b"408", b"429"}


def test_a_text_that_nobody_reads_keeps_nobody_waiting(port, monkeypatch):
    """More of them than are sent at once: others are answered, and these are given up.

    Their lines are long, for the system itself keeps some megabytes for who reads late.
    """
    write = web.write_json
    monkeypatch.setattr(web, "write_json", lambda item: write(item) + 10**6 * b" ")
    monkeypatch.setattr(web, "PATIENCE", 0.5)
    monkeypatch.setattr(web, "MOST_STREAMS", 2)
    head = f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(6):
            connection = stack.enter_context(intruders.connect(port, window=1))
            connection.sendall(head.encode())
        path = "/api/reach/gradient?at=3"
        assert intruders.get(port, path)[0] == 200
        deadline = time.monotonic() + 60
        while intruders.get(port, CHEAP)[0] == 429 and time.monotonic() < deadline:
            time.sleep(0.1)
        intruders.check_alive(port, "beside texts that nobody reads")


def test_files_of_strangers_only_make_a_line(port, tmp_path, monkeypatch):
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    files.choose_output.cache_clear()
    (tmp_path / "checkpoints").mkdir()
    try:
        intruders.put_strangers(port, tmp_path)
        intruders.replace_run(port, tmp_path, 3)
    finally:
        files.choose_output.cache_clear()


def test_a_name_that_is_no_unicode_is_one_line(port, tmp_path, monkeypatch):
    """It is in the list that an error names."""
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    run = tmp_path / "checkpoints" / os.fsdecode(b"\xff\x1b[31m")
    try:
        run.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes no such name")
    (run / "best.pt").write_bytes((files.ROOT / "pretrained" / "tcn.pt").read_bytes())
    status, body = intruders.get(port, "/api/cells/text?run=none")
    assert status == 400
    assert "\x1b" not in json.loads(body)["error"]
    assert intruders.get(port, "/api/runs")[0] == 200
