"""What an answer rests on: the guesses among its numbers, with their ranges, and its sources."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clustermodel.report.figures import GUESSES, words

Record = Mapping[str, Any]


def grounds(answer: Record) -> Iterator[RenderableType]:
    """Guesses and sources at the end of an answer; of several points, the guesses that all share."""
    given = answered(answer)
    assumptions = _shared([point["assumptions"] for point in given if "assumptions" in point] or [()])
    sources = {row["key"]: row for point in given for row in point.get("sources", ())}
    if assumptions:
        yield Text("~ estimates and assumptions, with their ranges", style="cyan")
    for entry, rows in groupby(assumptions, key=lambda row: row["entry"]):
        yield Text(f"{entry}: {', '.join(map(guess, rows))}")
    if assumptions and sources:
        yield Text()
    if sources:
        yield Text("sources (titles and links: clustermodel catalog list sources)", style="cyan")
        yield Text(", ".join(map(_source, sources.values())))


def answered(answer: Record) -> Sequence[Record]:
    """The parts of an answer that name what they rest on: its points, or what it sets side by side."""
    pair = [answer[name] for name in ("candidate", "reference") if isinstance(answer.get(name), Mapping)]
    points = answer.get("points") or pair
    return [point for point in points if "sources" in point] or [answer]


def _shared(lists: Sequence[Sequence[Record]]) -> list[Record]:
    """Guesses with a range that are in every one of the lists."""
    named = [{(row["entry"], row["field"]): row for row in rows} for rows in lists]
    common = set.intersection(*map(set, named))
    shared = [row for name, row in named[0].items() if name in common]
    return [row for row in shared if row["confidence"] in GUESSES and row["low"] is not None]


def guess(row: Record) -> str:
    """`price 324000 USD (280000 to 450000)`: a guessed number, the unit written once."""
    written = f"{row['value']} {row.get('unit', '')}".rstrip()
    unit = written.partition(" ")[2]
    low, high = (str(row[end]).removesuffix(unit).strip() for end in ("low", "high"))
    return f"{words(row['field'])} {written} ({low} to {high})"


def _source(row: Record) -> str:
    return f"{row['key']} {row['published']}" if row.get("published") else row["key"]
