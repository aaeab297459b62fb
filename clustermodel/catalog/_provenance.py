"""A number as it is written in a config: value with unit, source, confidence, range, note."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from clustermodel.units import parse

CONFIDENCES = ("published", "measured", "derived", "estimate", "assumption")
KEYS = ("value", "source", "confidence", "low", "high", "note", "date")
USER = "user"
"""Source of a number that the user set."""
HUGGING_FACE = "huggingface-config"
"""Source of a number read from a config.json that the user gave."""


@dataclasses.dataclass(frozen=True)
class Written:
    """One number and where it came from; `value` is None where nobody has published it."""

    value: str | int | float | None
    source: str
    confidence: str
    low: str | int | float | None = None
    high: str | int | float | None = None
    note: str = ""
    date: str = ""

    def si(self, unit: str) -> float:
        """The value in SI; NaN when unknown."""
        return float("nan") if self.value is None else parse(self.value, expect=unit)

    def range_si(self, unit: str) -> tuple[float, float]:
        """Low and high in SI; the value itself where no range was written."""
        value = self.si(unit)
        low, high = (value if text is None else parse(text, expect=unit) for text in (self.low, self.high))
        return low, high


def read_written(row: dict[str, Any]) -> Written:
    """Make a `Written` from a table that `mistakes` found nothing wrong with."""
    if "unknown" in row:
        return Written(None, row.get("source", ""), "assumption", note=row["unknown"])
    texts = {key: str(row[key]) for key in ("source", "confidence", "note", "date") if key in row}
    numbers = {key: _number(row[key]) for key in ("value", "low", "high") if key in row}
    return Written(**numbers, **texts)


def set_by_user(text: str) -> dict[str, Any]:
    """The row of a number that replaces what the config says."""
    return {
        "value": text,
        "source": USER,
        "confidence": "assumption",
        "low": text,
        "high": text,
        "note": "set by the user",
    }


def _number(value: str | int | float) -> str | int | float:
    return value if isinstance(value, str) else float(value)


class Bounds(NamedTuple):
    """Values of a number that make sense, in SI."""

    least: float = 0.0
    most: float = float("inf")
    whole: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Bounds":
        """Those that a field of a spec states."""
        return cls(*(metadata[name] for name in cls._fields))

    def problem(self, number: float, unit: str) -> str:
        """What is wrong with a number in SI; empty if nothing."""
        if number < self.least:
            return f"is below {_with_unit(self.least, unit)}"
        if number > self.most:
            return f"is above {_with_unit(self.most, unit)}"
        return "is not a whole number" if self.whole and number != round(number) else ""


NOT_NEGATIVE = Bounds()


def _with_unit(bound: float, unit: str) -> str:
    return f"{bound:g} {unit}" if bound and unit else f"{bound:g}"


def mistakes(row: Any, unit: str, bounds: Bounds = NOT_NEGATIVE) -> Iterator[str]:
    """Everything wrong with one written number, a sentence each."""
    if row is None:
        kind = f"a quantity in {unit!r}" if unit else "a plain number"
        yield f"missing; expected {kind}"
        return
    if not isinstance(row, dict):
        yield f"write {{ value, source, confidence }} instead of {row!r}"
        return
    yield from _bad_texts(row)
    if "unknown" in row:
        if extra := row.keys() - {"unknown", "source"}:
            yield f"an unknown number takes only 'unknown' and 'source', not {', '.join(sorted(extra))}"
        return
    if missing := {"value", "source", "confidence"} - row.keys():
        yield f"{', '.join(sorted(missing))} missing"
    if extra := row.keys() - set(KEYS):
        yield f"{', '.join(sorted(extra))} not among {', '.join(KEYS)}"
    if "confidence" in row and row["confidence"] not in CONFIDENCES:
        yield f"confidence {row['confidence']!r} is none of {', '.join(CONFIDENCES)}"
    if row.get("confidence") == "assumption" and not {"low", "high"} <= row.keys():
        yield "an assumption needs low and high"
    yield from _bad_numbers(row, unit, bounds)


def _bad_texts(row: dict[str, Any]) -> Iterator[str]:
    for key in ("unknown", "source", "note"):
        if key in row and not isinstance(row[key], str):
            yield f"{key}: expected a text, got {row[key]!r}"
    if "date" in row and not isinstance(row["date"], str | datetime.date):
        yield f"date: expected a date such as '2026-08', got {row['date']!r}"


def _bad_numbers(row: dict[str, Any], unit: str, bounds: Bounds) -> Iterator[str]:
    numbers = {}
    for key in ("low", "value", "high"):
        if key in row:
            try:
                numbers[key] = parse(row[key], expect=unit)
            except ValueError as error:
                yield str(error) if key == "value" else f"{key}: {error}"
    for key, number in numbers.items():
        if problem := bounds.problem(number, unit):
            yield f"{key} {row[key]!r} {problem}"
    if list(numbers.values()) != sorted(numbers.values()):
        yield "low <= value <= high does not hold"
