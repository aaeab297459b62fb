"""What one more unit of every limit is worth."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.slots import slot_seconds
from clustermodel.fleet.solution import Prices
from clustermodel.fleet.two_stage import TwoStage
from clustermodel.units import unit_scale

SHOWN: dict[str, str] = {
    "budget": "USD",
    "power": "kW",
    "supply": "system",
    "purchases": "system",
    "vendor_share": "USD",
    "memory": "TB",
    "carbon": "Mg",
    "systems": "system",
}
"""The unit in which a shadow price counts its limit; a vendor's share is relaxed by dollars above the share."""
COLUMNS = ["constraint", "site", "system", "period", "value", "unit", "basis"]


def shadow_prices(problem: FleetProblem, program: TwoStage, prices: Prices) -> pd.DataFrame:
    """Fall of the objective per unit by which a limit is relaxed, a minimum by lowering it; 0 where it does not bind.

    The basis is `lp`, or `lp_relaxation` where systems are whole: then it is the price with fractions allowed.
    """
    found = [*_limits(problem, program, prices), *_offers(problem, program, prices)]
    basis = "lp_relaxation" if program.integer.any() else "lp"
    frame = pd.DataFrame(found, columns=COLUMNS[:-1]).assign(basis=basis)
    keys = ["constraint", "site", "system", "period", "unit", "basis"]
    summed = frame.groupby(keys, sort=False)["value"].sum().reset_index()
    return summed[COLUMNS]


def _per(problem: FleetProblem, kind: str) -> tuple[str, float]:
    """Unit of a price and the factor from SI."""
    shown = SHOWN[kind]
    factor = 1.0 if shown == "system" else unit_scale(shown)[0]
    return f"{objective_unit(problem)}/{shown}", factor


def objective_unit(problem: FleetProblem) -> str:
    """Unit of the objective: money, or work where as much as possible is served."""
    return problem.policy.work_unit if problem.policy.objective == "served" else problem.policy.unit


def _limits(problem: FleetProblem, program: TwoStage, prices: Prices) -> Iterator[tuple]:
    money = program.scale.money
    for row, dual in zip(program.rows, prices.rows, strict=True):
        meaning = row.meaning
        if meaning.relaxable:
            unit, factor = _per(problem, meaning.constraint)
            value = abs(dual) * money / meaning.scale * factor
            yield meaning.constraint, meaning.site, meaning.system, meaning.period, value, unit
    blocks = problem.shape["blocks"]
    for r, resource in enumerate(program.resources):
        if resource.kind == "power":
            unit, factor = _per(problem, "power")
            for slot in resource.limits:
                value = prices.resource[slot, r] * money / program.scale.resource[slot, r] * factor
                period = problem.horizon.periods[slot // blocks]
                limit = resource.limits[slot]
                yield "power", limit.site, limit.subject, period, value, unit


def _offers(problem: FleetProblem, program: TwoStage, prices: Prices) -> Iterator[tuple]:
    """Bounds on single decisions: what vendors deliver and what renters offer."""
    money, unit = program.scale.money, f"{objective_unit(problem)}/system"
    layout, columns = program.layout, np.maximum(-prices.columns, 0) * money
    on_demand = prices.on_demand.reshape(layout.shape[0], -1, layout.shape[1]).sum(axis=1) * money
    offers = (
        ("supply", columns[layout.buy], problem.assets.supply),
        ("reservations", columns[layout.reserve], problem.rental.most),
        ("on_demand", on_demand, problem.rental.on_demand_most),
    )
    for name, values, offered in offers:
        for t, a in np.argwhere(np.isfinite(offered) & (offered > 0)):
            where = (problem.assets.sites[a], problem.assets.systems[a], problem.horizon.periods[t])
            tier = problem.assets.offers[a].partition("on demand, ")[2] or problem.assets.offers[a]
            yield f"{name} {tier}".strip() if "tier" in tier else name, *where, float(values[t, a]), unit


def slope(problem: FleetProblem, program: TwoStage, prices: Prices, kind: str) -> float:
    """Fall of the objective per 100 % by which all limits of a kind are raised together."""
    worth = 0.0
    for row, dual in zip(program.rows, prices.rows, strict=True):
        if row.meaning.constraint == kind:
            worth -= dual * row.meaning.amount / row.meaning.scale
    for r, resource in enumerate(program.resources):
        if resource.kind == kind == "power":
            for slot, limit in resource.limits.items():
                worth += prices.resource[slot, r] * limit.value / program.scale.resource[slot, r]
    if kind == "supply":
        buy, supply = program.layout.buy, problem.assets.supply
        finite = np.isfinite(supply) & (supply > 0)
        worth += float(np.maximum(-prices.columns[buy], 0)[finite] @ supply[finite])
    return float(worth * program.scale.money)


def marginal_costs(problem: FleetProblem, program: TwoStage, prices: Prices) -> pd.DataFrame:
    """Present cost of one more million units of each workload in each period and block, over all scenarios."""
    per_work = prices.work * program.scale.money / program.scale.work / slot_seconds(problem)[:, None]
    blocks, unit = problem.shape["blocks"], problem.policy.work_unit
    index = pd.MultiIndex.from_product(
        [problem.horizon.periods, problem.horizon.blocks, problem.service.workloads],
        names=["period", "block", "workload"],
    )
    assert per_work.shape[0] == len(problem.horizon.periods) * blocks
    name = f"{objective_unit(problem).lower()}_per_m{unit}"
    return pd.DataFrame({name: 1e6 * per_work.ravel()}, index=index).reset_index()
