"""Numbers as people read them: three significant digits, a dash for what is not defined."""

import math
from typing import Any

UNKNOWN = "-"
DIGITS = 3
GUESSES = ("estimate", "assumption")
"""Confidences that a `~` marks."""
_TINY, _HUGE = 1e-6, 1e12


def figure(value: Any) -> str:
    """`1662.4 -> "1,662"`, `26.0 -> "26.0"`, `0.035612 -> "0.0356"`; words stay as they are."""
    if isinstance(value, str | bool):
        return str(value)
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    if not _TINY <= abs(value) < _HUGE:
        return f"{value:.{DIGITS - 1}e}"
    rounded = abs(float(f"{value:.{DIGITS}g}"))  # 9.999 has the digits of 10
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(rounded)))
    return f"{value:,.{decimals}f}"


def short(value: float | None, digits: int = DIGITS) -> str:
    """A large figure in engineering form: `14.2e9 -> "14.2 G"`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for scale, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= scale:
            return f"{value / scale:#.{digits}g}".rstrip(".") + letter
    return figure(value)


def count(value: float | None) -> str:
    """A count or a length: whole numbers without decimals, `96.0 -> "96"`."""
    whole = value is not None and math.isfinite(value) and float(value).is_integer()
    return f"{value:,.0f}" if whole else figure(value)


def several(number: str, noun: str) -> str:
    """A shown number of things: `"1" -> "1 request"`, `"96" -> "96 requests"`."""
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def tick(value: float) -> str:
    """A mark of an axis: `20000 -> "20,000"`, `0.05 -> "0.05"`, `1600000 -> "1.6 M"`."""
    for scale, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= scale:
            return f"{value / scale:.4g}{letter}"
    return f"{value:,.10g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.3g}"


def usd(value: float | None) -> str:
    """Dollars: `0.41234 -> "$0.412"`."""
    text = figure(value)
    return text if text == UNKNOWN else f"${text}"


def usd_unit(largest: float) -> tuple[float, str]:
    """What dollars are divided by on an axis whose largest value this is, and the unit after it."""
    known = ((1e9, "billion USD"), (1e6, "million USD"), (1e3, "thousand USD"))
    return next((pair for pair in known if largest >= pair[0]), (1.0, "USD"))


def percent(share: float | None) -> str:
    """A share of a whole: `0.4567 -> "46 %"`."""
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


LABELS = {
    "tpot_ms": "time per output token",
    "ttft_ms": "time to the first token",
    "output_tok_s_per_accelerator": "output rate of an accelerator",
    "power_w": "power of a board",
    "usd_per_mtok": "price of all tokens",
    "usd_per_mtok_total": "price of all tokens",
    "usd_per_mtok_input": "price of input tokens",
    "usd_per_mtok_cached_input": "price of cached input tokens",
    "usd_per_mtok_output": "price of output tokens",
}


def label(field: str) -> str:
    """What a field of an answer is, its unit apart."""
    return LABELS.get(field, words(field))


def words(name: str) -> str:
    """A field name as words: `weight_bandwidth -> "weight bandwidth"`."""
    return name.replace("_", " ")
