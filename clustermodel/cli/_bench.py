"""How fast the program is."""

import typer

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Option

app = typer.Typer(help="How fast the program is on this machine.")

_SIZES = Option("sizes", read.counts, "N,N,...", "configurations in a batch", "1e3 to 1e6")


@app.command()
@command(_SIZES)
def model(ask: Ask) -> Answer:
    """Evaluations of the whole chain per second, for a dense and a mixture-of-experts model.

    Example: clustermodel bench model --sizes 1000
    """
    from clustermodel.bench.model import bench_model

    return ask.answer("bench-model") | bench_model(ask.catalog, **ask.options)
