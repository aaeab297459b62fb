"""Answers with several points: systems side by side, and the frontier of each system."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import layout
from clustermodel.report.figures import count, figure, words

Point = Mapping[str, Any]

_COLUMNS = {
    "concurrency": "in\nflight",
    "usd_per_mtok_total": "USD/M\ntotal",
    "usd_per_mtok_input": "USD/M\ninput",
    "usd_per_mtok_output": "USD/M\noutput",
    "interactivity_tok_s_user": "tok/s\nuser",
    "ttft_ms": "TTFT\nms",
    "output_tok_s_per_accelerator": "tok/s\nacc.",
    "facility_w_per_accelerator": "W\nacc.",
}
_COUNTS = ("concurrency",)


def side_by_side(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line a system, the cheapest first; systems without an answer last, with the reason."""
    answered = _answered(answer["points"])
    first = answered[0]
    yield Text(
        f"{first['model']}, {first['engine']}, {count(first['isl'])} tokens in, {count(first['osl'])} out, "
        f"{words(first['cost_basis'])} cost",
        style="bold",
    )
    yield _table(answered, ("system",))
    yield from _unanswered(answer["points"])


def curves(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One table a system, from the fastest point to the cheapest."""
    for system, points in groupby(_answered(answer["points"]), key=lambda point: point["system"]):
        yield Text(system, style="bold")
        yield _table(list(points), ())
    yield from _unanswered(answer["points"])


def _answered(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if "reason" not in point]


def _unanswered(points: Sequence[Point]) -> Iterator[Text]:
    for point in points:
        if "reason" in point:
            yield Text(f"no answer for {point['system']}: {point['reason']}")


def _table(points: Sequence[Point], names: Sequence[str]) -> Table:
    numbers = [name for name in _COLUMNS if name in points[0]]
    limits = [name for name in ("binding_limit",) if name in points[0]]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for name in (*names, "layout"):
        table.add_column(name, no_wrap=name == "system")
    for name in numbers:
        table.add_column(_COLUMNS[name], justify="right")
    for _ in limits:
        table.add_column("limit")
    for point in points:
        cells = [point[name] for name in names] + [layout(point["layout"])]
        cells += [(count if name in _COUNTS else figure)(point[name]) for name in numbers]
        table.add_row(*cells, *(words(point[name]) for name in limits))
    return table
