"""The explorer, served on this machine to this machine."""

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Option

_PORT = Option("port", read.whole, "N", "port on 127.0.0.1; 0 takes a free one", "8080")


@command(_PORT)
def explore(ask: Ask) -> Answer:
    """Sliders over the whole chain, in a browser: choose systems, drag prices and watch the answer follow.

    Serves 127.0.0.1 only, needs no internet, and stops with Ctrl-C; its answer, also that in --out, is then the
    address it had. The address of the page is its state; the state also comes as a file for
    `clustermodel cost @state.toml`.

    Example: clustermodel explore --configs my-configs
    """
    from clustermodel.report.extras import need

    need("explore", "starlette", "uvicorn", "matplotlib", "jinja2")
    from clustermodel.explore.serve import serve

    address = serve(ask.catalog, ask.options.get("port", 8080), ask.say)
    return ask.answer("explore", address=address)
