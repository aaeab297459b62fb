"""Answers with several points: systems side by side, and the frontier of each system."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import layout
from clustermodel.report.figures import count, figure, percent, short, usd, words
from clustermodel.report.headline import Headline, told
from clustermodel.report.records import Form, chosen
from clustermodel.units import MILLION

Point = Mapping[str, Any]

_COLUMNS: Mapping[str, tuple[str, Form]] = {
    "system": ("system", str),
    "layout": ("layout", layout),
    "precision": ("format", str),
    "isl": ("tokens\nin", count),
    "osl": ("tokens\nout", count),
    "price_factor": ("price\nfactor", figure),
    "energy_factor": ("energy\nfactor", figure),
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
_WHERE_THEY_DIFFER = ("precision", "isl", "osl", "price_factor", "energy_factor")
"""Columns that a table has only where its points are not all alike."""


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)


def _volume(mtok_per_month: float | None) -> str:
    return "never" if mtok_per_month is None else short(mtok_per_month * MILLION)


_BREAK_EVENS: Mapping[str, tuple[str, Form]] = {
    "system": ("system", str),
    "held_as": ("held\nas", words),
    "usd_per_month": ("USD a\nmonth", count),
    "instead_of": ("instead of", words),
    "usd_per_mtok_instead": ("USD/M\ninstead", figure),
    "usd_per_mtok_at_full_use": ("USD/M at\nfull use", figure),
    "mtok_per_month": ("pays from\ntok/month", _volume),
    "share_of_capacity": ("of\ncapacity", _share),
}
"""The same for what is compared with an API or with capacity rented by the hour."""


def side_by_side(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line a system or API, the cheapest first; systems without an answer last, with the reason."""
    answered = _answered(answer["points"])
    first = next(point for point in answered if "layout" in point)
    yield Text(
        f"{first['model']}, {first['engine']}, {count(first['isl'])} tokens in, {count(first['osl'])} out, "
        f"{words(first['cost_basis'])} cost",
        style="bold",
    )
    yield _table(answered, _COLUMNS)
    yield from break_evens(answer.get("break_even", []))
    yield from _unanswered(answer["points"])


def break_evens(rows: Sequence[Point]) -> Iterator[RenderableType]:
    """From how many tokens a month whole systems cost less than what they are compared with."""
    if rows:
        yield Text("own, rent or call", style="bold")
        yield chosen(rows, _BREAK_EVENS)


def frontier(answer: Mapping[str, Any]) -> Headline:
    """The cheapest point and the fastest one."""
    answered = [point for point in answer["points"] if "reason" not in point]
    best = min(answered, key=lambda point: point["usd_per_mtok_total"])
    fastest = max(answered, key=lambda point: point["interactivity_tok_s_user"])
    return Headline(
        f"{answer['inputs']['model']}: price against speed",
        f"{best['system']}: from {usd(best['usd_per_mtok_total'])} per million tokens",
        f"The fastest point is {fastest['system']} at {figure(fastest['interactivity_tok_s_user'])} tok/s a user "
        f"and {usd(fastest['usd_per_mtok_total'])} per million tokens.",
    )


def curves(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One table a system, from the fastest point to the cheapest."""
    yield from told(frontier(answer), below=1)
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
    """One line a point; what is the same in all of them is left out where a reader expects it to be."""
    values = {name: {point[name] for point in points if name in point} for name in _WHERE_THEY_DIFFER}
    alike = {name for name, found in values.items() if len(found) == 1}
    columns = {name: _COLUMNS[name] for name in names if name not in alike}
    return chosen(points, columns, left=(str, words, layout))
