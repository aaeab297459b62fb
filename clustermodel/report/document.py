"""A report before it has a form: headline, charts, tables, inputs, guesses and sources of every answer."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from clustermodel.report.charts import Chart, charts
from clustermodel.report.figures import GUESSES, UNKNOWN, count, words
from clustermodel.report.headline import Headline
from clustermodel.report.headlines import headline
from clustermodel.report.provenance import answered
from clustermodel.report.rows import columns, flat, tables_of

Answer = Mapping[str, Any]

MOST_ROWS = 200
"""Rows of a table that a report shows; the answer itself has all of them."""
_FEW, _MANY = 8, 12
"""Rows and columns of a table that is turned on its side: no more, and no fewer."""
_TABLES_ELSEWHERE = ("rows",)
"""Tables whose place is a chart: thousands of lines."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A value as people read it, and as tables sort it."""

    text: str
    number: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells below their headings, and how many rows there are in all."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int


@dataclasses.dataclass(frozen=True)
class Source:
    """Where numbers come from; only links of the web are links."""

    key: str
    title: str
    url: str
    dates: str
    used: int


@dataclasses.dataclass(frozen=True)
class Section:
    """Everything a reader gets of one answer, in reading order."""

    headline: Headline
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]
    inputs: tuple[Table, ...]
    assumptions: Table | None
    sources: tuple[Source, ...]
    made_by: str


def section(answer: Answer) -> Section:
    """The parts of a report on one answer."""
    given = answered(answer)
    return Section(
        headline=headline(answer),
        charts=tuple(charts(answer)),
        tables=tuple(_tables(answer)),
        inputs=tuple(_inputs(answer, given)),
        assumptions=_assumptions(given),
        sources=tuple(_sources(given)),
        made_by=_made_by(answer),
    )


def table(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
    """Records as a table: the columns that have a value anywhere, the first `MOST_ROWS` rows."""
    rows = [flat(record) for record in records]
    names = [name for name in columns(rows) if any(row.get(name) not in (None, "") for row in rows)]
    cells = tuple(tuple(_cell(name, row.get(name)) for name in names) for row in rows[:MOST_ROWS])
    if len(rows) <= _FEW < _MANY < len(names):
        return _turned(title, [words(name) for name in names], cells)
    return Table(title, tuple(words(name) for name in names), cells, len(rows))


def _turned(title: str, names: Sequence[str], cells: Sequence[tuple[Cell, ...]]) -> Table:
    """The same with a line for each field: few things of which much is known fit a page beside each other."""
    first, *rest = zip(*cells, strict=True)
    lines = tuple((Cell(name), *line) for name, line in zip(names[1:], rest, strict=True))
    return Table(title, (names[0], *(cell.text for cell in first)), lines, len(lines))


def _cell(name: str, value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell(UNKNOWN if value is None else str(value))
    return Cell(str(value) if name == "year" else count(value), float(value))


def _tables(answer: Answer) -> Iterator[Table]:
    for name, records in tables_of(answer).items():
        if records and name not in _TABLES_ELSEWHERE:
            yield table(words(name).capitalize(), [_short(record) for record in records])
    for name, parts in (answer.get("breakdown") or {}).items():
        total = sum(parts.values()) or 1.0
        rows = [
            {"part": words(part), name: size, "share_%": 100 * size / total} for part, size in parts.items()
        ]
        yield table(f"Breakdown: {words(name)}", [row for row in rows if row[name]])


def _short(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of a table without what the sections on inputs and charts show."""
    hidden = (
        "kind",
        "schema",
        "version",
        "breakdown",
        "bounds",
        "roofline",
        "latency",
        "memory",
        "uncertainty",
    )
    return {name: value for name, value in record.items() if name not in hidden}


def _inputs(answer: Answer, given: Sequence[Answer]) -> Iterator[Table]:
    asked = {
        name: value for name, value in answer.get("inputs", {}).items() if name not in ("entries", "tables")
    }
    rows = [{"option": name, "value": _phrase(value)} for name, value in asked.items() if value is not None]
    if rows:
        yield table("The question", rows)
    entries: dict[str, Any] = {}
    for point in given:
        entries |= point.get("inputs", {}).get("entries", {})
    numbers = [
        {"entry": entry, "field": field, "value": value}
        for entry, values in entries.items()
        for field, value in values.items()
    ]
    if numbers:
        yield _whole("Every number behind it", numbers)


def _whole(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
    """A table of all its records: an input that is left out is no input."""
    cells = tuple(tuple(_cell(name, value) for name, value in record.items()) for record in records)
    return Table(title, tuple(words(name) for name in records[0]), cells, len(records))


def _phrase(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))} {each}" for name, each in value.items() if each is not None)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _assumptions(given: Sequence[Answer]) -> Table | None:
    rows = {(row["entry"], row["field"]): row for point in given for row in point.get("assumptions", ())}
    guesses = [
        {
            "entry": row["entry"],
            "number": f"~ {words(str(row['field']))}",
            "value": f"{_phrase(row['value'])} {row.get('unit') or ''}".rstrip(),
            "low": UNKNOWN if row["low"] is None else str(row["low"]),
            "high": UNKNOWN if row["high"] is None else str(row["high"]),
            "kind": row["confidence"],
            "note": row.get("note") or "",
        }
        for row in rows.values()
        if row["confidence"] in GUESSES
    ]
    return _whole("Estimates and assumptions", guesses) if guesses else None


def _sources(given: Sequence[Answer]) -> Iterator[Source]:
    rows = {row["key"]: row for point in given for row in point.get("sources", ())}
    for row in rows.values():
        dates = [f"{name} {row[name]}" for name in ("published", "accessed") if row.get(name)]
        url = str(row.get("url", ""))
        link = url if urlsplit(url).scheme in ("http", "https") else ""
        yield Source(
            str(row["key"]),
            str(row.get("title", row["key"])),
            link,
            ", ".join(dates),
            int(row.get("used", 0)),
        )


def _made_by(answer: Answer) -> str:
    seed = answer.get("seed", answer.get("inputs", {}).get("seed"))
    words_of = [
        f"clustermodel {answer.get('version', '')}".strip(),
        f"answer form {answer.get('schema', '')}".strip(),
    ]
    return ", ".join([*words_of, *([f"seed {seed}"] if seed is not None else [])])
