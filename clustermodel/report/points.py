"""Answers with several points: systems side by side, and the frontier of each system."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import layout
from clustermodel.report.figures import count, figure, words

Point = Mapping[str, Any]

_COLUMNS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "system": ("system", str),
    "layout": ("layout", layout),
    "concurrency": ("in\nflight", count),
    "usd_per_mtok_total": ("USD/M\ntotal", figure),
    "usd_per_mtok_input": ("USD/M\ninput", figure),
    "usd_per_mtok_output": ("USD/M\noutput", figure),
    "interactivity_tok_s_user": ("tok/s\nuser", figure),
    "ttft_ms": ("TTFT\nms", figure),
    "output_tok_s_per_accelerator": ("tok/s\nacc.", figure),
    "facility_w_per_accelerator": ("W\nacc.", figure),
    "binding_limit": ("limit", words),
}
"""Title and form of every column, in order; a table has those that its points know."""


def side_by_side(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line a system, the cheapest first; systems without an answer last, with the reason."""
    answered = _answered(answer["points"])
    first = answered[0]
    yield Text(
        f"{first['model']}, {first['engine']}, {count(first['isl'])} tokens in, {count(first['osl'])} out, "
        f"{words(first['cost_basis'])} cost",
        style="bold",
    )
    yield _table(answered, _COLUMNS)
    yield from _unanswered(answer["points"])


def curves(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One table a system, from the fastest point to the cheapest."""
    for system, points in groupby(_answered(answer["points"]), key=lambda point: point["system"]):
        yield Text(system, style="bold")
        yield _table(list(points), [name for name in _COLUMNS if name != "system"])
    yield from _unanswered(answer["points"])


def _answered(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if "reason" not in point]


def _unanswered(points: Sequence[Point]) -> Iterator[Text]:
    for point in points:
        if "reason" in point:
            yield Text(f"no answer for {point['system']}: {point['reason']}")


def _table(points: Sequence[Point], names: Iterable[str]) -> Table:
    shown = {name: _COLUMNS[name] for name in names if name in points[0]}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for name, (title, form) in shown.items():
        justify = "right" if form in (count, figure) else "left"
        table.add_column(title, justify=justify, no_wrap=name == "system")
    for point in points:
        table.add_row(*(form(point[name]) for name, (_, form) in shown.items()))
    return table
