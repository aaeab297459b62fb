"""At which price a system matches another, and how that price moves over a map."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Chart, Field, Span, Spans, numbers
from clustermodel.report.charts.operating import money, time
from clustermodel.report.figures import usd, words

_SCALES = ((1e9, "billion USD"), (1e6, "million USD"), (1e3, "thousand USD"), (1.0, "USD"))
_SHOWN = {
    "price_usd": ("price that matches", "million USD", 1e6),
    "cost_ratio": ("cost over the reference's", "1", 1.0),
}


def breakeven(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """The matching price with its range, and both systems at their points."""
    yield matching_price(answer)
    both = [answer["candidate"], answer["reference"]]
    yield time(both)
    yield money(both)


def matching_price(answer: Mapping[str, Any]) -> Spans:
    """The range of the price at which the candidate matches, beside what the catalogue says it costs."""
    price, candidate = answer["price_usd"], answer["candidate"]["system"]
    listed = answer.get("catalogue_price_usd")
    scale, unit = next((pair for pair in _SCALES if (listed or price["value"]) >= pair[0]), _SCALES[-1])
    spans = [Span("price that matches", price["low"] / scale, price["high"] / scale)]
    if listed:
        spans.append(Span("price in the catalogue", *sorted((listed / scale, price["value"] / scale))))
    return Spans(
        "breakeven",
        f"The price at which {candidate} matches {answer['reference']['system']}",
        f"{candidate} matches at {usd(price['value'])} a system, {usd(answer['usd_per_mtok'])} per million tokens.",
        Axis("price of a system", unit),
        price["value"] / scale,
        tuple(spans),
    )


def price_map(answer: Mapping[str, Any]) -> Iterator[Field]:
    """The matching price, or the ratio of costs, over the two quantities of a map."""
    (x, x_unit), (y, y_unit) = answer["units"].items()
    cells, shown = answer["cells"], next(name for name in _SHOWN if name in answer["cells"][0])
    label, unit, scale = _SHOWN[shown]
    found = {(cell[x], cell[y]): cell[shown] for cell in cells}
    xs, ys = (sorted({cell[name] for cell in cells}) for name in (x, y))
    value = lambda each: None if each is None else float(each) / scale
    candidate, reference = answer["inputs"]["candidate"], answer["inputs"]["reference"]
    matched = sum(each is not None for each in found.values())
    yield Field(
        "map",
        f"{candidate} against {reference}, over {words(x)} and {words(y)}",
        f"{label.capitalize()} in every field; {matched} of {len(cells)} fields have one.",
        _measured(x, x_unit),
        _measured(y, y_unit),
        Axis(label, unit, log=True),
        numbers([each / _scale(x_unit)[0] for each in xs]),
        numbers([each / _scale(y_unit)[0] for each in ys]),
        tuple(tuple(value(found[i, j]) for i in xs) for j in ys),
    )


def _measured(name: str, unit: str) -> Axis:
    return Axis(words(name), _scale(unit)[1])


def _scale(unit: str) -> tuple[float, str]:
    """What SI is divided by, and the unit after it."""
    return {"B": (1e12, "TB"), "B/s": (1e12, "TB/s"), "USD": (1e6, "million USD")}.get(unit, (1.0, unit))
