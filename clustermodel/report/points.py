"""Answers with several points: systems side by side, and the frontier of each system."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import layout
from clustermodel.report.figures import figure, words

Point = Mapping[str, Any]

_PRICES = {
    "usd_per_mtok_total": "USD/M\ntotal",
    "usd_per_mtok_input": "USD/M\ninput",
    "usd_per_mtok_output": "USD/M\noutput",
}
_SPEEDS = {
    "interactivity_tok_s_user": "tok/s\nuser",
    "ttft_ms": "TTFT\nms",
    "output_tok_s_per_accelerator": "tok/s\nacc.",
}
_POWER = {"facility_w_per_accelerator": "W\nacc."}


def side_by_side(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line a system, the cheapest first; systems without an answer last, with the reason."""
    answered = [point for point in answer["points"] if "reason" not in point]
    yield _table(answered, {"system": "system"}, _PRICES | _SPEEDS | _POWER)
    for point in answer["points"]:
        if "reason" in point:
            yield Text(f"no answer for {point['system']}: {point['reason']}")


def curves(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One table a system: cost and throughput from the fastest point to the cheapest."""
    for system, points in groupby(answer["points"], key=lambda point: point["system"]):
        yield Text(f"\n{system}", style="bold")
        answered = [point for point in points if "reason" not in point]
        yield _table(answered, {"concurrency": "in\nflight"}, _SPEEDS | _PRICES | _POWER)


def _table(points: Sequence[Point], first: Mapping[str, str], numbers: Mapping[str, str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="cyan")
    for title in first.values():
        table.add_column(title)
    for title in ("layout", *numbers.values(), "limited by"):
        table.add_column(title, justify="right" if "\n" in title else "left")
    for point in points:
        cells = [*(figure(point[name]) for name in first), layout(point["layout"])]
        cells += [figure(point[name]) for name in numbers]
        table.add_row(*cells, words(point["binding_limit"]))
    return table
