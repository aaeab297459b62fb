"""From capital to price: the steps that make up a million tokens."""

from collections.abc import Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Waterfall
from clustermodel.report.figures import percent, usd, words

_ORDER = ("capital", "network", "maintenance", "facility", "staff", "energy", "tax", "all_in")


def waterfall(answer: Mapping[str, Any]) -> Waterfall:
    """The cost of a million tokens in the proportions of the accelerator-hour that makes them."""
    hour = answer["breakdown"]["usd_per_accelerator_hour"]
    price = answer["usd_per_mtok_total"] / sum(hour.values())
    names = [*(name for name in _ORDER if name in hour), *(name for name in hour if name not in _ORDER)]
    steps = tuple((words(name), float(hour[name]) * price) for name in names if hour[name])
    (first, size), total = steps[0], answer["usd_per_mtok_total"]
    return Waterfall(
        "tco",
        "What a million tokens are made of",
        f"Of {usd(total)}, {first} is {percent(size / total)}.",
        Axis("cost of a million tokens, all classes", "USD"),
        steps,
    )
