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
_PEER = ("peer_median_abs_pct", "peer_p90_abs_pct")
_WITH_ERRORS = (("median_abs_pct", "median_se"), ("p90_abs_pct", "p90_se"))


def scores(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Absolute errors (median and 90th percentile) and bias by metric; then what could not be predicted."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in ("metric", "of", "group"):
        table.add_column(title, no_wrap=True)
    for title in ("n", "median\n|error| %", "p90\n|error| %", "bias\n%", "peer*\nmedian", "peer*\np90"):
        table.add_column(title, justify="right")
    for group in answer["groups"]:
        if group["by"] in SHORT:
            errors = (figure(group[name]) for name in ("median_abs_pct", "p90_abs_pct", "bias_pct"))
            peer = ("" if group[name] is None else figure(group[name]) for name in _PEER)
            table.add_row(group["metric"], group["by"], str(group["key"]), count(group["n"]), *errors, *peer)
    yield table
    if any(group["peer_n"] for group in answer["groups"]):
        yield Text("* aiconfigurator 0.12.0 on those of the rows that it could answer")
    left_out = sorted({group["by"] for group in answer["groups"]} - set(SHORT))
    if left_out:
        yield Text(f"also by {', '.join(map(words, left_out))}: --format csv or json")
    for row in answer["skipped"]:
        yield Text(f"skipped {count(row['n'])}: {row['reason']}")
    beaten = [row["reason"] for row in answer["bounds_above_measurement"]]
    for reason in dict.fromkeys(beaten):
        yield Text(f"bound above the measurement {count(beaten.count(reason))}: {reason}")
    yield from unseen(answer["cross_validation"])


def unseen(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Errors on rows left out of the fit, all sources together, and how many of them the 80 % ranges hold."""
    held = {
        (row["left_out"], "aggregated", row["metric"]): row["coverage"]
        for row in found["coverage"]
        if row["source"] == "all"
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in ("left out of the fit", "mode", "metric"):
        table.add_column(title, no_wrap=True)
    for title in ("n", "median\n|error| %", "p90\n|error| %", "in 80 %\nrange, %"):
        table.add_column(title, justify="right")
    for row in found["errors"]:
        if row["source"] == "all":
            inside = held.get((row["left_out"], row["mode"], row["metric"]))
            errors = (f"{figure(row[name])} ± {figure(row[se])}" for name, se in _WITH_ERRORS)
            share = "" if inside is None else figure(inside * 100)
            table.add_row(row["left_out"], row["mode"], row["metric"], count(row["n"]), *errors, share)
    yield table
    yield Text(f"cross-validation of {found['date']}; clustermodel validate --cross-validate repeats it")
