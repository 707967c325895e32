"""The explorer's server, running in a thread on a free port, and who asks it in plain HTTP."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import urlencode

CLOSED = 0  # the status where the server hung up


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.body.splitlines()]


class Client:
    """Asks a server; addresses go out as they are, `../` and all."""

    def __init__(self, port: int) -> None:
        self.port, self.address = port, f"http://127.0.0.1:{port}/"

    def ask(self, path: str, asked: dict | None = None, *, body=None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if asked is not None:
            path += "?" + urlencode(asked)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("POST" if body is not None else "GET", path, body, named)
            reply = connection.getresponse()
            fields = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, fields, reply.read())
        except (ConnectionResetError, BrokenPipeError):  # it did not want to read all of it
            return Reply(CLOSED, {}, b"")
        finally:
            connection.close()


@contextmanager
def serving() -> Iterator[Client]:
    """Serves the explorer inside; latents are measured on few faces, in a thread beside it."""
    import uvicorn

    from explorer import beside
    from explorer.serve import listen, settings
    from explorer.views import faces

    def ask(_, question: dict) -> Future:
        return pool.submit(beside.measure, **question)

    few, near = patch.object(faces, "PICTURES", 100), patch.object(beside.Beside, "ask", ask)
    with listen(0) as listening, ThreadPoolExecutor(1) as pool, few, near:
        server = uvicorn.Server(settings())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)


def take_notes(page):
    """Has a page note what it asks for, what its console says and what fails; returns it."""
    page.set_default_timeout(60_000)
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda problem: page.said.append(str(problem)))
    return page
