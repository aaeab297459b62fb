"""The program `clustermodel`: its commands, and nothing that takes time to import."""

import io
import sys
from typing import Annotated

import typer

from clustermodel import __version__
from clustermodel.cli import (
    _bench,
    _calibration,
    _catalog,
    _design,
    _explore,
    _fleet,
    _power,
    _report,
    _risk,
    _tokens,
)
from clustermodel.cli._interrupt import run_to_the_end
from clustermodel.cli._program import Program

app = typer.Typer(
    cls=Program,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback is for our own errors, and plain
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(_tokens.cost)
app.command()(_tokens.compare)
app.command()(_tokens.frontier)
app.command()(_power.power)
app.command()(_fleet.fleet)
app.command()(_risk.risk)
app.command()(_calibration.validate)
app.command()(_calibration.calibrate)
app.command()(_report.report)
app.command()(_explore.explore)
app.add_typer(_catalog.app, name="catalog")
app.add_typer(_design.app, name="design")
app.add_typer(_bench.app, name="bench")


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"clustermodel {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def clustermodel(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and stop"),
    ] = False,
) -> None:
    """From silicon to money: what a million tokens cost on a system, and which wall sets that cost."""


def run() -> None:
    """Entry point of the installed program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every letter
    run_to_the_end(app)
