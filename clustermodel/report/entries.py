"""Catalogue answers: one entry with the source of every number, and the list of sources."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import GUESSES
from clustermodel.report.records import titled

Record = Mapping[str, Any]


def entry(answer: Record) -> Iterator[RenderableType]:
    """The words of an entry, then its numbers; `~` marks estimates and assumptions."""
    yield Text(f"{answer['name']} ({answer['entry']})", style="bold")
    words = Table.grid(padding=(0, 2))
    for name, value in answer["words"].items():
        words.add_row(Text(name, style="cyan"), _phrase(value))
    yield words
    table = titled()
    table.add_column("field", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for row in answer["fields"]:
        note = f"; {row['note']}" if row["note"] else ""
        table.add_row(row["field"], _value(row), row["source"], row["meaning"] + note)
    yield table


def sources(answer: Record) -> Iterator[RenderableType]:
    """Every source: key and date, then title and link."""
    for row in answer["entries"]:
        yield Text(f"{row['key']} {row.get('published', '')}".rstrip(), style="cyan")
        yield Padding(Text(" ".join(row[name] for name in ("title", "url") if name in row)), (0, 0, 0, 2))


def _phrase(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _value(row: Record) -> str:
    """The number as it was written, its range below."""
    if row["value"] is None:
        return "unknown"
    mark = "~ " if row["confidence"] in GUESSES else ""
    ends = [row["low"], row["high"]]
    span = "" if None in ends else "\n({:,.10g} to {:,.10g})".format(*ends)
    return f"{mark}{row['value']:,.10g} {row['unit']}".rstrip() + span
