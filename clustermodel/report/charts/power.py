"""Watts: what draws them, and what a cap on the boards saves and costs."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Part, numbers
from clustermodel.report.figures import figure, words


def power(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """Where the watts go, and the answer's power caps."""
    parts = {name: watts for name, watts in answer["breakdown"]["power_w"].items() if watts}
    yield Bars(
        "watts",
        "Where the watts go",
        f"An accelerator draws {figure(sum(parts.values()))} W at the meter, "
        f"{figure(answer['power_w_per_accelerator'])} W of it on its board.",
        (str(answer["system"]),),
        Axis("facility power of one accelerator", "W"),
        tuple(Part(words(name), (float(watts),)) for name, watts in parts.items()),
    )
    caps = answer.get("caps") or []
    for field, label, unit in (
        ("board_joules_per_output_token", "energy of an output token on the board", "J"),
        ("usd_per_mtok_output", "price of output tokens", "USD per million"),
        ("tpot_ms", "time per output token", "ms"),
    ):
        if caps and caps[0].get(field) is not None:
            yield _capped(caps, field, Axis(label, unit))


def _capped(caps: list[Mapping[str, Any]], field: str, axis: Axis) -> Curves:
    best = min(caps, key=lambda row: row[field])
    return Curves(
        f"cap-{field.replace('_', '-')}",
        f"{axis.label.capitalize()} under a power cap",
        f"It is least, {figure(best[field])} {axis.unit}, at a cap of {figure(best['cap_w'])} W.",
        Axis("cap on the board", "W"),
        axis,
        (Curve(axis.label, numbers([r["cap_w"] for r in caps]), numbers([r[field] for r in caps])),),
    )
