"""At which price a system matches another, and how that price moves over a map."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Chart, Field, Span, Spans, numbers
from clustermodel.report.charts.operating import money, time
from clustermodel.report.figures import usd, words

_SCALES = ((1e9, "billion USD"), (1e6, "million USD"), (1e3, "thousand USD"), (1.0, "USD"))


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
    """A value over two numbers: `x`, `y` {name, unit, values}, `z` {name, unit} and `values[y][x]`."""
    x, y, z = answer["x"], answer["y"], answer["z"]
    yield Field(
        "map",
        f"{words(z['name']).capitalize()} over {words(x['name'])} and {words(y['name'])}",
        f"Each field is the {words(z['name'])} at one pair of {words(x['name'])} and {words(y['name'])}.",
        Axis(words(x["name"]), x.get("unit", ""), log=True),
        Axis(words(y["name"]), y.get("unit", ""), log=True),
        Axis(words(z["name"]), z.get("unit", ""), log=True),
        numbers(x["values"]),
        numbers(y["values"]),
        tuple(tuple(None if value is None else float(value) for value in line) for line in answer["values"]),
    )
