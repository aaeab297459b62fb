"""A number as it is written in a config: value with unit, source, confidence, range, note."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from clustermodel.units import parse

CONFIDENCES = ("published", "measured", "derived", "estimate", "assumption")
KEYS = ("value", "source", "confidence", "low", "high", "note", "date")


@dataclasses.dataclass(frozen=True)
class Written:
    """One number and where it came from; `value` is None where nobody has published it."""

    value: str | float | None
    source: str
    confidence: str
    low: str | float | None = None
    high: str | float | None = None
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
        return Written(None, row.get("source", ""), "assumption", note=str(row["unknown"]))
    return Written(**{key: str(row[key]) if key == "date" else row[key] for key in row})


def mistakes(row: Any, unit: str, least: float = 0.0) -> Iterator[str]:
    """Everything wrong with one written number, a sentence each."""
    if row is None:
        kind = f"a quantity in {unit!r}" if unit else "a plain number"
        yield f"missing; expected {kind}"
        return
    if not isinstance(row, dict):
        yield f"write {{ value, source, confidence }} instead of {row!r}"
        return
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
    yield from _bad_numbers(row, unit, least)


def _bad_numbers(row: dict[str, Any], unit: str, least: float) -> Iterator[str]:
    numbers = {}
    for key in ("low", "value", "high"):
        if key in row:
            try:
                numbers[key] = parse(row[key], expect=unit)
            except ValueError as error:
                yield str(error) if key == "value" else f"{key}: {error}"
    for key, number in numbers.items():
        if number < least:
            yield f"{key} {row[key]!r} is below {least:g}"
    if list(numbers.values()) != sorted(numbers.values()):
        yield "low <= value <= high does not hold"
