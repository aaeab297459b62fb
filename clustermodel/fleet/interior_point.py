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


class Columns(eqx.Module):
    """One number for each variable.

    served: shares of demand [asset, workload]; slack: one of every row, in the order capacity, resource, demand
    (the last is what is left out against a must-serve limit); boxed: reserved and on-demand shares of capacity,
    then shares of demand left out, all with an upper bound.
    """

    served: Float[Array, "asset workload"] | Bool[Array, "asset workload"]
    slack: Float[Array, "row"] | Bool[Array, "row"]
    boxed: Float[Array, "box"] | Bool[Array, "box"]


class Program(eqx.Module):
    """min cost.x, A x = right, x >= 0, boxed x <= upper, x = 0 where not allowed."""

    load: Float[Array, "asset workload"]  # share of an asset's capacity that serving all of a workload takes
    draw: Float[Array, "resource asset workload"]
    right: Float[Array, "row"]
    cost: Columns
    upper: Float[Array, "box"]
    allowed: Columns  # booleans


class Direction(eqx.Module):
    """A step of the primal x, the row multipliers, the reduced costs at lower and at upper bounds."""

    x: Columns
    price: Float[Array, "row"]
    low: Columns
    high: Float[Array, "box"]


class State(eqx.Module):
    """Where the method stands."""

    at: Direction
    done: Bool[Array, ""]
    iteration: Int[Array, ""]


def solve(
    dispatch: Dispatch, supply: Supply, demand: Float[Array, "workload"]
) -> tuple[Float[Array, "asset workload"], Multipliers]:
    """Busy systems near the optimum, and multipliers that prove it.

    The price of capacity follows from those of work and resources:
    mu_a = max_w (lambda_w rate_aw - cost_aw - pi . draw_aw)^+, the least that leaves lambda as it is; so an asset
    without capacity is priced at what its first system would be worth, and a resource without any left likewise.
    """
    program, share, money = shares(dispatch, supply, demand)
    end = jax.lax.while_loop(lambda s: ~s.done, lambda s: step(program, s), start(program)).at
    assets = len(supply.owned)
    work = jnp.clip(end.price[-len(demand) :] * money / _positive(demand), 0, dispatch.breach)
    margin = jnp.where(dispatch.rate > 0, work[None, :] * dispatch.rate - dispatch.cost, 0)
    draws = dispatch.draw > 0
    first = jnp.where(draws, margin[None] / jnp.where(draws, dispatch.draw, 1), 0).max(
        axis=(1, 2), initial=0.0
    )
    paid = -end.price[assets : -len(demand)] * money
    resource = jnp.maximum(jnp.where(supply.resource > FLOOR, paid, first), 0)
    worth = jnp.max(margin - jnp.tensordot(resource, dispatch.draw, axes=1), axis=1)
    return end.x.served * share, Multipliers(jnp.maximum(worth, 0), resource)


def _positive(values: Array) -> Array:
    return jnp.maximum(values, FLOOR * jnp.maximum(values.max(), FLOOR))


def shares(dispatch: Dispatch, supply: Supply, demand: Array) -> tuple[Program, Array, Scalar]:
    """The dispatch in shares of demand and capacity; busy systems per share served; money per unit of cost."""
    demand = _positive(demand)
    capacity = supply.owned + supply.reserved + supply.on_demand
    possible = dispatch.rate > 0
    share = jnp.where(possible, demand[None, :] / jnp.where(possible, dispatch.rate, 1), 0)
    some = capacity > FLOOR * share.max(axis=1)
    unit = jnp.where(some, capacity, 1)
    money = jnp.sum(dispatch.penalty * demand)
    blocked = jnp.any((dispatch.draw > 0) & (supply.resource <= FLOOR)[:, None, None], axis=0)
    must = dispatch.spare < 1
    most = jnp.where(
        must, dispatch.spare, 2
    )  # without a must-serve limit no bound, lest the box has no inside
    upper = jnp.concatenate([supply.reserved / unit, supply.on_demand / unit, most])
    slack = jnp.concatenate([jnp.ones_like(some), jnp.ones_like(supply.resource, dtype=bool), must])
    allowed = Columns(possible & some[:, None] & ~blocked, slack, upper > FLOOR)
    rented = (dispatch.reserved_cost * unit, dispatch.on_demand_cost * unit)
    free = jnp.zeros(len(unit) + len(supply.resource))
    cost = Columns(
        served=dispatch.cost * share / money,
        slack=jnp.concatenate([free, dispatch.breach * demand / money]),
        boxed=jnp.concatenate([*rented, dispatch.penalty * demand]) / money,
    )
    left = jnp.where(supply.resource > FLOOR, supply.resource, 1)
    right = jnp.concatenate([jnp.where(some, supply.owned / unit, 1), left, jnp.ones_like(demand)])
    load = jnp.where(allowed.served, share / unit[:, None], 0)
    return Program(load, dispatch.draw * share[None], right, cost, upper, allowed), share, money


def rows_of(program: Program, x: Columns) -> Float[Array, "row"]:
    """A x."""
    assets = program.draw.shape[1]
    rented, left_out = x.boxed[: 2 * assets].reshape(2, assets).sum(axis=0), x.boxed[2 * assets :]
    capacity = jnp.sum(program.load * x.served, axis=1) - rented
    resource = jnp.sum(program.draw * x.served[None], axis=(1, 2))
    return jnp.concatenate([capacity, resource, x.served.sum(axis=0) + left_out]) + x.slack


def columns_of(program: Program, price: Float[Array, "row"]) -> Columns:
    """Transpose of A times the multipliers."""
    resources, assets, _ = program.draw.shape
    capacity, resource, work = jnp.split(price, [assets, assets + resources])
    draw = jnp.tensordot(resource, program.draw, axes=1)
    served = program.load * capacity[:, None] + draw + work[None, :]
    return Columns(served, price, jnp.concatenate([-capacity, -capacity, work]))


def normal_solver(program: Program, theta: Columns) -> Callable[[Float[Array, "row"]], Float[Array, "row"]]:
    """Solve (A theta A') price = right for any right-hand side, factorised once."""
    resources, assets, _ = program.draw.shape
    used, drawn = program.load * theta.served, program.draw * theta.served[None]
    rented, left_out = theta.boxed[: 2 * assets].reshape(2, assets).sum(axis=0), theta.boxed[2 * assets :]
    own, spare, breach = jnp.split(theta.slack, [assets, assets + resources])
    capacity = jnp.sum(program.load * used, axis=1) + rented + own
    across = jnp.concatenate(
        [jnp.sum(drawn * program.load[None], axis=2), used.T]
    )  # [resource+workload, asset]
    resource = jnp.einsum("raw,qaw->rq", drawn, program.draw) + jnp.diag(spare)
    both, work = drawn.sum(axis=1), jnp.diag(theta.served.sum(axis=0) + left_out + breach)
    whole = jnp.block([[resource, both], [both.T, work]])
    ridge = jnp.diag(REGULARISATION * jnp.diag(whole))
    factor = cho_factor(whole - (across / capacity[None, :]) @ across.T + ridge, lower=True)

    def solved(right: Float[Array, "row"]) -> Float[Array, "row"]:
        small = cho_solve(factor, right[assets:] - across @ (right[:assets] / capacity))
        return jnp.concatenate([(right[:assets] - across.T @ small) / capacity, small])

    return solved


def start(program: Program) -> State:
    """Half-way between bounds, one elsewhere; every reduced cost as large as the largest cost."""
    most = jnp.max(jnp.stack([leaf.max(initial=0.0) for leaf in jax.tree.leaves(program.cost)]))
    low = _only(program.allowed, _map(lambda c: jnp.full_like(c, most), program.cost))
    ones = _map(jnp.ones_like, program.cost)
    x = _only(program.allowed, Columns(ones.served, ones.slack, program.upper / 2))
    at = Direction(x, jnp.zeros_like(program.right), low, low.boxed)
    return State(at, jnp.array(False), jnp.array(0))


class Gaps(eqx.Module):
    """What keeps a point from the optimum, and the weights of the normal equations there."""

    inside: Columns  # x, 1 where not allowed
    room: Array  # upper - x, 1 where not allowed
    primal: Array
    dual: Columns
    theta: Columns

    def __init__(self, program: Program, at: Direction):
        allowed = program.allowed
        self.inside = _map(lambda ok, x: jnp.where(ok, x, 1), allowed, at.x)
        self.room = jnp.where(allowed.boxed, program.upper - at.x.boxed, 1)
        self.primal = program.right - rows_of(program, at.x)
        dual = _map(lambda c, a, low: c - a - low, program.cost, columns_of(program, at.price), at.low)
        self.dual = _only(allowed, Columns(dual.served, dual.slack, dual.boxed + at.high))
        curve = _map(operator.truediv, at.low, self.inside)
        curve = Columns(curve.served, curve.slack, curve.boxed + at.high / self.room)
        self.theta = _only(allowed, _map(lambda c: 1 / jnp.where(c > 0, c, 1), curve))


def direction(
    program: Program, at: Direction, gaps: Gaps, target: tuple[Columns, Array], solved: Any
) -> Direction:
    """Newton step that moves the complementarity products at the lower and upper bounds by `target`."""
    low, high = target
    pull = _map(lambda t, x, d: t / x - d, low, gaps.inside, gaps.dual)
    pull = Columns(pull.served, pull.slack, pull.boxed - high / gaps.room)
    price = solved(gaps.primal - rows_of(program, _map(operator.mul, gaps.theta, pull)))
    dx = _map(lambda th, a, p: th * (a + p), gaps.theta, columns_of(program, price), pull)
    dlow = _map(lambda t, l, d, x: (t - l * d) / x, low, at.low, dx, gaps.inside)
    dhigh = jnp.where(program.allowed.boxed, (high + at.high * dx.boxed) / gaps.room, 0)
    return Direction(dx, price, _only(program.allowed, dlow), dhigh)


def step(program: Program, s: State) -> State:
    """One predictor-corrector step; the state is done when complementarity is small."""
    at, gaps = s.at, Gaps(program, s.at)
    solved = normal_solver(program, gaps.theta)
    low_gap, high_gap = _map(operator.mul, at.low, at.x), at.high * gaps.room
    gap = _total(low_gap) + high_gap.sum()
    first = direction(program, at, gaps, (_map(operator.neg, low_gap), -high_gap), solved)
    ahead, back = _reach(at, gaps.room, first)
    after = _total(
        _map(lambda x, d, l, e: (x + ahead * d) * (l + back * e), at.x, first.x, at.low, first.low)
    )
    after += jnp.sum((gaps.room - ahead * first.x.boxed) * (at.high + back * first.high))
    centre = (after / gap) ** 3 * gap / (_total(program.allowed) + program.allowed.boxed.sum())
    low = _only(program.allowed, _map(lambda g, d, e: centre - g - d * e, low_gap, first.x, first.low))
    high = jnp.where(program.allowed.boxed, centre - high_gap + first.x.boxed * first.high, 0)
    second = direction(program, at, gaps, (low, high), solved)
    ahead, back = _reach(at, gaps.room, second)
    moved = lambda length, value, change: _map(lambda v, d: v + BACKOFF * length * d, value, change)
    new = Direction(
        moved(ahead, at.x, second.x),
        moved(back, at.price, second.price),
        moved(back, at.low, second.low),
        moved(back, at.high, second.high),
    )
    sound = jnp.isfinite(_total(new.x) + _total(new.low))  # else the last point is as good as it gets
    done = (gap < TOLERANCE) | (s.iteration + 1 >= ITERATIONS) | ~sound
    return State(_map(lambda after, before: jnp.where(sound, after, before), new, at), done, s.iteration + 1)


_map = jax.tree.map


def _only(mask: Columns, values: Columns) -> Columns:
    return _map(lambda ok, value: jnp.where(ok, value, 0), mask, values)


def _total(values: Columns) -> Scalar:
    return values.served.sum(dtype=float) + values.slack.sum(dtype=float) + values.boxed.sum(dtype=float)


def _reach(at: Direction, room: Array, change: Direction) -> tuple[Scalar, Scalar]:
    """How far x and the reduced costs can go, at most 1, before one of them reaches its bound."""
    ratio = lambda value, step: jnp.min(
        jnp.where(step < 0, -value / jnp.where(step < 0, step, -1), 1), initial=1
    )
    nearest = lambda values, steps: jnp.min(jnp.stack(jax.tree.leaves(_map(ratio, values, steps))))
    ahead = nearest((at.x, room), (change.x, -change.x.boxed))
    return ahead, nearest((at.low, at.high), (change.low, change.high))
