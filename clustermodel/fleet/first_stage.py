"""Decisions made before demand is known: orders, reservations, retirements, and how carbon is shared out.

    columns  buy[t,a], reserve[t,a], retire[lot,t], allow[limit,slot], open[tier]
    rows     budgets, supply, minimum purchases, vendor shares, memory, systems in service, standing draw,
             retirements within their lot, carbon allowances, tiers of prices

A slot is one (period, block). Costs are scaled money; rows are scaled to a right-hand side near one.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.columns import Columns, Lot, Meaning, Row
from clustermodel.fleet.problem import UNITS, FleetProblem, Limit
from clustermodel.fleet.slots import slots_of
from clustermodel.fleet.tiers import opens, tier_rows


def columns(problem: FleetProblem) -> Columns:
    """Lay out the first-stage variables."""
    lots = tuple(_lots(problem)) if problem.policy.early_retirement else ()
    retire = [(i, t) for i, lot in enumerate(lots) for t in range(lot.first, lot.last + 1)]
    carbon = [(i, limit) for i, limit in enumerate(problem.limits) if limit.kind == "carbon"]
    allow = [(i, slot) for i, limit in carbon for slot in slots_of(problem, limit)]
    pairs = [np.array(rows, dtype=int).reshape(-1, 2).T for rows in (retire, allow)]
    shape = (problem.shape["periods"], problem.shape["assets"])
    (lot, period), (of, slot) = pairs
    return Columns(shape, lots, lot, period, of, slot, len(opens(problem)))


def _lots(problem: FleetProblem) -> Iterator[Lot]:
    assets, (periods, count) = problem.assets, problem.assets.price.shape
    for a in range(count):
        for order in range(periods):
            first = order + int(assets.lead[a])
            if first < periods and assets.supply[order, a] > 0:
                yield Lot(a, order, first, min(first + int(assets.life[a]), periods) - 1, 0.0)
        for last in range(periods):
            after = assets.legacy[last + 1, a] if last + 1 < periods else 0.0
            if assets.legacy[last, a] > after:
                yield Lot(a, -1, 0, last, assets.legacy[last, a] - after)


def in_service(problem: FleetProblem, layout: Columns) -> sp.csr_matrix:
    """Maps the variables to systems in service [period * asset] beyond legacy."""
    return _kept(problem, layout, np.ones((layout.shape[0] + 1, layout.shape[1])))


def standing(problem: FleetProblem, layout: Columns) -> sp.csr_matrix:
    """Maps the variables to systems that stand at own sites [period * asset] beyond legacy: owned, or rented there."""
    hosted = problem.rental.hosted.ravel()
    rented = (hosted, (np.arange(hosted.size), layout.reserve.ravel()))
    return in_service(problem, layout) + sp.csr_matrix(rented, shape=(hosted.size, layout.count))


def upkeep(problem: FleetProblem, layout: Columns) -> sp.csr_matrix:
    """Maps the variables to USD/s of maintenance [period * asset] beyond legacy's: a share of the price paid."""
    assets = problem.assets
    return _kept(problem, layout, np.vstack([assets.price, assets.legacy_price]) * assets.maintenance)


def _kept(problem: FleetProblem, layout: Columns, weight: np.ndarray) -> sp.csr_matrix:
    """Systems in service by period and asset, each times the `weight` [order, asset] of its order; legacy is last."""
    periods, assets = layout.shape
    served, ordered, asset = np.nonzero(problem.assets.alive)
    rows, cols = [served * assets + asset], [layout.buy[ordered, asset]]
    values = [weight[ordered, asset]]
    for column, lot, period in zip(layout.retire, layout.retire_lot, layout.retire_period, strict=True):
        came = layout.lots[lot]
        gone = np.arange(period, came.last + 1)
        rows.append(gone * assets + came.asset)
        cols.append(np.full(len(gone), column))
        values.append(np.full(len(gone), -weight[came.order, came.asset]))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return sp.csr_matrix(entries, shape=(periods * assets, layout.count))


def column_costs(problem: FleetProblem, layout: Columns) -> np.ndarray:
    """USD of present value per unit of each variable, standing cost of the systems in service included."""
    assets, rental, horizon = problem.assets, problem.rental, problem.horizon
    cost = np.zeros(layout.count)
    if problem.policy.objective == "served":
        return cost
    discount, seconds = horizon.discount[:, None], horizon.seconds[:, None]
    residual = assets.residual * horizon.last_discount
    cost[layout.buy] = assets.outlay * discount - residual - assets.lasting * horizon.last_discount
    cost[layout.reserve] = rental.price * rental.take_or_pay * discount * seconds
    for column, index, period in zip(layout.retire, layout.retire_lot, layout.retire_period, strict=True):
        lot = layout.lots[index]
        if lot.order >= 0:
            sold = resale(problem, lot, int(period)) * horizon.discount[period]
            cost[column] = residual[lot.order, lot.asset] - sold
    value = np.broadcast_to(discount * seconds, layout.shape)
    idle = standing(problem, layout).T @ (assets.standing_cost * value).ravel()
    return cost + idle + upkeep(problem, layout).T @ value.ravel()


def resale(problem: FleetProblem, lot: Lot, period: int) -> float:
    """USD for a system of a lot sold at the start of `period`: the residual rule with the life left then."""
    assets = problem.assets
    left = np.clip((lot.first + assets.life[lot.asset] - period) / assets.life[lot.asset], 0, 1)
    return float(assets.resale[lot.asset] * assets.price[lot.order, lot.asset] * left)


def bounds(problem: FleetProblem, layout: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of the variables."""
    lower, upper = np.zeros(layout.count), np.full(layout.count, np.inf)
    upper[layout.buy] = problem.assets.supply
    lower[layout.reserve] = problem.rental.least
    upper[layout.reserve] = np.maximum(problem.rental.most, problem.rental.least)
    upper[layout.open] = 1.0
    return lower, upper


def rows(problem: FleetProblem, layout: Columns) -> list[Row]:
    """Every first-stage row with its meaning."""
    made = [row for limit in problem.limits for row in _limit_rows(problem, layout, limit)]
    made += tier_rows(problem, layout)
    for index, lot in enumerate(layout.lots):
        mine = layout.retire[layout.retire_lot == index]
        order = [layout.buy[lot.order, lot.asset]] if lot.order >= 0 else []
        values = np.concatenate([np.ones(len(mine)), -np.ones(len(order))])
        meaning = Meaning("retirement", problem.horizon.periods[lot.last], relaxable=False)
        made.append(Row(np.append(mine, order).astype(int), values, -np.inf, lot.count, meaning))
    return made


def _limit_rows(problem: FleetProblem, layout: Columns, limit: Limit) -> Iterator[Row]:
    assets, chosen = problem.assets, np.nonzero(limit.covers(problem.assets))[0]
    orders = np.arange(layout.shape[0]) if limit.period is None else np.array([limit.period])
    buy = layout.buy[np.ix_(orders, chosen)].ravel()
    meaning = _meaning(problem, limit)
    amount, ones = limit.value / meaning.scale, np.ones(len(buy))
    if limit.kind == "budget":
        outlay = assets.outlay[np.ix_(orders, chosen)].ravel()
        yield Row(buy, outlay / meaning.scale, -np.inf, amount, meaning)
    elif limit.kind == "supply":
        yield Row(buy, ones / meaning.scale, -np.inf, amount, meaning)
    elif limit.kind == "purchases":
        yield Row(buy, ones / meaning.scale, amount, np.inf, meaning)
    elif limit.kind == "memory":
        memory = np.tile(assets.memory[chosen], len(orders))
        yield Row(buy, memory / meaning.scale, -np.inf, amount, meaning)
    elif limit.kind == "vendor_share":
        price = assets.price[np.ix_(orders, chosen)]
        own = np.array([assets.vendors[a] == limit.vendor for a in chosen], dtype=float)
        yield Row(buy, (price * (own - limit.value)).ravel() / meaning.scale, -np.inf, 0.0, meaning)
    elif limit.kind == "carbon":
        mine = layout.allow[[problem.limits[i] is limit for i in layout.allow_limit]]
        yield Row(mine, np.ones(len(mine)), -np.inf, 1.0, meaning)
    elif limit.kind == "systems" or (limit.kind == "power" and np.isfinite(limit.value)):
        power = limit.kind == "power"
        weight = assets.standing_draw if power else np.ones(len(assets.systems))
        counted = standing(problem, layout) if power else in_service(problem, layout)
        for t in orders:
            held = counted[t * layout.shape[1] + chosen].T @ weight[chosen]
            already = weight[chosen] @ assets.legacy[t, chosen]
            where = np.nonzero(held)[0]
            stock = dataclasses.replace(meaning, period=problem.horizon.periods[t])
            yield Row(where, held[where] / meaning.scale, -np.inf, amount - already / meaning.scale, stock)


def _meaning(problem: FleetProblem, limit: Limit) -> Meaning:
    period = "all" if limit.period is None else problem.horizon.periods[limit.period]
    chosen = limit.covers(problem.assets)
    scale = limit.value if limit.value > 0 else 1.0
    if limit.kind == "vendor_share":
        scale = max(problem.assets.price[:, chosen].max(initial=0.0), 1.0)
    return Meaning(limit.kind, period, limit.site, limit.subject, UNITS[limit.kind], limit.value, scale)
