"""The roofline: the rate that an accelerator can reach at so much arithmetic a byte, and where serving lies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Curve, Curves
from clustermodel.report.figures import figure, percent

_SPREAD = 10.0
"""How far the axis reaches beyond the outermost point or ridge."""
_NO_TRAFFIC = 1e3
"""Ridges from which on a phase has no memory traffic to speak of."""
_NAMED = 2
"""Systems whose phases find room for their names."""


def roofline(points: Sequence[Mapping[str, Any]]) -> Curves:
    """min(peak, intensity x bandwidth) of every system, and the phases of its operating point below it.

    [Williams, Waterman, Patterson, 2009, Communications of the ACM 52(4)]
    """
    roofs = list(_roofs(points))
    dots = list(_dots(points))
    first = points[0]["roofline"]
    reached = first["phases"]["together"]["tflop_s"] / first["peak_tflop_s"]
    ridge = first["peak_tflop_s"] / first["bandwidth_tb_s"]
    return Curves(
        "roofline",
        "Roofline",
        f"{points[0]['system']} reaches {percent(reached)} of its peak arithmetic; below "
        f"{figure(ridge)} FLOP a byte its memory is the roof.",
        Axis("arithmetic per byte of memory traffic", "FLOP/B", log=True),
        Axis("rate of one accelerator", "TFLOP/s", log=True),
        (*roofs, *dots),
    )


def _roofs(points: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    ridges = [point["roofline"]["peak_tflop_s"] / point["roofline"]["bandwidth_tb_s"] for point in points]
    met = [x for point in points for x, _, _ in _phases(point)]
    low, high = min([*ridges, *met]) / _SPREAD, max([*ridges, *met]) * _SPREAD
    for point, ridge in zip(points, ridges, strict=True):
        peak, bandwidth = point["roofline"]["peak_tflop_s"], point["roofline"]["bandwidth_tb_s"]
        system = str(point["system"])
        yield Curve(f"roof of {system}", (low, ridge, high), (low * bandwidth, peak, peak), of=system)


def _dots(points: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    for point in points:
        found = list(_phases(point))
        x, y = tuple(x for x, _, _ in found), tuple(y for _, y, _ in found)
        marks = tuple(name for _, _, name in found) if len(points) <= _NAMED else ()
        yield Curve(str(point["system"]), x, y, marks=marks, form="points")


def _phases(point: Mapping[str, Any]) -> list[tuple[float, float, str]]:
    roof = point["roofline"]
    phases, most = roof["phases"], _NO_TRAFFIC * roof["peak_tflop_s"] / roof["bandwidth_tb_s"]
    return [
        (float(phase["flop_per_byte"]), float(phase["tflop_s"]), name)
        for name, phase in phases.items()
        if phase["flop_per_byte"] and phase["tflop_s"] and phase["flop_per_byte"] < most
    ]
