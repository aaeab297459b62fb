"""The errors of the model on measurements, in short: everything together, and each mode of serving."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import count, figure, words

SHORT = ("all", "mode", "seen")
"""Groupings on the screen; JSON and CSV have every other one too."""


def scores(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Absolute errors (median and 90th percentile) and bias by metric; then what could not be predicted."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in ("metric", "of", "group"):
        table.add_column(title, no_wrap=True)
    for title in ("n", "median\n|error| %", "p90\n|error| %", "bias\n%"):
        table.add_column(title, justify="right")
    for group in answer["groups"]:
        if group["by"] in SHORT:
            errors = (figure(group[name]) for name in ("median_abs_pct", "p90_abs_pct", "bias_pct"))
            table.add_row(group["metric"], group["by"], str(group["key"]), count(group["n"]), *errors)
    yield table
    left_out = sorted({group["by"] for group in answer["groups"]} - set(SHORT))
    if left_out:
        yield Text(f"also by {', '.join(map(words, left_out))}: --format csv or json")
    for row in answer["skipped"]:
        yield Text(f"skipped {count(row['n'])}: {row['reason']}")
