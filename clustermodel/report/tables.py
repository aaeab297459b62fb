"""Answers as text for a terminal: what each kind of answer shows, and the sources at its end."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import screen
from clustermodel.report.figures import figure, words
from clustermodel.report.points import curves, side_by_side
from clustermodel.report.provenance import grounds
from clustermodel.report.rows import UNFLATTENED, columns, flat, table_of

Answer = Mapping[str, Any]

_SHOWN: Mapping[str, Callable[[Answer], Iterator[RenderableType]]] = {
    "cost": screen,
    "compare": side_by_side,
    "frontier": curves,
}


def parts(answer: Answer) -> Iterator[RenderableType]:
    """What a console prints of an answer."""
    yield from _SHOWN.get(answer["kind"], anything)(answer)
    yield from grounds(answer)


def anything(answer: Answer) -> Iterator[RenderableType]:
    """Any answer: its single facts, then each of its lists as a table."""
    hidden = {"kind", "schema", "version", *UNFLATTENED}
    lists = {name: value for name, value in answer.items() if table_of({name: value}) is not None}
    facts = flat({name: value for name, value in answer.items() if name not in hidden | lists.keys()})
    if facts:
        grid = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            grid.add_row(Text(words(name), style="cyan"), figure(value))
        yield grid
    for name, records in lists.items():
        if name not in hidden:
            yield records_table(records)


def records_table(records: list[Answer]) -> Table:
    """A plain table of flat records; columns are their fields."""
    rows = [flat(record) for record in records]
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="cyan")
    for name in columns(rows):
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(words(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else figure(row[name]) for name in columns(rows)))
    return table
