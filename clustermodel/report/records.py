"""Records as a table on a terminal: a column for every field that has a value anywhere."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from clustermodel.report.figures import count, short, words
from clustermodel.report.rows import columns, flat

Record = Mapping[str, Any]
Form = Callable[[Any], str]

_AS_WRITTEN = ("year",)
"""Numbers that are names: no thousands, no rounding."""
_ROOM = 99
"""Columns of a table in which words stand whole."""
_MANY_DIGITS = 1e9
"""From where on numbers are written with a letter: 90.0 G."""


def titled(left: Sequence[str] = (), right: Sequence[str] = ()) -> Table:
    """A table without rows, in the form of all tables: words to the left, then numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in left:
        table.add_column(title, no_wrap=True)
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def chosen(
    rows: Sequence[Record], fields: Mapping[str, tuple[str, Form]], left: Sequence[Form] = (str, words)
) -> Table:
    """A table of the fields that some row has, each with its title and form; those of `left` stand to the left."""
    shown = {name: form for name, form in fields.items() if any(name in row for row in rows)}
    table = titled()
    for i, (title, form) in enumerate(shown.values()):
        justify = "left" if form in left else "right"
        table.add_column(title, justify=justify, no_wrap=i == 0 or form not in left, overflow="fold")
    for row in rows:
        table.add_row(*(form(row[name]) if name in row else "" for name, (_, form) in shown.items()))
    return table


def records_table(records: Sequence[Record]) -> Table:
    """A plain table of flat records; columns are the fields that have a value anywhere.

    Numbers are never broken over lines; their headings are, word by word.
    """
    rows = [flat(record) for record in records]
    names = [name for name in columns(rows) if any(row.get(name) not in (None, "") for row in rows)]
    table = titled()
    texts = {name: ["" if row.get(name) is None else cell(name, row[name]) for row in rows] for name in names}
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


def cell(name: str, value: Any) -> str:
    """A value of a field as people read it."""
    if name in _AS_WRITTEN or not isinstance(value, int | float):
        return str(value)
    return short(value) if abs(value) >= _MANY_DIGITS else count(value)


def _widths(names: Sequence[str], texts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Columns in which the words of every column but the first stand whole, where all of them find room."""
    longest = {
        name: max(len(w) for text in (words(name), *texts[name]) for w in text.split() or [""])
        for name in names
    }
    longest[names[0]] = max(map(len, texts[names[0]]), default=0)
    return longest if sum(longest.values()) + 2 * len(names) <= _ROOM else {}
