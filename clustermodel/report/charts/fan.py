"""What may come: fans over the years, figures with their tails, and who the money hangs on."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Part, Span, Spans, numbers
from clustermodel.report.figures import figure, percent, words

_BILLION = 1e9
_FLOW = "_usd_per_year"


def risk(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """A fan for every series that moves, the drivers, and the buyers."""
    drawn: list[Mapping[str, Any]] = []
    for name, fan in answer.get("fans", {}).items():
        moves = len(fan["p50"]) > 1 and any(len(set(fan[q])) > 1 for q in ("p10", "p50", "p90"))
        if moves and fan not in drawn:
            drawn.append(fan)
            yield fan_chart(name, fan)
    if answer.get("drivers"):
        yield drivers(answer)
    if (answer.get("concentration") or {}).get("usd_by_buyer"):
        yield buyers(answer["concentration"])


def fan_chart(name: str, fan: Mapping[str, Any]) -> Curves:
    """P10, P50 and P90 by year."""
    flow = name.endswith(_FLOW)
    scale, unit = (_BILLION, "billion USD a year") if flow else (1.0, "relative to today")
    label = words(name.removesuffix(_FLOW))
    low, middle, high = (numbers([value / scale for value in fan[q]]) for q in ("p10", "p50", "p90"))
    last = f"{figure(low[-1])} to {figure(high[-1])}"
    return Curves(
        f"fan-{name.removesuffix(_FLOW).replace('_', '-')}",
        f"{label.capitalize()} over the years",
        f"In the last year eight of ten paths lie between {last} {unit}.",
        Axis("year"),
        Axis(label, unit),
        (
            Curve(
                "median, and the band of eight paths in ten",
                numbers(range(1, len(middle) + 1)),
                middle,
                low,
                high,
            ),
        ),
    )


def drivers(answer: Mapping[str, Any]) -> Spans:
    """Rank correlation of the inputs with the first figure."""
    rows, metric = answer["drivers"], words(str(answer["drivers"][0]["metric"]).removesuffix("_usd"))
    scenario = f"{answer['scenario']}."
    spans = [(_input(row, scenario), float(row["rank_correlation"])) for row in rows]
    return Spans(
        "drivers",
        f"What drives {metric}",
        f"{spans[0][0]} goes with it the most: rank correlation {figure(spans[0][1])}.",
        Axis(f"rank correlation with {metric}", "1"),
        0.0,
        tuple(Span(name, min(value, 0.0), max(value, 0.0)) for name, value in spans),
    )


def _input(row: Mapping[str, Any], scenario: str) -> str:
    return words(str(row["input"]).removeprefix(scenario).replace(".", " "))


def buyers(concentration: Mapping[str, Any]) -> Bars:
    """Headline value by buyer, the largest first."""
    held = sorted(concentration["usd_by_buyer"].items(), key=lambda pair: -pair[1])
    return Bars(
        "buyers",
        "Who the contracts hang on",
        f"The largest buyer holds {percent(held[0][1] / sum(usd for _, usd in held))} of the headline value.",
        tuple(str(name) for name, _ in held),
        Axis("headline value", "billion USD"),
        (Part("contracts", numbers([usd / _BILLION for _, usd in held])),),
    )
