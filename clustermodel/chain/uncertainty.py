"""What the model's own error does to an answer: 10 % and 90 % of where a measurement would lie."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clustermodel.calibration.deployments import generation
from clustermodel.calibration.effects import Level, load_table
from clustermodel.calibration.intervals import Interval, intervals
from clustermodel.catalog import Catalog
from clustermodel.chain.setup import Setup

_TIMES = ("tpot_ms", "ttft_ms")
_PRICES = ("usd_per_mtok_input", "usd_per_mtok_cached_input", "usd_per_mtok_output", "usd_per_mtok_total")
_RATE = "output_tok_s_per_accelerator"

Systems = Callable[[float], float]
"""Systems that there must be, over those that there are, if each does a multiple of what was predicted."""


def ranges(catalog: Catalog, setup: Setup) -> dict[str, Interval]:
    """Measured over predicted by metric, by what the coefficients in use have seen of the question."""
    path, known = setup.question.calibration, setup.system.slug in catalog.paths("systems")
    kind = generation(setup.system, catalog) if known else ""
    level = Level(setup.model.slug, setup.engine.slug, setup.system.slug, kind)
    table = load_table(catalog, Path(path) if path else None)
    return intervals(catalog, table, level, setup.question.effects)


def uncertainty(
    answer: Mapping[str, Any], intervals: Mapping[str, Interval], systems: Systems
) -> dict[str, list[float] | None]:
    """[p10, p90] of latencies, throughput and prices; a price falls as throughput rises.

    The inputs' own ranges (prices, power, life) come on top; they are listed as assumptions.

    Args:
        answer: what was predicted.
        intervals: measured over predicted.
        systems: what an error of throughput does to the number of systems, and so to the price.
    """
    found: dict[str, list[float] | None] = {}
    for name in _TIMES:
        found[name] = [answer[name] * intervals[name].low, answer[name] * intervals[name].high]
    more, fewer = systems(intervals[_RATE].low), systems(intervals[_RATE].high)
    found[_RATE] = [answer[_RATE] / more, answer[_RATE] / fewer]
    for name in _PRICES:
        price = answer[name]
        found[name] = None if price is None else [price * fewer, price * more]
    return found
