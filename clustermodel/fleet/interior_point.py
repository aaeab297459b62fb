"""Interior-point method for one dispatch, written so that thousands run at once under `jax.vmap`.

Mehrotra's predictor-corrector on the dispatch in shares: each workload's demand is 1, each asset's capacity is 1.
The constraint matrix is never formed: capacity rows do not meet each other and neither do demand rows, so
eliminating the capacity rows leaves one small dense system per dispatch, of resources and workloads.
[S. Mehrotra: On the implementation of a primal-dual interior point method, SIAM J. Optimization 2 (1992)]
"""

import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int

from clustermodel._types import Scalar
from clustermodel.fleet.dispatch import Dispatch, Multipliers, Supply

ITERATIONS = 60
TOLERANCE = 1e-9
"""Of complementarity, in units of the cost of serving nothing. Residuals fall with it until the condition of the
equations stops them; the repair removes what is left, and the bounds tell what it cost."""
BACKOFF = 0.995
"""Share of the way to the boundary that a step may go."""
REGULARISATION = 1e-14
FLOOR = 1e-10
"""Relative size below which a demand, a capacity or what is left of a limit counts as none."""


class Boxed(eqx.Module):
    """One number for each variable with an upper bound: shares of capacity rented, of demand left out."""

    reserved: Array  # [asset]
    on_demand: Array  # [asset]
    left_out: Array  # [workload]


class Columns(eqx.Module):
    """One number for each variable."""

    served: Array  # [asset workload] shares of demand
    idle: Array  # [asset] slack of capacity
    spare: Array  # [resource] slack of resources
    breach: Array  # [workload] shares of demand left out against a must-serve limit
    boxed: Boxed


class Rows(eqx.Module):
    """One number for each constraint."""

    capacity: Array
    resource: Array
    demand: Array


class Program(eqx.Module):
    """min cost.x, A x = right, x >= 0, boxed x <= upper, x = 0 where not allowed."""

    load: Float[Array, "asset workload"]  # share of an asset's capacity that serving all of a workload takes
    draw: Float[Array, "resource asset workload"]
    right: Rows
    cost: Columns
    upper: Boxed
    allowed: Columns  # booleans


class State(eqx.Module):
    """Primal x, row multipliers, reduced costs at the lower and the upper bounds."""

    x: Columns
    price: Rows
    low: Columns
    high: Boxed
    done: Bool[Array, ""]
    iteration: Int[Array, ""]


class Direction(eqx.Module):
    """A step of everything in `State`."""

    x: Columns
    price: Rows
    low: Columns
    high: Boxed


def solve(
    dispatch: Dispatch, supply: Supply, demand: Float[Array, "workload"]
) -> tuple[Float[Array, "asset workload"], Multipliers]:
    """Busy systems near the optimum, and multipliers that prove it.

    The price of capacity follows from those of work and resources:
    mu_a = max_w (lambda_w rate_aw - cost_aw - pi . draw_aw)^+, the least that leaves lambda as it is; so an asset
    without capacity is priced at what its first system would be worth, and a resource without any left likewise.
    """
    program, share, money = shares(dispatch, supply, demand)
    state = jax.lax.while_loop(lambda s: ~s.done, lambda s: step(program, s), start(program))
    work = jnp.clip(state.price.demand * money / _positive(demand), 0, dispatch.breach)
    margin = jnp.where(dispatch.rate > 0, work * dispatch.rate - dispatch.cost, 0)
    draws = dispatch.draw > 0
    first = jnp.max(jnp.where(draws, margin / jnp.where(draws, dispatch.draw, 1), 0), axis=(1, 2), initial=0.0)
    resource = jnp.where(supply.resource > FLOOR, -state.price.resource * money, first)
    resource = jnp.maximum(resource, 0)
    worth = jnp.max(margin - jnp.tensordot(resource, dispatch.draw, axes=1), axis=1)
    return state.x.served * share, Multipliers(jnp.maximum(worth, 0), resource)


def _positive(values: Array) -> Array:
    return jnp.maximum(values, FLOOR * jnp.maximum(values.max(), FLOOR))


def shares(dispatch: Dispatch, supply: Supply, demand: Array) -> tuple[Program, Array, Scalar]:
    """The dispatch in shares of demand and capacity; busy systems per share served; money per unit of cost."""
    demand = _positive(demand)
    capacity = supply.owned + supply.reserved + supply.on_demand
    possible = dispatch.rate > 0
    share = jnp.where(possible, demand / jnp.where(possible, dispatch.rate, 1), 0)
    some = capacity > FLOOR * share.max(axis=1)
    unit = jnp.where(some, capacity, 1)
    money = jnp.sum(dispatch.penalty * demand)
    blocked = jnp.any((dispatch.draw > 0) & (supply.resource <= FLOOR)[:, None, None], axis=0)
    must = dispatch.spare < 1
    most = jnp.where(must, dispatch.spare, 2)  # without a must-serve limit no bound, lest the box has no inside
    upper = Boxed(supply.reserved / unit, supply.on_demand / unit, most)
    allowed = Columns(
        served=possible & some[:, None] & ~blocked,
        idle=jnp.ones_like(some),
        spare=jnp.ones_like(supply.resource, dtype=bool),
        breach=must,
        boxed=jax.tree.map(lambda most: most > FLOOR, upper),
    )
    cost = Columns(
        served=dispatch.cost * share / money,
        idle=jnp.zeros_like(unit),
        spare=jnp.zeros_like(supply.resource),
        breach=dispatch.breach * demand / money,
        boxed=Boxed(
            dispatch.reserved_cost * unit / money,
            dispatch.on_demand_cost * unit / money,
            dispatch.penalty * demand / money,
        ),
    )
    owned = jnp.where(some, supply.owned / unit, 1)
    right = Rows(owned, jnp.where(supply.resource > FLOOR, supply.resource, 1), jnp.ones_like(demand))
    load = jnp.where(allowed.served, share / unit[:, None], 0)
    return Program(load, dispatch.draw * share, right, cost, upper, allowed), share, money


def rows_of(program: Program, x: Columns) -> Rows:
    """A x."""
    rented = x.boxed.reserved + x.boxed.on_demand
    return Rows(
        capacity=jnp.sum(program.load * x.served, axis=1) - rented + x.idle,
        resource=jnp.sum(program.draw * x.served[None], axis=(1, 2)) + x.spare,
        demand=x.served.sum(axis=0) + x.boxed.left_out + x.breach,
    )


def columns_of(program: Program, price: Rows) -> Columns:
    """Transpose of A times the multipliers."""
    draw = jnp.tensordot(price.resource, program.draw, axes=1)
    return Columns(
        served=program.load * price.capacity[:, None] + draw + price.demand[None, :],
        idle=price.capacity,
        spare=price.resource,
        breach=price.demand,
        boxed=Boxed(-price.capacity, -price.capacity, price.demand),
    )


def normal_solver(program: Program, theta: Columns) -> Callable[[Rows], Rows]:
    """Solve (A theta A') price = right for any right-hand side, factorised once."""
    used = program.load * theta.served
    drawn = program.draw * theta.served[None]
    boxed = theta.boxed
    capacity = jnp.sum(program.load * used, axis=1) + boxed.reserved + boxed.on_demand + theta.idle
    across = jnp.concatenate([jnp.sum(drawn * program.load[None], axis=2), used.T])  # [resource+workload, asset]
    resource = jnp.einsum("raw,qaw->rq", drawn, program.draw) + jnp.diag(theta.spare)
    both = drawn.sum(axis=1)
    work = jnp.diag(theta.served.sum(axis=0) + boxed.left_out + theta.breach)
    whole = jnp.block([[resource, both], [both.T, work]])
    ridge = jnp.diag(REGULARISATION * jnp.diag(whole))
    factor = cho_factor(whole - (across / capacity) @ across.T + ridge, lower=True)

    def solved(right: Rows) -> Rows:
        rest = jnp.concatenate([right.resource, right.demand]) - across @ (right.capacity / capacity)
        small = cho_solve(factor, rest)
        first = (right.capacity - across.T @ small) / capacity
        return Rows(first, small[: len(right.resource)], small[len(right.resource) :])

    return solved


def start(program: Program) -> State:
    """Half-way between bounds, one elsewhere; every reduced cost as large as the largest cost."""
    x = _with_boxed(jax.tree.map(lambda c: jnp.ones_like(c), program.cost), _map(lambda u: u / 2, program.upper))
    low = jax.tree.map(lambda c: jnp.full_like(c, _largest(program.cost)), program.cost)
    low = _only(program.allowed, low)
    price = jax.tree.map(jnp.zeros_like, program.right)
    return State(_only(program.allowed, x), price, low, low.boxed, jnp.array(False), jnp.array(0))


def step(program: Program, s: State) -> State:
    """One predictor-corrector step; marks the state done when residuals and complementarity are small."""
    allowed = program.allowed
    inside = _map(lambda ok, x: jnp.where(ok, x, 1), allowed, s.x)
    room = _map(lambda ok, u, x: jnp.where(ok, u - x, 1), allowed.boxed, program.upper, s.x.boxed)
    primal = _map(operator.sub, program.right, rows_of(program, s.x))
    dual = _map(lambda c, a, low: c - a - low, program.cost, columns_of(program, s.price), s.low)
    dual = _only(allowed, _with_boxed(dual, _map(operator.add, dual.boxed, s.high)))
    curvature = _map(operator.truediv, s.low, inside)
    curvature = _with_boxed(curvature, _map(lambda c, h, r: c + h / r, curvature.boxed, s.high, room))
    theta = _only(allowed, _map(lambda c: 1 / jnp.where(c > 0, c, 1), curvature))
    solved = normal_solver(program, theta)

    def direction(low_target: Columns, high_target: Boxed) -> Direction:
        pull = _map(lambda t, x, d: t / x - d, low_target, inside, dual)
        pull = _with_boxed(pull, _map(lambda p, t, r: p - t / r, pull.boxed, high_target, room))
        moved = rows_of(program, _map(operator.mul, theta, pull))
        price = solved(_map(operator.sub, primal, moved))
        dx = _map(lambda th, a, p: th * (a + p), theta, columns_of(program, price), pull)
        low = _map(lambda t, l, d, x: (t - l * d) / x, low_target, s.low, dx, inside)
        high = _map(lambda t, h, d, r: (t + h * d) / r, high_target, s.high, dx.boxed, room)
        return Direction(dx, price, _only(allowed, low), _only(allowed.boxed, high))

    low_gap, high_gap = _map(operator.mul, s.low, s.x), _map(operator.mul, s.high, room)
    gap = _total(low_gap) + _total(high_gap)
    first = direction(_map(operator.neg, low_gap), _map(operator.neg, high_gap))
    ahead, back = _reach(s, room, first)
    after = _total(_map(lambda x, d, l, e: (x + ahead * d) * (l + back * e), s.x, first.x, s.low, first.low))
    after += _total(
        _map(lambda r, d, h, e: (r - ahead * d) * (h + back * e), room, first.x.boxed, s.high, first.high)
    )
    centre = (after / gap) ** 3 * gap / (_total(allowed) + _total(allowed.boxed))
    second = direction(
        _only(allowed, _map(lambda g, d, e: centre - g - d * e, low_gap, first.x, first.low)),
        _only(allowed.boxed, _map(lambda g, d, e: centre - g + d * e, high_gap, first.x.boxed, first.high)),
    )
    ahead, back = _reach(s, room, second)
    moved = lambda length, value, change: _map(lambda v, d: v + BACKOFF * length * d, value, change)
    new = State(
        moved(ahead, s.x, second.x),
        moved(back, s.price, second.price),
        moved(back, s.low, second.low),
        moved(back, s.high, second.high),
        (gap < TOLERANCE) | (s.iteration + 1 >= ITERATIONS),
        s.iteration + 1,
    )
    sound = jnp.isfinite(_total(new.x) + _total(new.low))  # else the last state is as good as it gets
    return _map(lambda after, before: jnp.where(sound, after, before), new, _stopped(s))


_map = jax.tree.map


def _only(mask: Any, values: Any) -> Any:
    return _map(lambda ok, value: jnp.where(ok, value, 0), mask, values)


def _stopped(s: State) -> State:
    return State(s.x, s.price, s.low, s.high, jnp.array(True), s.iteration)


def _with_boxed(columns: Columns, boxed: Boxed) -> Columns:
    return Columns(columns.served, columns.idle, columns.spare, columns.breach, boxed)


def _total(values: Any) -> Scalar:
    return jnp.sum(jnp.stack([jnp.sum(leaf, dtype=float) for leaf in jax.tree.leaves(values)]))


def _largest(values: Any) -> Scalar:
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(values)]))


def _reach(s: State, room: Boxed, change: Direction) -> tuple[Scalar, Scalar]:
    """How far x and the reduced costs can go, at most 1, before one of them reaches its bound."""
    ratio = lambda value, step: jnp.min(jnp.where(step < 0, -value / jnp.where(step < 0, step, -1), 1), initial=1)
    nearest = lambda values, steps: jnp.min(jnp.stack(jax.tree.leaves(_map(ratio, values, steps))))
    ahead = nearest((s.x, room), (change.x, _map(operator.neg, change.x.boxed)))
    return ahead, nearest((s.low, s.high), (change.low, change.high))
