"""Parse "4.8 TB/s" into SI floats, and show SI floats to people.

Everything inside the package is a plain float in base units: B, FLOP, s, J, USD, token, L, kg, request.
"""

import math
import re

Dimension = dict[str, int]

HOURS_PER_YEAR = 8760
SECONDS_PER_HOUR = 3600
SECONDS_PER_YEAR = HOURS_PER_YEAR * SECONDS_PER_HOUR
MONTHS_PER_YEAR = 12
MILLION = 1e6

_PREFIX = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_PREFIX |= {"m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}
_PREFIX |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}

_UNIT: dict[str, tuple[float, Dimension]] = {
    "": (1.0, {}),
    "%": (1e-2, {}),
    "B": (1.0, {"B": 1}),
    "b": (1 / 8, {"B": 1}),
    "FLOP": (1.0, {"FLOP": 1}),
    "OP": (1.0, {"FLOP": 1}),
    "s": (1.0, {"s": 1}),
    "min": (60.0, {"s": 1}),
    "h": (float(SECONDS_PER_HOUR), {"s": 1}),
    "day": (24.0 * SECONDS_PER_HOUR, {"s": 1}),
    "month": (SECONDS_PER_YEAR / MONTHS_PER_YEAR, {"s": 1}),
    "year": (float(SECONDS_PER_YEAR), {"s": 1}),
    "J": (1.0, {"J": 1}),
    "W": (1.0, {"J": 1, "s": -1}),
    "Wh": (float(SECONDS_PER_HOUR), {"J": 1}),
    "USD": (1.0, {"USD": 1}),
    "token": (1.0, {"token": 1}),
    "tok": (1.0, {"token": 1}),
    "request": (1.0, {"request": 1}),
    "L": (1.0, {"L": 1}),
    "g": (1e-3, {"kg": 1}),
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


def _factor(symbol: str) -> tuple[float, Dimension]:
    if symbol in _UNIT:
        return _UNIT[symbol]
    for length in (2, 1):
        prefix, unit = symbol[:length], symbol[length:]
        if prefix in _PREFIX and unit in _UNIT and unit not in ("", "%"):
            scale, dimension = _UNIT[unit]
            return _PREFIX[prefix] * scale, dimension
    raise ValueError(f"unknown unit {symbol!r}")


def unit_scale(unit: str) -> tuple[float, Dimension]:
    """Scale and dimension of a unit such as "TB/s", "USD/kWh", "USD/kW/month" or "1/s"."""
    numerator, *denominators = (part.strip() for part in unit.split("/"))
    if "" in denominators:
        raise ValueError(f"unknown unit {unit!r}")
    scale, dimension = _factor("" if numerator == "1" else numerator)
    powers = dict(dimension)
    for symbol in denominators:
        part_scale, part_dimension = _factor(symbol)
        scale /= part_scale
        for name, power in part_dimension.items():
            powers[name] = powers.get(name, 0) - power
    return scale, {name: power for name, power in powers.items() if power}


def _expected(unit: str) -> str:
    return f"a quantity in {unit!r}" if unit else "a plain number"


def split(text: object) -> tuple[float, str]:
    """Number and unit as written, `split("4.8 TB/s") == (4.8, "TB/s")`; `ValueError` without a number."""
    match = None if isinstance(text, bool) else _QUANTITY.match(str(text))
    if match is None:
        raise ValueError(f"expected a number, got {str(text)!r}")
    return float(match[1].replace("_", "")), match[2]


def parse(text: object, expect: str) -> float:
    """Read a quantity: `parse("141 GB", expect="B") == 141e9`.

    A bare number is dimensionless. Raises `ValueError`, as a sentence, when the text is no number, is not
    finite, or does not have the dimension of `expect`.
    """
    problem = f"expected {_expected(expect)}, got {str(text)!r}"
    try:
        number, unit = split(text)
    except ValueError:
        raise ValueError(problem) from None
    scale, dimension = unit_scale(unit)
    if dimension != unit_scale(expect)[1]:
        raise ValueError(problem)
    value = number * scale
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {str(text)!r}")
    return value


def show(value: float, unit: str) -> str:
    """Write an SI float in a human unit: `show(4.8e12, "TB/s") == "4.8 TB/s"`."""
    return f"{value / unit_scale(unit)[0]:.4g} {unit}".strip()
