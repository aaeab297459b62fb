"""At which price a system matches another, and how that price moves over a map."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Field, Part, numbers
from clustermodel.report.charts.operating import money, time
from clustermodel.report.figures import usd, usd_unit, words

_SHOWN = {"price_usd": "price that matches", "cost_ratio": "cost over the reference's"}
_APART = 1.01
"""Ratio of the ends of a range from which on they are worth a bar each."""
_NAMES = {"touched": "touched share"}


def breakeven(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """The matching price with its range, and both systems at their points."""
    yield matching_price(answer)
    both = [answer["candidate"], answer["reference"]]
    yield time(both)
    yield money(both)


def matching_price(answer: Mapping[str, Any]) -> Bars:
    """The price at which the candidate matches, with the ends of its range, beside what the catalogue says."""
    price, candidate = answer["price_usd"], answer["candidate"]["system"]
    rows = {"in the catalogue": answer.get("catalogue_price_usd"), "that matches": price["value"]}
    if price["high"] > _APART * price["low"]:
        rows |= {"that matches, at the least": price["low"], "that matches, at the most": price["high"]}
    known = {name: float(value) for name, value in rows.items() if value}
    scale, unit = usd_unit(max(known.values()))
    return Bars(
        "breakeven",
        f"The price at which {candidate} matches {answer['reference']['system']}",
        f"{candidate} matches at {usd(price['value'])} a system, {usd(answer['usd_per_mtok'])} per million tokens.",
        tuple(known),
        Axis("price of a system", unit),
        (Part("price", numbers([value / scale for value in known.values()])),),
    )


def price_map(answer: Mapping[str, Any]) -> Iterator[Field]:
    """The matching price, or the ratio of costs, over the two quantities of a map."""
    (x, x_unit), (y, y_unit) = answer["units"].items()
    cells, shown = answer["cells"], next(name for name in _SHOWN if name in answer["cells"][0])
    found = {(cell[x], cell[y]): cell[shown] for cell in cells}
    largest = max((abs(each) for each in found.values() if each is not None), default=1.0)
    scale, unit = usd_unit(largest) if shown == "price_usd" else (1.0, "1")
    xs, ys = (sorted({cell[name] for cell in cells}) for name in (x, y))
    value = lambda each: None if each is None else float(each) / scale
    candidate, reference = answer["inputs"]["candidate"], answer["inputs"]["reference"]
    matched = sum(each is not None for each in found.values())
    yield Field(
        "map",
        f"{_SHOWN[shown].capitalize()} [{unit}]: {candidate} against {reference}",
        f"{matched} of {len(cells)} fields have an answer; in the others no price above 0 would match.",
        _measured(x, x_unit),
        _measured(y, y_unit),
        Axis(_SHOWN[shown], unit, log=True),
        numbers([each / _scale(x_unit)[0] for each in xs]),
        numbers([each / _scale(y_unit)[0] for each in ys]),
        tuple(tuple(value(found[i, j]) for i in xs) for j in ys),
    )


def _measured(name: str, unit: str) -> Axis:
    return Axis(_NAMES.get(name, words(name)), _scale(unit)[1] or "1")


def _scale(unit: str) -> tuple[float, str]:
    """What SI is divided by, and the unit after it."""
    return {"B": (1e12, "TB"), "B/s": (1e12, "TB/s"), "USD": (1e6, "million USD")}.get(unit, (1.0, unit))
