"""Tiers of a price as rows of the first stage: lower tiers come first, or one tier prices all systems.

A tier is an asset of its own with its own price. Where prices rise, the cheapest tier is taken first anyway and only
its width limits it. Where they fall, a 0/1 decision `open` for each tier makes those below it full before,

    width_k open_(k+1) <= sum x_k <= width_k open_k,

and where a tier's price holds for all systems exactly one tier is taken: above_k open_k <= sum x_k <= end_k open_k.
[Bradley, Hax, Magnanti: Applied Mathematical Programming, Addison-Wesley 1977, chapter 9.2]
"""

import math
from collections.abc import Iterator

import numpy as np

from clustermodel.fleet.columns import Columns, Meaning, Row
from clustermodel.fleet.problem import FleetProblem, Tiers


def opens(problem: FleetProblem) -> list[tuple[int, int]]:
    """(index of the tiers, tier) of every 0/1 decision; none where prices rise and that alone orders the tiers."""
    return [
        (index, tier)
        for index, tiers in enumerate(problem.tiers)
        if needs_order(problem, tiers)
        for tier in range(0 if tiers.every else 1, len(tiers.assets))
    ]


def needs_order(problem: FleetProblem, tiers: Tiers) -> bool:
    """Whether a plan could gain by taking a higher tier before a lower one is full."""
    price = problem.assets.price if tiers.decision == "buy" else problem.rental.price
    by_place = np.array([price[tiers.period, list(assets)] for assets in tiers.assets])
    rising = bool(np.all(np.diff(by_place, axis=0) >= 0))
    horizon = problem.horizon
    money = problem.policy.objective != "served" and horizon.last_discount <= horizon.discount[tiers.period]
    shares = tiers.decision == "buy" and any(limit.kind == "vendor_share" for limit in problem.limits)
    return tiers.every or shares or not (rising and money)


def tier_rows(problem: FleetProblem, layout: Columns) -> Iterator[Row]:
    """The rows of all tiers."""
    opened = {key: int(layout.open[i]) for i, key in enumerate(opens(problem))}
    for index, tiers in enumerate(problem.tiers):
        columns = layout.buy if tiers.decision == "buy" else layout.reserve
        taken = [columns[tiers.period, list(assets)] for assets in tiers.assets]
        mine = [opened.get((index, tier), -1) for tier in range(len(taken))]
        if tiers.every:
            yield from _one_tier(problem, tiers, taken, mine)
        else:
            yield from _in_order(problem, tiers, taken, mine)


def _in_order(
    problem: FleetProblem, tiers: Tiers, taken: list[np.ndarray], opened: list[int]
) -> Iterator[Row]:
    period, last = problem.horizon.periods[tiers.period], len(taken) - 1
    for tier, columns in enumerate(taken):
        width = tiers.end[tier] - tiers.above[tier]
        if tier and opened[tier] >= 0:
            most = width if math.isfinite(width) else most_useful(problem, tiers, tier)
            yield _row(columns, opened[tier], -most, (-np.inf, 0.0), period)
        elif math.isfinite(width):
            yield _row(columns, None, 0.0, (-np.inf, width), period)
        if tier < last and opened[tier + 1] >= 0:
            yield _row(columns, opened[tier + 1], -width, (0.0, np.inf), period)


def _one_tier(
    problem: FleetProblem, tiers: Tiers, taken: list[np.ndarray], opened: list[int]
) -> Iterator[Row]:
    period, one = problem.horizon.periods[tiers.period], np.array(opened)
    policy = problem.policy
    whole = policy.whole_systems if tiers.decision == "buy" else policy.whole_reservations
    for tier, columns in enumerate(taken):
        above, end = tiers.above[tier], tiers.end[tier]
        least = math.floor(above) + 1 if whole and tier else above
        most = end if math.isfinite(end) else least + most_useful(problem, tiers, tier)
        yield _row(columns, opened[tier], -most, (-np.inf, 0.0), period)
        if least > 0:
            yield _row(columns, opened[tier], -least, (0.0, np.inf), period)
    yield _row(one, None, 0.0, (-np.inf, 1.0), period)
    if tiers.least > 0:
        yield _row(np.concatenate(taken), None, 0.0, (tiers.least, np.inf), period)


def _row(
    columns: np.ndarray, opened: int | None, factor: float, bounds: tuple[float, float], period: str
) -> Row:
    ones = np.ones(len(columns))
    if opened is not None:
        columns, ones = np.append(columns, opened), np.append(ones, factor)
    return Row(columns.astype(int), ones, *bounds, Meaning("tier", period, relaxable=False))


def most_useful(problem: FleetProblem, tiers: Tiers, tier: int) -> float:
    """Systems of an unlimited tier beyond which no plan gains: all work by them alone, and minimum purchases.

    Where shares of vendors limit the spending, buying more of one loosens the limit on another: then as many as all
    the spending that others could be good for pays.
    """
    assets, service = problem.assets, problem.service
    most = problem.demand.work.max(axis=(0, 1, 2), initial=0)
    rate = np.where(service.rate > 0, service.rate, np.inf).min(axis=0)
    useful = np.maximum(assets.usable, 1e-3)
    need = (most / rate).sum(axis=1) / useful
    floors = sum(limit.value for limit in problem.limits if limit.kind == "purchases")
    shares = [limit.value for limit in problem.limits if limit.kind == "vendor_share" and limit.value > 0]
    chosen = list(tiers.assets[tier])
    own = float(need[chosen].max(initial=0)) + floors + tiers.least + 1
    if tiers.decision == "buy" and shares:
        spending = float((need * assets.price.max(axis=0)).max(initial=0)) + 1
        cheapest = max(float(assets.price[tiers.period, chosen].min()), 1e-9)
        own += spending / min(min(shares), 1.0) / cheapest
    return float(math.ceil(own))
