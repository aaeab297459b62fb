"""What the model's own error does to an answer: 10 % and 90 % of where a measurement would lie."""

from collections.abc import Mapping
from typing import Any

from clustermodel.calibration.intervals import Interval

_TIMES = ("tpot_ms", "ttft_ms")
_PRICES = ("usd_per_mtok_input", "usd_per_mtok_cached_input", "usd_per_mtok_output", "usd_per_mtok_total")
_RATE = "output_tok_s_per_accelerator"


def uncertainty(
    answer: Mapping[str, Any], intervals: Mapping[str, Interval]
) -> dict[str, list[float] | None]:
    """[p10, p90] of latencies, throughput and prices; a price falls as throughput rises.

    The inputs' own ranges (prices, power, life) come on top; they are listed as assumptions.
    """
    found: dict[str, list[float] | None] = {}
    for name in (*_TIMES, _RATE):
        found[name] = [answer[name] * intervals[name].low, answer[name] * intervals[name].high]
    for name in _PRICES:
        price = answer[name]
        low, high = 1 / intervals[_RATE].high, 1 / intervals[_RATE].low
        found[name] = None if price is None else [price * low, price * high]
    return found
