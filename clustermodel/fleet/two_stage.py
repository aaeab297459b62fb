"""The two-stage program of a fleet problem: first-stage rows, dispatch coefficients, and scales.

Money is counted in units of `scale.money`, each site's limit as 1, and the work of each workload in units between
its largest demand and what a system does, so that solvers see numbers near one.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet import first_stage
from clustermodel.fleet.columns import Columns, Row
from clustermodel.fleet.dispatch import Dispatch
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.resources import Resource, draws, limited_resources
from clustermodel.fleet.slots import flat, per_slot, slot_value
from clustermodel.fleet.solution import relative_gap
from clustermodel.fleet.supply import SupplyMap, allowance_rows, supply_map

MANY = 1e4
"""Systems up to which a demand is counted as one."""
LEAST_SHARE = 1e-6
"""Of what is at stake: gaps of objectives nearer to 0 are taken relative to it."""
BREACH_FACTOR = 100.0
"""Work left out against a must-serve limit costs this multiple of the dearest way to serve it."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """What one unit of a scaled number is: USD, work per second, and the limits behind resources (SI)."""

    money: float
    work: np.ndarray  # [workload]
    resource: np.ndarray  # [slot, resource]


@dataclasses.dataclass(frozen=True, eq=False)
class TwoStage:
    """min cost.x + (1 - omega) E[Q(x)] + omega CVaR[Q(x) + offset], everything in scaled units.

    `demand` is [scenario, slot, workload]; `offset` [scenario] is cost that no decision changes (what stands there
    already; revenue not earned is counted as cost, revenue at stake as a negative offset).
    """

    layout: Columns
    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    integer: np.ndarray
    rows: tuple[Row, ...]
    supply: SupplyMap
    dispatch: Dispatch  # leading slot axis
    demand: np.ndarray
    probability: np.ndarray
    offset: np.ndarray
    omega: float
    alpha: float
    resources: tuple[Resource, ...]
    scale: Scale

    @property
    def slots(self) -> int:
        """Number of (period, block) pairs."""
        return self.demand.shape[1]

    @property
    def constant(self) -> float:
        """What the expectation of the offset adds to the objective; CVaR carries its own share."""
        return float((1 - self.omega) * self.probability @ self.offset)

    def gap(self, lower: float, upper: float) -> float:
        """Relative gap between bounds, in the objective with its constant; of one near 0 in what is at stake."""
        at_stake = LEAST_SHARE * abs(self.constant)
        total = max(abs(upper + self.constant), at_stake) if np.isfinite(upper) else np.inf
        return relative_gap(total - (upper - lower), total)

    def row_matrix(self) -> sp.csr_matrix:
        """The first-stage rows as a matrix."""
        lengths = [len(row.columns) for row in self.rows]
        where = np.repeat(np.arange(len(self.rows)), lengths)
        columns = np.concatenate([row.columns for row in self.rows] or [np.zeros(0, int)])
        values = np.concatenate([row.values for row in self.rows] or [np.zeros(0)])
        return sp.csr_matrix((values, (where, columns)), shape=(len(self.rows), self.layout.count))


def two_stage(problem: FleetProblem) -> TwoStage:
    """Discount, scale and lay out a problem."""
    layout = first_stage.columns(problem)
    cost = first_stage.column_costs(problem, layout)
    lower, upper = first_stage.bounds(problem, layout)
    integer = np.zeros(layout.count, bool)
    integer[layout.buy] = integer[layout.retire] = problem.policy.whole_systems
    integer[layout.reserve] = problem.policy.whole_reservations
    integer[layout.open] = True
    resources = limited_resources(problem)
    scale = _scale(problem, cost, resources)
    supply = supply_map(problem, layout, resources, scale.resource)
    rows = (*first_stage.rows(problem, layout), *allowance_rows(supply, resources))
    demand = flat(problem.demand.work) / scale.work
    return TwoStage(
        layout=layout,
        cost=cost / scale.money,
        lower=lower,
        upper=upper,
        integer=integer,
        rows=rows,
        supply=supply,
        dispatch=_dispatch(problem, resources, scale),
        demand=demand,
        probability=problem.demand.probability,
        offset=_offset(problem) / scale.money,
        omega=problem.policy.omega,
        alpha=problem.policy.alpha,
        resources=resources,
        scale=scale,
    )


def worth(problem: FleetProblem) -> tuple[np.ndarray, np.ndarray]:
    """Penalty and revenue that the objective counts, per unit of work, [period, workload]: USD, or 1 where served."""
    service = problem.service
    if problem.policy.objective == "cost":
        return service.penalty, np.zeros_like(service.revenue)
    if problem.policy.objective == "npv":
        return service.penalty, service.revenue
    return np.zeros_like(service.penalty), np.ones_like(service.revenue)


def _offset(problem: FleetProblem) -> np.ndarray:
    """[scenario] what stands there already costs, less the revenue of serving everything: what is left out costs it."""
    revenue = per_slot(problem, worth(problem)[1]) * slot_value(problem)[:, None]
    return _legacy_cost(problem) - np.sum(flat(problem.demand.work) * revenue, axis=(1, 2))


def _legacy_cost(problem: FleetProblem) -> float:
    """Present USD of idle energy and maintenance of legacy systems that are kept to their end."""
    if problem.policy.objective == "served":
        return 0.0
    assets, horizon = problem.assets, problem.horizon
    each = assets.standing_cost + assets.maintenance * assets.legacy_price
    return float((horizon.discount * horizon.seconds) @ (assets.legacy * each).sum(axis=1))


def _scale(problem: FleetProblem, cost: np.ndarray, resources: tuple[Resource, ...]) -> Scale:
    priced = np.abs(cost[cost != 0])
    lost = sum(part.max(initial=0) for part in worth(problem))
    fallback = lost * problem.demand.work.max(initial=0) * problem.horizon.seconds.max(initial=1)
    money = float(np.median(priced)) if priced.size else float(fallback) or 1.0
    slots = problem.shape["periods"] * problem.shape["blocks"]
    limits = np.ones((slots, len(resources)))
    for r, resource in enumerate(resources):
        for slot, limit in resource.limits.items():
            limits[slot, r] = limit.value or 1.0
    return Scale(money, _work_unit(problem), limits)


def _work_unit(problem: FleetProblem) -> np.ndarray:
    """[workload] the largest demand, or, where that takes many systems, the geometric mean of it and their rate.

    Solvers drop coefficients below 1e-9 and leave open 1e-7: a system must not be less than that of the unit.
    """
    most = problem.demand.work.max(axis=(0, 1, 2), initial=0)
    rate = problem.service.rate.max(axis=(0, 1), initial=0)
    known = (most > 0) & (rate > 0)
    systems = np.where(known, most, 1) / np.where(known, rate, 1)
    return np.where(most > 0, most, 1) / np.sqrt(np.maximum(systems / MANY, 1.0))


def _dispatch(problem: FleetProblem, resources: tuple[Resource, ...], scale: Scale) -> Dispatch:
    service, rental = problem.service, problem.rental
    value = slot_value(problem)[:, None] / scale.money
    pays = 0.0 if problem.policy.objective == "served" else 1.0
    reserved = per_slot(problem, rental.price * (1 - rental.take_or_pay)) * value * pays
    on_demand = per_slot(problem, rental.on_demand_price) * value * pays
    cost = per_slot(problem, service.busy_cost) * value[..., None] * pays
    rate = per_slot(problem, service.rate) / scale.work
    penalty, revenue = worth(problem)
    penalty = per_slot(problem, penalty + revenue) * scale.work * value
    must = per_slot(problem, service.must_serve)
    slots, (_, assets, workloads) = len(value), rate.shape
    draw = np.zeros((slots, len(resources), assets, workloads))
    for r, resource in enumerate(resources):
        for slot in resource.limits:
            draw[slot, r] = draws(problem, resource, slot)[1] / scale.resource[slot, r]
    priced = problem.assets.outlay + rental.price * problem.horizon.seconds[:, None]
    price = per_slot(problem, priced) / scale.money * pays
    dearest = np.maximum(_dearest(rate, cost + (price + on_demand)[..., None]), 1.0)
    breach = np.where(must > 0, BREACH_FACTOR * (penalty + dearest), penalty)
    parts = (rate, cost, draw, reserved, on_demand, penalty, breach, 1 - must)
    return Dispatch(*(jnp.asarray(part, dtype=float) for part in parts))


def _dearest(rate: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """[slot, workload] largest cost per unit of work over the assets that can serve it."""
    possible = rate > 0
    return np.where(possible, cost / np.where(possible, rate, 1), 0).max(axis=1)
