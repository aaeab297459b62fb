"""The answer to `risk`: the question, its figures with their tails, and what drives them."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import figure, words
from clustermodel.report.records import titled

Answer = Mapping[str, Any]

_COLUMNS = ("mean", "p10", "p50", "p90", "var95", "cvar95", "se")


def tails(answer: Answer) -> Iterator[RenderableType]:
    """One row per figure: its mean, percentiles and bad tail."""
    yield Text(answer["question"] or answer["scenario"], style="bold")
    yield Text(f"{answer['scenario']}: {answer['paths']:,} paths ({answer['method']}), seed {answer['seed']}")
    table = titled()
    table.add_column("figure", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for name, metric in answer["metrics"].items():
        table.add_row(words(name), *(_short(metric[column]) for column in _COLUMNS))
    yield table
    yield Padding(_meanings(answer["metrics"]), (0, 0, 1, 2))
    for each in answer.get("left_out", ()):
        yield Padding(Text(f"{words(each['metric'])} {each['reason']}", style="yellow"), (0, 0, 1, 2))
    if besides := answer.get("beside"):
        yield Padding(Text(_besides(besides), style="dim"), (0, 0, 1, 2))
    if answer["drivers"]:
        yield Padding(_drivers(answer["drivers"]), (0, 0, 1, 2))


def _short(value: float | None) -> str:
    """A figure in engineering form: 14.2 G for 14.2e9."""
    if value is None:
        return ""
    for scale, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= scale:
            return f"{figure(value / scale)}{letter}"
    return figure(value)


def _meanings(metrics: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, metric in metrics.items():
        bad = "large" if metric["bad_tail"] == "high" else "small"
        unit = f" [{metric['unit']}]" if metric["unit"] else ""
        table.add_row(Text(words(name), style="cyan"), f"{metric['meaning']}{unit}; {bad} is bad")
    return table


def _besides(rows: list[Mapping[str, str]]) -> str:
    """Written of contracts and in no cash flow, field by field."""
    of: dict[str, list[str]] = {}
    for row in rows:
        of.setdefault(words(row["field"]), []).append(row["entry"].partition("/")[2])
    return "in no cash flow: " + "; ".join(f"{field} of {', '.join(names)}" for field, names in of.items())


def _drivers(drivers: list[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for driver in drivers:
        table.add_row(*(figure(v) if isinstance(v, float) else str(v) for v in driver.values()))
    return table
