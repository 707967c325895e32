"""The explorer's addresses: the page, its parts, and the answers of every view.

A view is a module of explorer/views/ with a NAME and its ROUTES, named in VIEWS, and a module of
the same name in explorer/static/views/, named in static/app.js (docs/explorer.md).
"""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer.library import Library
from explorer.views import attention, cells, digits, faces, reach, runs, write
from explorer.web import Desk, Guard, Query, refuse

VIEWS = (write, cells, attention, reach, faces, digits, runs)
STATIC = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def list_runs(query: Query, library: Library) -> dict[str, Any]:
    """Lists the runs with their kinds and epochs."""
    query.finish()
    return {"runs": [vars(entry) for entry in library.entries().values()]}


def read_parts() -> dict[str, Response]:
    """Reads the page and its parts once: an address of theirs is a name in this table, no path."""
    found = {}
    for file in sorted(STATIC.rglob("*.*")):
        name = f"/{file.relative_to(STATIC).as_posix()}"
        found[name] = Response(file.read_bytes(), media_type=f"{TYPES[file.suffix]}; charset=utf-8")
    return found | {"/": found["/index.html"]}


async def not_found(request: Request, problem: Exception) -> Response:
    return refuse(404, "there is nothing at this address: the page is at /")


async def not_asked(request: Request, problem: Exception) -> Response:
    return refuse(405, f"{request.method} is not answered here: GET is")


def make_app(library: Library | None = None) -> Starlette:
    """Makes the application; the library's models are shared by all pages."""
    desk = Desk(library or Library())
    answers = {"/api/runs": list_runs}
    for view in VIEWS:
        answers |= {f"/api/{view.NAME}/{name}": answer for name, answer in view.ROUTES.items()}
    routes = [Route(path, desk.endpoint(a), methods=["GET", "POST"]) for path, a in answers.items()]
    for path, part in read_parts().items():
        routes.append(Route(path, lambda request, part=part: part))
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard),
            Middleware(
                TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False
            ),
        ],
        exception_handlers={404: not_found, 405: not_asked},
    )
    app.router.redirect_slashes = False
    return app
