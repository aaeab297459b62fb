"""How well the model predicts what was measured: points against the diagonal, and errors by kind of run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Part, numbers
from clustermodel.report.figures import figure, label, percent

Record = Mapping[str, Any]

_UNITS = {"tpot_ms": "ms", "ttft_ms": "ms", "output_tok_s_per_accelerator": "tok/s", "power_w": "W",
          "usd_per_mtok": "USD per million"}  # fmt: skip
_BAND = 0.2
"""Half width of the band drawn around the diagonal, as a share."""
_MOST = 250
"""Points drawn of one mode; of more, every second, third ... is drawn."""


def errors(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """Median and further errors by mode, a chart for each metric; then the points, where the answer has them."""
    groups = [group for group in answer["groups"] if group["by"] == "mode"]
    for metric in dict.fromkeys(group["metric"] for group in groups):
        if metric in _UNITS:
            yield by_mode(metric, [group for group in groups if group["metric"] == metric])
    yield from scatter(answer.get("rows") or [])


def by_mode(metric: str, groups: Sequence[Record]) -> Bars:
    """Absolute errors that half and nine tenths of the rows keep."""
    median = numbers([group["median_abs_pct"] for group in groups])
    beyond = numbers([group["p90_abs_pct"] - group["median_abs_pct"] for group in groups])
    best = min(range(len(groups)), key=lambda i: median[i])
    return Bars(
        f"errors-{metric.replace('_', '-')}",
        f"Errors of the {label(metric)}",
        f"Half of the {groups[best]['key']} rows are within {figure(median[best])} %.",
        tuple(f"{group['key']} ({group['n']:,})" for group in groups),
        Axis(f"absolute error of the {label(metric)}", "%"),
        (Part("half of the rows", median), Part("up to nine tenths", beyond)),
    )


def scatter(rows: Sequence[Record]) -> Iterator[Curves]:
    """Predicted against measured, a chart for each metric, with a band of 20 % around equality."""
    for metric in dict.fromkeys(str(row["metric"]) for row in rows):
        own = [row for row in rows if row["metric"] == metric and row["measured"] and row["predicted"]]
        if metric in _UNITS and own:
            yield against(metric, own)


def against(metric: str, rows: Sequence[Record]) -> Curves:
    """One metric: a series for each mode, the diagonal and its band."""
    ends = (min(row["measured"] for row in rows), max(row["measured"] for row in rows))
    inside = sum(abs(row["predicted"] / row["measured"] - 1) <= _BAND for row in rows) / len(rows)
    band = tuple(tuple(end * factor for end in ends) for factor in (1 - _BAND, 1 + _BAND))
    curves = [Curve(f"equal, and within {percent(_BAND)}", ends, ends, *band, form="reference")]
    for mode in dict.fromkeys(str(row["mode"]) for row in rows):
        own = [row for row in rows if row["mode"] == mode]
        own = own[:: -(-len(own) // _MOST)]
        measured, predicted = (numbers([row[name] for row in own]) for name in ("measured", "predicted"))
        curves.append(Curve(mode, measured, predicted, form="points"))
    unit = _UNITS[metric]
    return Curves(
        f"scatter-{metric.replace('_', '-')}",
        f"Predicted and measured {label(metric)}",
        f"{percent(inside)} of the rows ({len(rows):,}) are within {percent(_BAND)}.",
        Axis(f"measured {label(metric)}", unit, log=True),
        Axis(f"predicted {label(metric)}", unit, log=True),
        tuple(curves),
    )
