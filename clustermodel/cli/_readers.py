"""From the text of an option to a value, or one sentence that says what was expected instead.

Readers know forms (a number, a date), not limits: which numbers make sense is checked where they are
used, so that Python and the command line refuse alike.
"""

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

Reader = Callable[[str], Any]


def _refuse(expected: str, text: str) -> typer.BadParameter:
    return typer.BadParameter(f"expected {expected}, got {text!r}")


def name(text: str) -> str:
    """A name of the catalogue or a file: not blank, and nothing that a terminal can't show."""
    if not text.strip() or not text.isprintable():
        raise _refuse("a name", text)
    return text.strip()


def names(text: str) -> list[str]:
    """Names between commas, each once, in the order given."""
    found = [name(part) for part in text.split(",") if part.strip()]
    if not found:
        raise _refuse("names with commas between", text)
    return list(dict.fromkeys(found))


def path(text: str) -> Path:
    """A path, which need not exist."""
    if not text.strip() or "\0" in text:
        raise _refuse("a path", text)
    return Path(text)


def one_of(*choices: str) -> Reader:
    """Exactly one of a few words."""

    def read(text: str) -> str:
        if text not in choices:
            raise _refuse(f"one of {', '.join(choices)}", text)
        return text

    return read


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refuse("a number", text)
    return value


def amount(unit: str) -> Reader:
    """A quantity of at least 0 in SI; a bare number counts in `unit`."""

    def read(text: str) -> float:
        from clustermodel.units import parse

        try:
            value = parse(f"{text} {unit}" if _is_number(text) else text, unit)
        except ValueError:
            value = math.nan
        if not value >= 0:
            raise _refuse(f"a quantity such as '10 {unit}'", text)
        return value

    return read


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def whole(text: str) -> int:
    """A whole number."""
    value = number(text)
    if not value.is_integer():
        raise _refuse("a whole number", text)
    return int(value)


def numbers(text: str) -> list[float]:
    """Numbers with commas between, or `LOW:HIGH:N`, N of them in equal steps of the logarithm."""
    if text.count(":") != len("::"):
        return [number(part) for part in names(text)]
    low, high, steps = (number(part) for part in text.split(":"))
    if not (0 < low <= high and steps >= 1 and steps.is_integer()):
        raise _refuse("LOW:HIGH:N with 0 < LOW <= HIGH and N a whole number of at least 1", text)
    return [low * (high / low) ** (i / max(steps - 1, 1)) for i in range(int(steps))]


def counts(text: str) -> list[int]:
    """Whole numbers of at least 1 with commas between."""
    found = [whole(part) for part in names(text)]
    if min(found) < 1:
        raise _refuse("whole numbers of at least 1 with commas between", text)
    return found


def date(text: str) -> str:
    """A day as YYYY-MM-DD, or a month as YYYY-MM."""
    for layout in ("%Y-%m-%d", "%Y-%m"):
        try:
            return datetime.datetime.strptime(text, layout).strftime(layout)
        except ValueError:
            continue
    raise _refuse("a date such as 2026-04 or 2026-04-30", text)
