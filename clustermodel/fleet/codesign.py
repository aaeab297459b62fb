"""How the best plan's cost moves with the numbers behind it, and designs that follow that slope.

At an optimum the decisions and multipliers may be held still (the envelope theorem): the slope of the optimum is
that of its Lagrangian,

    L = orders + standing + reservations + sum_s weight_s [running + rent - sum_w lambda_w (sum_a rate z - D_w)]
        + sum of budget and vendor-share multipliers x what they limit,

which JAX differentiates. Continued through the serving model it leads from memory per server, batch or terms of a
contract to the cost of the whole fleet. Systems have to be divisible: whole ones have steps, not slopes.
[P. Milgrom, I. Segal: Envelope theorems for arbitrary choice sets, Econometrica 70 (2002)]
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.fleet.change import without_fractions
from clustermodel.fleet.highs import Answer, Status, solve
from clustermodel.fleet.monolith import monolith, prices, slot_block
from clustermodel.fleet.plan import Plan
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.slots import slot_value
from clustermodel.fleet.solution import Solution
from clustermodel.fleet.two_stage import two_stage


class Data(eqx.Module):
    """The numbers of a problem that a design moves, in SI as in `Assets`, `Service` and `Rental`; or slopes in them."""

    price: Float[Array, "period asset"]
    standing_cost: Float[Array, "period asset"]
    rate: Float[Array, "period asset workload"]
    busy_cost: Float[Array, "period asset workload"]
    rent: Float[Array, "period asset"]
    on_demand_price: Float[Array, "period asset"]


def data_of(problem: FleetProblem) -> Data:
    """The present numbers."""
    assets, service, rental = problem.assets, problem.service, problem.rental
    parts = (assets.price, assets.standing_cost, service.rate, service.busy_cost)
    return Data(*map(jnp.asarray, (*parts, rental.price, rental.on_demand_price)))


def with_data(problem: FleetProblem, data: Data) -> FleetProblem:
    """The problem with other numbers."""
    d = {name: np.asarray(value) for name, value in vars(data).items()}
    return dataclasses.replace(
        problem,
        assets=dataclasses.replace(problem.assets, price=d["price"], standing_cost=d["standing_cost"]),
        service=dataclasses.replace(problem.service, rate=d["rate"], busy_cost=d["busy_cost"]),
        rental=dataclasses.replace(problem.rental, price=d["rent"], on_demand_price=d["on_demand_price"]),
    )


class Optimum(eqx.Module):
    """Decisions and multipliers of a solved plan, weighted over scenarios and discounted."""

    bought: Float[np.ndarray, "period asset"]
    owned: Float[np.ndarray, "period asset"]
    booked: Float[np.ndarray, "period asset"]
    busy: Float[np.ndarray, "period asset workload"]  # system-seconds
    used: Float[np.ndarray, "period asset"]  # reserved system-seconds
    on_demand: Float[np.ndarray, "period asset"]
    work_price: Float[np.ndarray, "period asset workload"]  # lambda x system-seconds
    spending: Float[np.ndarray, "period asset"]  # multiplier of budgets on a dollar of outlay
    share: Float[np.ndarray, "period asset"]  # multiplier of vendor shares on a dollar of price


def lagrangian(data: Data, at: Optimum, problem: FleetProblem) -> Scalar:
    """The cost of a plan with its limits priced, up to what does not depend on `data` (USD)."""
    assets, horizon, rental = problem.assets, problem.horizon, problem.rental
    discount, seconds = horizon.discount[:, None], horizon.seconds[:, None]
    left = np.arange(len(discount))[:, None] + assets.lead + assets.life - len(discount)
    kept = assets.resale * np.clip(left / assets.life, 0, 1) * horizon.last_discount
    upkeep = assets.maintenance * np.einsum("toa,t->oa", assets.alive, horizon.discount * horizon.seconds)
    orders = at.bought * data.price * (discount - kept + upkeep + at.spending + at.share)
    stands = at.owned + at.booked * rental.hosted
    standing = stands * data.standing_cost * discount * seconds
    due = at.booked * data.rent * rental.take_or_pay * discount * seconds
    used = at.used * data.rent * (1 - rental.take_or_pay) + at.on_demand * data.on_demand_price
    running = at.busy * data.busy_cost - at.work_price * data.rate
    return jnp.sum(orders + standing + due + used) + jnp.sum(running)


def optimum(made: Plan, answer: Answer) -> Optimum:
    """What a continuous plan holds still while the numbers move, from the whole program's solution."""
    program, problem, outcome = made.program, made.problem, made.outcome
    periods, assets = program.layout.shape
    blocks, scenarios = problem.shape["blocks"], len(program.probability)
    block, count = slot_block(program), program.layout.count
    columns = answer.x[count : count + scenarios * len(block.cost)].reshape(scenarios, -1)
    rows = answer.row_dual[len(program.rows) :][: scenarios * sum(block.sizes)].reshape(scenarios, -1)
    tail = -answer.row_dual[-scenarios:] if program.omega > 0 else np.zeros(scenarios)
    weight = (1 - program.omega) * program.probability + tail
    pair = np.nonzero(np.asarray(program.dispatch.rate) > 0)
    busy = np.zeros((scenarios, *program.dispatch.rate.shape))
    busy[(slice(None), *pair)] = columns[:, : len(pair[0])]
    price = rows[:, -block.sizes[3] :].reshape(scenarios, program.slots, -1)
    price = price * program.scale.money / program.scale.work
    rented = columns[:, len(pair[0]) : block.left_out_columns.start].reshape(scenarios, 2, -1, assets)
    seconds = slot_value(problem)
    used, bought = np.einsum("s,skja,j->kja", weight, rented, seconds)
    spending, share = _first_stage(made)
    per_period = lambda a: a.reshape(periods, blocks, *a.shape[1:]).sum(axis=1)
    return Optimum(
        bought=outcome.decision("buy"),
        owned=outcome.in_service,
        booked=outcome.decision("reserve"),
        busy=per_period(np.einsum("s,sjaw,j->jaw", weight, busy, seconds)),
        used=per_period(used),
        on_demand=per_period(bought),
        work_price=per_period(np.einsum("sjaw,sjw->jaw", busy, price)),
        spending=spending,
        share=share,
    )


def _first_stage(made: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers of budgets and of vendor shares, on every order's outlay and price."""
    problem, program, prices = made.problem, made.program, made.solution.prices
    assert prices is not None
    shape, money = program.layout.shape, program.scale.money
    spending, share = np.zeros(shape), np.zeros(shape)
    outlay, price = problem.assets.outlay.ravel(), problem.assets.price.ravel()
    for row, dual in zip(program.rows, prices.rows, strict=True):
        if row.meaning.constraint in ("budget", "vendor_share"):
            into, base = (spending, outlay) if row.meaning.constraint == "budget" else (share, price)
            per_dollar = row.values / np.where(base[row.columns] > 0, base[row.columns], 1)
            into.ravel()[row.columns] -= dual * money * per_dollar
    return spending, share


def slopes(problem: FleetProblem) -> tuple[Plan, Data]:
    """The best plan with fractions of systems, and the slope of its cost in every number of `Data`."""
    if problem.policy.objective == "served" or problem.policy.early_retirement:
        raise ConfigError("slopes need an objective in money, and no early retirement")
    problem = without_fractions(problem, False)
    program = two_stage(problem)
    if program.integer.any():
        raise ConfigError("slopes need prices that do not fall with the number of systems")
    answer = solve(monolith(program, whole=False))
    if answer.status is not Status.OPTIMAL:
        raise InfeasibleError(f"no slopes: {answer.status.value}")
    dual, x = prices(program, answer.row_dual, answer.column_dual), answer.x[: program.layout.count]
    objective = answer.objective
    made = Plan(
        problem, program, Solution(answer.status, x, objective, objective, dual, "highs", answer.seconds)
    )
    return made, jax.grad(lagrangian)(data_of(problem), optimum(made, answer), problem)


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """The best parameters found, their plan, and every step on the way (`objective` and the parameters)."""

    parameters: np.ndarray
    plan: Plan
    history: pd.DataFrame


def codesign(
    problem: FleetProblem,
    design: Callable[[Array], Data],
    start: Float[np.ndarray, "parameter"],
    rate: float = 0.1,
    steps: int = 30,
) -> Design:
    """Move continuous parameters against the slope of the fleet's cost (Adam), solving the plan at every step.

    Args:
        problem: the rest of the problem.
        design: differentiable map from parameters of order one to the numbers that they set.
        start: where to begin.
        rate: step of a parameter.
        steps: plans solved.
    """
    adam, at = optax.adam(rate), jnp.asarray(start, dtype=float)
    state, rows, best = adam.init(at), [], None
    for _ in range(steps):
        data, back = jax.vjp(design, at)
        made, slope = slopes(with_data(problem, data))
        rows.append({"objective": made.objective, **{f"p{i}": float(v) for i, v in enumerate(at)}})
        if best is None or made.objective < best[1].objective:
            best = (np.asarray(at), made)
        moves, state = adam.update(back(slope)[0], state)
        at = jnp.asarray(optax.apply_updates(at, moves))
    if best is None:
        raise ConfigError(f"steps {steps}: write at least one")
    return Design(*best, pd.DataFrame(rows))
