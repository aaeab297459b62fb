"""Capital spending by company and period: what was reported, and apart from it what was guided."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from clustermodel.report.figures import figure
from clustermodel.report.records import titled

_BILLION = 1e9


def spent(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line a row of the table, in billions of dollars."""
    table = titled()
    table.add_column("company", overflow="fold")
    table.add_column("period", no_wrap=True)
    for name in ("billion\nUSD", "at the\nleast", "at the\nmost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("basis", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in answer["rows"]:
        sizes = ("" if row[name] is None else figure(row[name] / _BILLION) for name in ("usd", "low", "high"))
        table.add_row(row["company"], row["period"], *sizes, row["basis"], row["note"])
    yield table
