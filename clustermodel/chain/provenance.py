"""What an answer rests on: every value used, the guesses among them, and the sources."""

import dataclasses
from collections import Counter
from typing import Any

from clustermodel.catalog import Catalog, Entry, Written
from clustermodel.chain.question import Question
from clustermodel.chain.setup import Setup

GUESSES = ("estimate", "assumption")


def inputs(setup: Setup, *others: Setup) -> dict[str, Any]:
    """The question with its defaults, and every number of every entry as it was written.

    `others` are further parts of the same deployment: their entries count too.
    """
    asked = asked_fields(setup.question)
    asked |= {"isl": setup.isl, "osl": setup.osl, "prefix_hit_rate": setup.prefix_hit_rate}
    entries = {f"{e.kind}/{e.slug}": _values(e) for each in (setup, *others) for e in each.entries}
    return {**asked, "entries": entries}


def asked_fields(question: Question) -> dict[str, Any]:
    """The fields of a question as plain values."""
    fields = {f.name: getattr(question, f.name) for f in dataclasses.fields(question)}
    return {name: value.slug if isinstance(value, Entry) else value for name, value in fields.items()}


def _values(entry: Entry[Any]) -> dict[str, str | float | None]:
    return {path: number.value for path, number in entry.provenance.items()}


def _numbers(*setups: Setup) -> list[tuple[str, str, Written]]:
    """Every number once, with its entry and its field."""
    rows = {
        (f"{entry.kind}/{entry.slug}", path): number
        for setup in setups
        for entry in setup.entries
        for path, number in entry.provenance.items()
    }
    for setup in setups:
        rows |= {("calibration/power", path): number for path, number in setup.board.provenance.items()}
        if setup.quote:
            rows[f"prices/{setup.quote.basis}", setup.quote.date] = setup.quote.number
    return [(*where, number) for where, number in rows.items()]


def assumptions(*setups: Setup) -> list[dict[str, Any]]:
    """The numbers that are estimates or assumptions, with their ranges."""
    return [
        {
            "entry": where,
            "field": path,
            "value": number.value,
            "confidence": number.confidence,
            "low": number.low,
            "high": number.high,
            "note": number.note,
        }
        for where, path, number in _numbers(*setups)
        if number.confidence in GUESSES and number.value is not None
    ]


def sources(catalog: Catalog, *setups: Setup) -> list[dict[str, Any]]:
    """Sources of the numbers used, most used first, with link and dates."""
    used = Counter(number.source for _, _, number in _numbers(*setups) if number.source)
    used["clustermodel"] += 1  # the fit of the serving coefficients
    rows = []
    for key, times in used.most_common():
        source = catalog.sources.get(key, {"title": "set by the user" if key == "user" else key})
        rows.append({"key": key, "used": times} | {k: str(v) for k, v in source.items()})
    return rows
