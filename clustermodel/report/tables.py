"""Answers as text for a terminal: what each kind of answer shows, and the sources at its end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import screen
from clustermodel.report.entries import entry, sources
from clustermodel.report.figures import count, short, words
from clustermodel.report.fleet import proven
from clustermodel.report.points import curves, side_by_side
from clustermodel.report.provenance import grounds
from clustermodel.report.risk import tails
from clustermodel.report.rows import UNFLATTENED, columns, flat, tables_of
from clustermodel.report.speed import cases, limits, serving
from clustermodel.report.spending import spent
from clustermodel.report.validation import scores

Answer = Mapping[str, Any]

_SHOWN: Mapping[str, Callable[[Answer], Iterator[RenderableType]]] = {
    "cost": screen,
    "compare": side_by_side,
    "frontier": curves,
    "catalog_entry": entry,
    "catalog_sources": sources,
    "validate": scores,
    "bench-model": cases,
    "bench-device": limits,
    "bench-serve": serving,
    "risk": tails,
    "fleet": proven,
    "capex": spent,
}
_AS_WRITTEN = ("year",)
"""Numbers that are names: no thousands, no rounding."""
_ROOM = 99
"""Columns of a table in which words stand whole."""
_MANY_DIGITS = 1e9
"""From where on numbers are written with a letter: 90.0 G."""


def parts(answer: Answer) -> Iterator[RenderableType]:
    """What a console prints of an answer."""
    yield from _SHOWN.get(answer["kind"], anything)(answer)
    yield from grounds(answer)


def anything(answer: Answer) -> Iterator[RenderableType]:
    """Any answer: its single facts, then each of its tables."""
    found = tables_of(answer)
    hidden = {"kind", "schema", "version", *UNFLATTENED, *found}
    facts = flat({name: value for name, value in answer.items() if name not in hidden})
    if facts:
        grid = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            grid.add_row(Text(words(name), style="cyan"), "" if value is None else _cell(name, value))
        yield grid
    for records in found.values():
        if records:
            yield records_table(records)


def records_table(records: Sequence[Answer]) -> Table:
    """A plain table of flat records; columns are the fields that have a value anywhere.

    Numbers are never broken over lines; their headings are, word by word.
    """
    rows = [flat(record) for record in records]
    names = [name for name in columns(rows) if any(row.get(name) not in (None, "") for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    texts = {
        name: ["" if row.get(name) is None else _cell(name, row[name]) for row in rows] for name in names
    }
    widths = _widths(names, texts)
    for name in names:
        if all(isinstance(row.get(name), int | float | None) for row in rows):
            table.add_column(words(name).replace(" ", "\n"), justify="right", no_wrap=True)
        else:
            table.add_column(
                words(name), overflow="fold", no_wrap=name == names[0], min_width=widths.get(name)
            )
    for line in zip(*texts.values(), strict=True):
        table.add_row(*line)
    return table


def _widths(names: Sequence[str], texts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Columns in which the words of every column but the first stand whole, where all of them find room."""
    longest = {
        name: max(len(w) for text in (words(name), *texts[name]) for w in text.split() or [""])
        for name in names
    }
    longest[names[0]] = max(map(len, texts[names[0]]), default=0)
    return longest if sum(longest.values()) + 2 * len(names) <= _ROOM else {}


def _cell(name: str, value: Any) -> str:
    if name in _AS_WRITTEN or not isinstance(value, int | float):
        return str(value)
    return short(value) if abs(value) >= _MANY_DIGITS else count(value)
