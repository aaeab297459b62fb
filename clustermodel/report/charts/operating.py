"""Operating points side by side: where time and money go, and what the memory holds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Part, numbers
from clustermodel.report.charts.roofline import roofline
from clustermodel.report.charts.waterfall import waterfall
from clustermodel.report.figures import figure, percent, usd, words

Point = Mapping[str, Any]

_VISIBLE = 0.02
"""Share of the largest bar below which a part is summed with the others."""
_APART = 1.05
"""Ratio of speeds from which on they are worth an axis."""
_MONEY = ("capital", "network", "maintenance", "facility", "staff", "energy", "tax", "all_in")


def one(answer: Point) -> Iterator[Chart]:
    """The charts of one deployment."""
    yield from _of([answer])
    if answer["cost_basis"] == "bottom_up":
        yield waterfall(answer)


def several(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """The charts of the systems of a comparison."""
    answered = [point for point in answer["points"] if "reason" not in point]
    yield prices(answered)
    points = [point for point in answered if "breakdown" in point]  # list prices of others have none
    yield from _of(points)
    speeds = [point["interactivity_tok_s_user"] for point in points]
    if max(speeds) > _APART * min(speeds):  # else all answer the same target
        yield power_against_speed(points)


def _of(points: Sequence[Point]) -> Iterator[Chart]:
    yield time(points)
    yield money(points)
    whole = [point for point in points if "capacity_gb" in point["memory"]]  # not of two pools
    if whole:
        yield memory(whole)
    if all(point.get("roofline") for point in points):
        yield roofline(points)


def prices(points: Sequence[Point]) -> Bars:
    """Price of a million tokens by system: cheapest first, as the answer has them."""
    names, best = _names(points), points[0]
    return Bars(
        "price",
        "Price of a million tokens",
        f"{best['system']} is the cheapest, at {usd(best['usd_per_mtok_total'])} per million tokens.",
        names,
        Axis("price of all tokens", "USD per million"),
        (Part("total", numbers([point["usd_per_mtok_total"] for point in points])),),
    )


def time(points: Sequence[Point]) -> Bars:
    """Milliseconds between two tokens of a user by what they are spent on."""
    parts = _parts([point["breakdown"]["step_ms"] for point in points])
    name, share = _largest(parts)
    return Bars(
        "time",
        "Where the time goes",
        f"{name} takes the most of the time of a token: {percent(share)} over the bars shown.",
        _names(points),
        Axis("time per output token", "ms"),
        parts,
    )


def money(points: Sequence[Point]) -> Bars:
    """Dollars of an accelerator-hour by what they pay for."""
    hours = [point["breakdown"]["usd_per_accelerator_hour"] for point in points]
    parts = _parts([{name: hour[name] for name in _MONEY if name in hour} | dict(hour) for hour in hours])
    name, share = _largest(parts)
    return Bars(
        "money",
        "Where the money goes",
        f"{name} is the largest cost of an hour: {percent(share)} over the bars shown.",
        _names(points),
        Axis("cost of an accelerator-hour", "USD"),
        parts,
    )


def memory(points: Sequence[Point]) -> Bars:
    """Tiers of an accelerator by use, in shares of the tier; of several systems' farther tiers those in use."""
    tiers = {}
    for point in points:
        used, (near, *farther) = point["memory"], _tiers(point)
        weights, cache, work = used["weights_gb"], used["kv_gb"], used["workspace_gb"]
        tiers[near[0]] = (used["capacity_gb"], {"weights": weights, "cache": cache, "workspace": work})
        for name, tier in farther:
            held = tier.get("running_gb") or 0.0
            if held or len(points) == 1:
                tiers[name] = (tier["capacity_gb"], {"running data": held})
    uses = list(dict.fromkeys(use for _, held in tiers.values() for use in held))
    shares = {
        use: numbers([100 * held.get(use, 0.0) / size for size, held in tiers.values()]) for use in uses
    }
    free = tuple(max(100 - sum(share), 0.0) for share in zip(*shares.values(), strict=True))
    return Bars(
        "memory",
        "Memory in use, by tier",
        f"Of the nearest memory of {points[0]['system']}, {percent(1 - free[0] / 100)} is in use.",
        tuple(f"{name}, {figure(size)} GB" for name, (size, _) in tiers.items()),
        Axis("share of the tier", "%"),
        (*(Part(use, share) for use, share in shares.items()), Part("free", free, spare=True)),
    )


def _tiers(point: Point) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"{point['system']}: {tier['kind']}", tier) for tier in point["memory"]["tiers"]]


def power_against_speed(points: Sequence[Point]) -> Curves:
    """Tokens per planned megawatt against the speed of a user, one point a system."""
    best = max(points, key=lambda point: point["tok_s_per_mw"])
    curves = [
        Curve(
            point["system"],
            (float(point["interactivity_tok_s_user"]),),
            (float(point["tok_s_per_mw"]),),
            form="points",
        )
        for point in points
    ]
    return Curves(
        "power-speed",
        "Tokens per megawatt against speed",
        f"A planned megawatt of {best['system']} puts out the most: {figure(best['tok_s_per_mw'])} tok/s.",
        Axis("speed of one user", "tok/s"),
        Axis("output of a planned megawatt", "tok/s/MW"),
        tuple(curves),
    )


def _names(points: Sequence[Point]) -> tuple[str, ...]:
    return tuple(str(point["system"]) for point in points)


def _parts(tables: Sequence[Mapping[str, float]]) -> tuple[Part, ...]:
    """The parts of several totals; those that are nowhere visible are left to `other`."""
    names = list(dict.fromkeys(name for table in tables for name in table))
    largest = max(sum(table.values()) for table in tables)
    seen = [n for n in names if any(table.get(n, 0.0) > _VISIBLE * largest for table in tables)]
    parts = [Part(words(name), numbers([table.get(name, 0.0) for table in tables])) for name in seen]
    rest = numbers([sum(size for name, size in table.items() if name not in seen) for table in tables])
    return (*parts, Part("other", rest, quiet=True)) if max(rest) > _VISIBLE**2 * largest else tuple(parts)


def _largest(parts: Sequence[Part]) -> tuple[str, float]:
    whole = sum(sum(part.values) for part in parts)
    top = max(parts, key=lambda part: sum(part.values))
    return top.name.capitalize(), sum(top.values) / whole
