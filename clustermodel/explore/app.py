"""The pages of the explorer: a form, the parts of its answer, and its state as a file. Nothing is kept here."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Template
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from clustermodel.catalog import Catalog, ConfigError
from clustermodel.explore import answer
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

Page = Callable[[Request], Response]


def application(catalog: Catalog) -> Starlette:
    """The explorer over a catalogue."""
    pages = Pages(catalog)
    routes = [
        Route("/", pages.whole),
        Route("/price", pages.part(answer.price)),
        Route("/curves", pages.part(answer.curves)),
        Route("/matching", pages.part(answer.matching)),
        Route("/state.toml", pages.file),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]
    local = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])  # no other name leads here
    return Starlette(routes=routes, middleware=[local])


class Pages:
    """The responses of the explorer over one catalogue."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog
        self._names = {folder: list(catalog.paths(folder)) for folder in ("systems", "models", "workloads")}

    def whole(self, request: Request) -> Response:
        """The page of a state; of the first one where the address is wrong, with the reason."""
        try:
            state, problem = self._state(request), ""
        except ConfigError as error:
            state, problem = read_state(self._catalog, {}), str(error)
        text = _template("page.html").render(
            state=state, problem=problem, names=self._names, formats=FORMATS, sliders=SLIDERS,
            starts=start_values(self._catalog), first=answer.price(self._catalog, state),
        )  # fmt: skip
        return HTMLResponse(text, 422 if problem else 200, _HEADERS)

    def part(self, made: Callable[[Catalog, State], answer.Shown]) -> Page:
        """One part of the answer, to be put in its place; with the price go the address and the sliders' numbers."""

        def respond(request: Request) -> Response:
            try:
                state = self._state(request)
                shown = made(self._catalog, state)
            except ConfigError as error:
                text = _template("problem.html").render(problem=str(error))
                return HTMLResponse(text, 422, _HEADERS)
            leads = made is answer.price
            name = made.__name__
            text = _template("part.html").render(
                name=name,
                shown=shown,
                state=state,
                leads=leads,
                sliders=SLIDERS,
                starts=start_values(self._catalog),
            )
            more = {"Content-Location": f"/?{state.query}"} if leads else {}
            return HTMLResponse(text, 200, _HEADERS | more)

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


def _template(name: str) -> Template:
    return environment(Path(__file__).parent / "templates").get_template(name)
