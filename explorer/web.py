"""What stands between a page and the computation: who may ask, for how much, one at a time.

A view's answer is a plain function of a `Query` and the `Library`: a dict becomes JSON, bytes stay
bytes, and a generator is a stream, one line of JSON for each of its items. All of them are computed
in one thread, an item at a time and in turn, so streams go on side by side. When a page has gone,
its stream is closed, and what it was still waiting for is never begun.
"""

import asyncio
import inspect
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.errors import UserError, flush_denormals, say
from utils.words import escape

MOST_AT_ONCE = 16  # questions that wait for the one thread
MOST_STREAMS = 32  # texts that are being sent, or wait until somebody reads
MOST_BODIES = 4  # that are being read
PATIENCE = 10  # seconds in which a body must have come, and in which a part of an answer is taken
MOST_BYTES = 20 * 10**6  # of what a page may send: a photograph
MOST_QUERY = 60_000  # characters of an address
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
END = object()


class Query:
    """What a page asks for: values by name, each within its bounds. UserError for any other."""

    def __init__(self, given: Mapping[str, str], body: bytes = b"") -> None:
        self.given, self.body, self.known = dict(given), body, set[str]()

    def text(self, name: str, default: str = "", *, most: int = 2000) -> str:
        """Reads a text of at most `most` characters."""
        self.known.add(name)
        value = self.given.get(name, default)
        if len(value) > most:
            raise UserError(f"{name} has {len(value):,} characters: at most {most:,} are taken")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Reads a whole number in low..high."""
        value = self.text(name, str(default), most=20)
        if not value.removeprefix("-").isdecimal() or not low <= int(value) <= high:
            raise UserError(f"{name} is {value!r}: give a whole number in {low}..{high}")
        return int(value)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Reads a number in low..high."""
        value = self.text(name, str(default), most=40)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise UserError(f"{name} is {value!r}: give a number in {low}..{high}")
        return number

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Reads one of several words."""
        value = self.text(name, default, most=100)
        if value not in choices:
            raise UserError(f"{name} is {value!r:.60}: give one of {', '.join(choices)}")
        return value

    def finish(self) -> None:
        """Refuses what nobody has read. Called before anything is computed."""
        if unknown := sorted(set(self.given) - self.known):
            raise UserError(
                f"{unknown[0]!r:.60} is no setting here: there is {', '.join(sorted(self.known))}"
            )


Answer = Callable[[Query, Any], Any]


class Desk:
    """Takes the questions of all pages and has them answered, one item at a time."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.waiting = self.streams = self.bodies = 0
        self.thread = ThreadPoolExecutor(1, "compute", initializer=flush_denormals)
        self.turn: asyncio.Lock | None = None

    async def compute(self, function: Callable[..., Any], *values: Any) -> Any:
        """Computes in the one thread, when it is this question's turn."""
        if self.turn is None:
            self.turn = asyncio.Lock()  # it belongs to the loop that first asks
        async with self.turn:
            return await asyncio.get_running_loop().run_in_executor(self.thread, function, *values)

    def endpoint(self, answer: Answer) -> Callable[[Request], Any]:
        """Makes an address of a view's answer."""

        async def reply(request: Request) -> Response:
            if is_foreign(request):
                return refuse(403, "another page may not ask")
            if len(request.url.query) > MOST_QUERY:
                return refuse(414, f"an address may have {MOST_QUERY:,} characters")
            try:
                body = await self.read(request) if request.method == "POST" else b""
                if self.waiting >= MOST_AT_ONCE:
                    raise TooMany
                query = Query(request.query_params, body)
                if inspect.isgeneratorfunction(answer):
                    if self.streams >= MOST_STREAMS:
                        raise TooMany
                    items = answer(query, self.library)
                    lines = self.stream(await self.begin(next, items, END), items)
                    return Lines(lines, media_type="application/x-ndjson")
                if await request.is_disconnected():
                    return Response(status_code=499)
                found = await self.begin(answer, query, self.library)
                if isinstance(found, bytes):
                    return Response(found, media_type="application/octet-stream")
                return Response(write_json(found), media_type="application/json")
            except UserError as mistake:
                return refuse(400, str(mistake))
            except TooMany:
                return refuse(429, "too many questions at once: close a page, or try again")
            except TimeoutError:
                return refuse(408, f"what is sent must be here within {PATIENCE} s")
            except TooLarge:
                return refuse(413, f"at most {MOST_BYTES // 10**6} MB are taken")
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as problem:
                say(f"error: {request.url.path}: {type(problem).__name__}: {problem}")
                return refuse(500, f"this went wrong here: {type(problem).__name__}: {problem}")

        return reply

    async def begin(self, function: Callable[..., Any], *values: Any) -> Any:
        """Computes an answer, or the first item of one: so many may wait for that."""
        self.waiting += 1
        try:
            return await self.compute(function, *values)
        finally:
            self.waiting -= 1

    async def read(self, request: Request) -> bytes:
        """Reads what a page sends: few at a time, so that it is not much, and not for long."""
        if self.bodies >= MOST_BODIES:
            raise TooMany
        self.bodies += 1
        try:
            return await asyncio.wait_for(read_body(request), PATIENCE)
        finally:
            self.bodies -= 1

    async def stream(self, item: Any, items: Any) -> AsyncIterator[bytes]:
        """Yields a line for every item of a generator, until it or the page ends."""
        self.streams += 1
        try:
            while item is not END:
                yield write_json(item) + b"\n"
                item = await self.compute(next, items, END)
        except Exception as problem:
            yield write_json({"error": f"{type(problem).__name__}: {problem}"}) + b"\n"
        finally:
            self.streams -= 1
            self.thread.submit(items.close)  # there, where it may just be at work


class Lines(StreamingResponse):
    """A stream whose generator ends with it, however that ends: here, not when memory is tidied."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()


class TooLarge(Exception):
    """More was sent than is taken."""


class TooMany(Exception):
    """More is asked at once than is answered."""


class Unread(Exception):
    """Nobody reads the answer."""


def is_foreign(request: Request) -> bool:
    """Tells whether a page of another site asks. Some browsers say so by `Origin` alone."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    own = f"http://{request.headers['host']}"
    return (origin is not None and origin != own) or site not in ("same-origin", "none")


async def read_body(request: Request) -> bytes:
    """Reads what a page sends, as far as it may. TooLarge beyond that."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def write_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def refuse(status: int, why: str) -> Response:
    """Answers with one line that says why not; a name in it may be no Unicode."""
    error = {"error": escape(" ".join(why.split()))[:300]}
    return Response(write_json(error), status, media_type="application/json")


class Guard:
    """Adds to every answer what a browser may do with it: load nothing from anywhere else.

    An answer that nobody reads is given up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            try:
                await asyncio.wait_for(send(message), PATIENCE)
            except TimeoutError:
                raise Unread from None

        with suppress(Unread):
            await self.app(scope, receive, guarded)
