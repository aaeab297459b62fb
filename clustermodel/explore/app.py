"""The pages of the explorer: a form, the parts of its answer, and its state as a file. The address is the state."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from clustermodel.catalog import Catalog, ConfigError
from clustermodel.explore.answer import PARTS, Answers
from clustermodel.explore.state import FORMATS, SLIDERS, State, read_state, start_values, toml
from clustermodel.report.page import environment

HOST = "127.0.0.1"
"""The only address that the explorer listens on."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MOST_CHARACTERS = 2_000
_AT_ONCE = ("price", "money")
"""Parts that are on the page before its script runs."""

Page = Callable[[Request], Response]


def application(catalog: Catalog) -> Starlette:
    """The explorer over a catalogue."""
    pages = Pages(catalog)
    routes = [
        Route("/", pages.whole),
        *(Route(f"/{name}", pages.part(name)) for name in PARTS),
        Route("/state.toml", pages.file),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]
    local = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])  # no other name leads here
    return Starlette(routes=routes, middleware=[local])


class Pages:
    """The responses of the explorer over one catalogue."""

    def __init__(self, catalog: Catalog):
        self._catalog, self._answers = catalog, Answers(catalog)
        self._names = {folder: list(catalog.paths(folder)) for folder in ("systems", "models", "workloads")}

    def whole(self, request: Request) -> Response:
        """The page of a state with its answer, or why it has none; of the first state where the address is wrong."""
        state, shown, problem = read_state(self._catalog, {}), {}, ""
        try:
            state = self._state(request)
            shown = {name: getattr(self._answers, name)(state) for name in _AT_ONCE}
        except ConfigError as error:
            problem = str(error)
        text = _rendered(
            "page.html", state=state, problem=problem, names=self._names, formats=FORMATS, sliders=SLIDERS,
            starts=start_values(self._catalog), shown=shown,
        )  # fmt: skip
        return HTMLResponse(text, 422 if problem else 200, _HEADERS)

    def part(self, name: str) -> Page:
        """One part of the answer, to be put in its place; it says which state it is of."""
        answered = getattr(self._answers, name)

        def respond(request: Request) -> Response:
            start = time.perf_counter()
            try:
                state = self._state(request)
                text = _rendered("part.html", name=name, shown=answered(state))
            except ConfigError as error:
                return HTMLResponse(_rendered("problem.html", problem=str(error)), 422, _HEADERS)
            spent = {"Server-Timing": f"{name};dur={1e3 * (time.perf_counter() - start):.1f}"}
            return HTMLResponse(text, 200, _HEADERS | spent | {"Content-Location": f"/?{state.query}"})

        return respond

    def file(self, request: Request) -> Response:
        """The state as options that every command takes with `@state.toml`."""
        try:
            text = toml(self._catalog, self._state(request))
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 422, _HEADERS)
        named = {"Content-Disposition": 'attachment; filename="state.toml"'}
        return PlainTextResponse(text, 200, _HEADERS | named, media_type="application/toml")

    def _state(self, request: Request) -> State:
        if len(request.url.query) > _MOST_CHARACTERS:
            raise ConfigError("the address is too long for a state; start again at /")
        return read_state(self._catalog, dict(request.query_params))


def _rendered(page: str, **values: Any) -> str:
    return environment(Path(__file__).parent / "templates").get_template(page).render(values)
