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
    for title in ("metric", "group"):
        table.add_column(title, no_wrap=True)
    for title in ("n", "median", "p90", "bias", "peer*"):
        table.add_column(title, justify="right", no_wrap=True)
    for group in answer["groups"]:
        if group["by"] in SHORT:
            errors = (figure(group[name]) for name in ("median_abs_pct", "p90_abs_pct", "bias_pct"))
            known = [f"{group[name]:.0f}" for name in _PEER if group[name] is not None]
            table.add_row(group["metric"], _label(group), count(group["n"]), *errors, " / ".join(known))
    yield table
    if any(group["peer_n"] for group in answer["groups"]):
        yield Text(
            "|error| and bias in %; * median / p90 of aiconfigurator 0.12.0 on those of the rows that it could answer"
        )
    left_out = sorted({group["by"] for group in answer["groups"]} - set(SHORT))
    if left_out:
        yield Text(f"also by {', '.join(map(words, left_out))}: --format csv or json")
    for row in answer["skipped"]:
        yield Text(f"skipped {count(row['n'])}: {row['reason']}")
    beaten = [row["reason"] for row in answer["bounds_above_measurement"]]
    for reason in dict.fromkeys(beaten):
        yield Text(f"bound above the measurement {count(beaten.count(reason))}: {reason}")
    yield from unseen(answer["cross_validation"])


def _label(group: Mapping[str, Any]) -> str:
    """The name of a group; modes are names by themselves."""
    return str(group["key"]) if group["by"] in ("all", "mode") else f"{group['by']} {group['key']}"


def unseen(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Errors on rows left out of the fit, all sources together, and how many of them the 80 % ranges hold."""
    held = {
        (row["left_out"], "aggregated", row["metric"]): row["coverage"]
        for row in found["coverage"]
        if row["source"] == "all"
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in ("left out", "mode", "metric"):
        table.add_column(title, no_wrap=True)
    for title in ("n", "median", "p90", "held"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found["errors"]:
        if row["source"] == "all":
            inside = held.get((row["left_out"], row["mode"], row["metric"]))
            errors = (f"{figure(row[name])} ± {figure(row[se])}" for name, se in _WITH_ERRORS)
            share = "" if inside is None else figure(inside * 100)
            table.add_row(row["left_out"], row["mode"], row["metric"], count(row["n"]), *errors, share)
    yield table
    yield Text("rows left out of the fit, |error| in %; held: by the 80 % range of the prediction, %")
    yield Text(f"cross-validation of {found['date']}; clustermodel validate --cross-validate repeats it")
