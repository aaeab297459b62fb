"""The two-stage program of a fleet problem: first-stage rows, dispatch coefficients, and scales.

Money is counted in units of `scale.money`, each site's limit as 1, and the work of each workload in units between
its largest demand and what a system does, so that solvers see numbers near one.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet import first_stage
from clustermodel.fleet.dispatch import Dispatch, Supply
from clustermodel.fleet.first_stage import Columns, Meaning, Row
from clustermodel.fleet.problem import FleetProblem, Limit
from clustermodel.fleet.solution import relative_gap

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


@dataclasses.dataclass(frozen=True)
class Resource:
    """Something every dispatch draws on: power within one scope in each period, or a carbon allowance."""

    kind: str
    scope: tuple[str, str, str]  # site, system, vendor
    limits: dict[int, Limit]  # slot -> the limit that sets it, the smallest of this scope
    index: int = -1  # of a carbon limit


@dataclasses.dataclass(frozen=True, eq=False)
class SupplyMap:
    """How first-stage variables supply each slot: constant + matrix @ x, for each part of `Supply`."""

    owned: tuple[np.ndarray, sp.csr_matrix]
    reserved: tuple[np.ndarray, sp.csr_matrix]
    on_demand: tuple[np.ndarray, sp.csr_matrix]
    resource: tuple[np.ndarray, sp.csr_matrix]

    def __call__(self, x: np.ndarray) -> Supply:
        """Supply of every slot for the decisions `x`."""
        parts = (self.owned, self.reserved, self.on_demand, self.resource)
        return Supply(*((start + (matrix @ x).reshape(start.shape)).clip(0) for start, matrix in parts))


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
    resources = _resources(problem)
    scale = _scale(problem, cost, resources)
    supply = _supply(problem, layout, resources, scale)
    rows = (*first_stage.rows(problem, layout), *_allowance_rows(supply, resources))
    demand = _slots(problem.demand.work) / scale.work
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


def _slots(array: np.ndarray) -> np.ndarray:
    """[..., period, block, workload] -> [..., slot, workload]."""
    return array.reshape(*array.shape[:-3], -1, array.shape[-1])


def slot_seconds(problem: FleetProblem) -> np.ndarray:
    """Seconds of each slot."""
    return np.outer(problem.horizon.seconds, problem.horizon.share).ravel()


def slot_value(problem: FleetProblem) -> np.ndarray:
    """Seconds of each slot times what a dollar then is worth now; undiscounted where money does not count."""
    discounted = problem.policy.objective != "served"
    discount = problem.horizon.discount if discounted else np.ones(problem.shape["periods"])
    return np.outer(problem.horizon.seconds * discount, problem.horizon.share).ravel()


def _per_slot(problem: FleetProblem, array: np.ndarray) -> np.ndarray:
    return np.repeat(array, problem.shape["blocks"], axis=0)


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
    revenue = _per_slot(problem, worth(problem)[1]) * slot_value(problem)[:, None]
    return _legacy_cost(problem) - np.sum(_slots(problem.demand.work) * revenue, axis=(1, 2))


def _legacy_cost(problem: FleetProblem) -> float:
    """Present USD of idle energy and maintenance of legacy systems that are kept to their end."""
    if problem.policy.objective == "served":
        return 0.0
    assets, horizon = problem.assets, problem.horizon
    each = assets.standing_cost + assets.maintenance * assets.legacy_price
    return float((horizon.discount * horizon.seconds) @ (assets.legacy * each).sum(axis=1))


def _resources(problem: FleetProblem) -> tuple[Resource, ...]:
    power = [limit for limit in problem.limits if limit.kind == "power" and np.isfinite(limit.value)]
    found = []
    for scope in dict.fromkeys(limit.scope for limit in power):
        loosest_first = sorted((each for each in power if each.scope == scope), key=lambda each: -each.value)
        tightest = {slot: each for each in loosest_first for slot in _slots_of(problem, each)}
        found.append(Resource("power", scope, dict(sorted(tightest.items()))))
    for index, limit in enumerate(problem.limits):
        if limit.kind == "carbon":
            slots = dict.fromkeys(_slots_of(problem, limit), limit)
            found.append(Resource("carbon", limit.scope, slots, index))
    return tuple(found)


def _slots_of(problem: FleetProblem, limit: Limit) -> list[int]:
    """The slots in which a limit holds."""
    blocks = problem.shape["blocks"]
    periods = range(problem.shape["periods"]) if limit.period is None else [limit.period]
    return [t * blocks + k for t in periods for k in range(blocks)]


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


def _draws(problem: FleetProblem, resource: Resource, slot: int) -> tuple[np.ndarray, np.ndarray]:
    """Standing [asset] and busy [asset, workload] use of a resource, in SI."""
    assets, period = problem.assets, slot // problem.shape["blocks"]
    counted = resource.limits[slot].covers(assets).astype(float)
    if resource.kind == "power":
        return assets.standing_draw * counted, problem.service.busy_draw[period] * counted[:, None]
    emission = assets.carbon * counted * slot_seconds(problem)[slot]
    return assets.standing_power * emission, problem.service.busy_power[period] * emission[:, None]


def _supply(
    problem: FleetProblem, layout: Columns, resources: tuple[Resource, ...], scale: Scale
) -> SupplyMap:
    blocks, (periods, count) = problem.shape["blocks"], layout.shape
    slots = periods * blocks
    service = first_stage.in_service(problem, layout)
    usable = sp.diags_array(np.tile(problem.assets.usable, periods)) @ service
    each = np.repeat(np.arange(periods * count).reshape(periods, count), blocks, axis=0)
    owned = (problem.assets.legacy * problem.assets.usable).ravel()[each]
    entry = np.ones(each.size)
    reserve = (entry, (np.arange(each.size), layout.reserve.ravel()[each.ravel()]))
    reserved = sp.csr_matrix(reserve, shape=(each.size, layout.count))
    return SupplyMap(
        (owned, sp.csr_matrix(usable)[each.ravel()]),
        (np.zeros((slots, count)), reserved),
        (_per_slot(problem, problem.rental.on_demand_most), sp.csr_matrix(reserved.shape)),
        _resource_supply(problem, layout, resources, scale),
    )


def _resource_supply(
    problem: FleetProblem, layout: Columns, resources: tuple[Resource, ...], scale: Scale
) -> tuple[np.ndarray, sp.csr_matrix]:
    """What is left of every resource after standing use: limit - standing . (legacy + bought - retired + hosted)."""
    blocks, count = problem.shape["blocks"], layout.shape[1]
    slots = layout.shape[0] * blocks
    service = first_stage.standing(problem, layout)
    start = np.ones((slots, len(resources)))
    matrix = sp.lil_matrix((slots * len(resources), layout.count))
    for r, resource in enumerate(resources):
        for slot, limit in resource.limits.items():
            standing = _draws(problem, resource, slot)[0] / scale.resource[slot, r]
            held = slice(slot // blocks * count, (slot // blocks + 1) * count)
            own = 0.0 if resource.kind == "carbon" else limit.value / scale.resource[slot, r]
            start[slot, r] = own - standing @ problem.assets.legacy[slot // blocks]
            matrix[slot * len(resources) + r] = -(standing @ service[held])[None, :]
            if resource.kind == "carbon":
                mine = (layout.allow_limit == resource.index) & (layout.allow_slot == slot)
                matrix[slot * len(resources) + r, layout.allow[mine]] = 1.0
    return start, sp.csr_matrix(matrix)


def _allowance_rows(supply: SupplyMap, resources: tuple[Resource, ...]) -> list[Row]:
    """A carbon allowance covers at least the standing emissions of its slot."""
    start, matrix = supply.resource
    made = []
    for r, resource in enumerate(resources):
        for slot in resource.limits if resource.kind == "carbon" else ():
            row = matrix[slot * len(resources) + r].tocoo()
            meaning = Meaning("carbon allowance", str(slot), relaxable=False)
            made.append(Row(row.coords[-1], row.data, -float(start[slot, r]), np.inf, meaning))
    return made


def _dispatch(problem: FleetProblem, resources: tuple[Resource, ...], scale: Scale) -> Dispatch:
    service, rental = problem.service, problem.rental
    value = slot_value(problem)[:, None] / scale.money
    pays = 0.0 if problem.policy.objective == "served" else 1.0
    reserved = _per_slot(problem, rental.price * (1 - rental.take_or_pay)) * value * pays
    on_demand = _per_slot(problem, rental.on_demand_price) * value * pays
    cost = _per_slot(problem, service.busy_cost) * value[..., None] * pays
    rate = _per_slot(problem, service.rate) / scale.work
    penalty, revenue = worth(problem)
    penalty = _per_slot(problem, penalty + revenue) * scale.work * value
    must = _per_slot(problem, service.must_serve)
    slots, (_, assets, workloads) = len(value), rate.shape
    draw = np.zeros((slots, len(resources), assets, workloads))
    for r, resource in enumerate(resources):
        for slot in resource.limits:
            draw[slot, r] = _draws(problem, resource, slot)[1] / scale.resource[slot, r]
    priced = problem.assets.outlay + rental.price * problem.horizon.seconds[:, None]
    price = _per_slot(problem, priced) / scale.money * pays
    dearest = np.maximum(_dearest(rate, cost + (price + on_demand)[..., None]), 1.0)
    breach = np.where(must > 0, BREACH_FACTOR * (penalty + dearest), penalty)
    parts = (rate, cost, draw, reserved, on_demand, penalty, breach, 1 - must)
    return Dispatch(*(jnp.asarray(part, dtype=float) for part in parts))


def _dearest(rate: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """[slot, workload] largest cost per unit of work over the assets that can serve it."""
    possible = rate > 0
    return np.where(possible, cost / np.where(possible, rate, 1), 0).max(axis=1)
