"""Price and tokens per megawatt against the speed that one user sees, one curve a system."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from clustermodel.report.charts.data import Axis, Chart, Curve, Curves, numbers
from clustermodel.report.figures import figure, usd

Point = Mapping[str, Any]

SPEED = Axis("speed of one user", "tok/s")
PRICE = Axis("price of all tokens", "USD per million", log=True)
PER_MW = Axis("output of a planned megawatt", "tok/s/MW", log=True)


def frontier(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """What each system charges, and yields per megawatt, at every speed [the axes of InferenceX]."""
    points = _answered(answer["points"])
    yield price_against_speed(points)
    if all(point.get("tok_s_per_mw") is not None for point in points):
        yield power_against_speed(points)


def price_against_speed(points: Sequence[Point]) -> Curves:
    """USD per million tokens (log) against tok/s of a user."""
    best = min(points, key=lambda point: point["usd_per_mtok_total"])
    speed = figure(best["interactivity_tok_s_user"])
    return Curves(
        "price-speed",
        "Price against speed",
        f"The cheapest point is {best['system']} at {usd(best['usd_per_mtok_total'])} per million tokens and "
        f"{speed} tok/s a user; to the right every system gets dearer.",
        SPEED,
        PRICE,
        tuple(_by_system(points, "usd_per_mtok_total")),
    )


def power_against_speed(points: Sequence[Point]) -> Curves:
    """Output tok/s per planned MW (log) against tok/s of a user."""
    best = max(points, key=lambda point: point["tok_s_per_mw"])
    return Curves(
        "power-speed",
        "Tokens per megawatt against speed",
        f"A planned megawatt of {best['system']} puts out the most: {figure(best['tok_s_per_mw'])} tok/s at "
        f"{figure(best['interactivity_tok_s_user'])} tok/s a user.",
        SPEED,
        PER_MW,
        tuple(_by_system(points, "tok_s_per_mw")),
    )


def _answered(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if "reason" not in point]


def _by_system(points: Sequence[Point], field: str) -> Iterator[Curve]:
    for system, group in groupby(points, key=lambda point: point["system"]):
        ordered = sorted(group, key=lambda point: point["interactivity_tok_s_user"])
        x = numbers([point["interactivity_tok_s_user"] for point in ordered])
        yield Curve(str(system), x, numbers([point[field] for point in ordered]))
