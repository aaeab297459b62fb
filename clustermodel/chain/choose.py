"""Pick the operating point that answers a question, or say why there is none."""

import dataclasses
import math

import jax
import numpy as np

from clustermodel.assembly.layouts import Shape, candidates
from clustermodel.catalog import InfeasibleError
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.infeasible import does_not_fit, objective_out_of_reach
from clustermodel.chain.search import Grid, between, cheapest, product
from clustermodel.chain.setup import Setup, limits
from clustermodel.chain.sizing import systems
from clustermodel.serving.open_loop import Latency


@dataclasses.dataclass(frozen=True)
class Choice:
    """The point chosen, and which objective stood in the way of a cheaper one."""

    shape: Shape
    concurrency: float
    evaluation: Evaluation
    active: str | None  # slo_ttft, slo_tpot or none
    idle: float  # what idle systems multiply the price by; 1 without a rate
    n_systems: int | None
    latency: Latency | None  # under arrivals, where a rate was asked
    searched: int  # points tried


def choose(setup: Setup) -> Choice:
    """The cheapest point that fits and meets the objectives; `InfeasibleError` where there is none."""
    shapes = candidates(
        setup.system.spec, setup.model.spec, setup.question.n_accelerators, setup.question.fixed_axes
    )
    grid = product(setup, shapes)
    if not grid.fits.any():
        raise InfeasibleError(does_not_fit(setup, grid))
    allowed = grid.meets(*limits(setup))
    if not allowed.any():
        raise InfeasibleError(objective_out_of_reach(setup, grid))
    best = cheapest(grid, allowed)
    searched, refined = len(grid.shapes), grid
    if setup.question.concurrency is None:
        refined = between(setup, grid, best)
        searched += len(refined.shapes)
        allowed = refined.meets(*limits(setup))
        best = cheapest(refined, allowed)
    evaluation, latency = refined.row(best), refined.latency
    return Choice(
        shape=refined.shapes[best],
        concurrency=float(refined.concurrency[best]),
        evaluation=evaluation,
        active=_active_objective(setup, grid, refined.price[best]),
        idle=float(refined.price[best] / evaluation.unit.blended),
        n_systems=_n_systems(setup, refined, best),
        latency=None if latency is None else jax.tree.map(lambda leaf: leaf[best], latency),
        searched=searched,
    )


def _n_systems(setup: Setup, grid: Grid, index: int) -> int | None:
    if setup.question.rate is None:
        return None
    rate = np.asarray(grid.evaluations.point.request_rate)[[index]]
    return int(systems(setup, [grid.shapes[index]], rate)[0])


def _active_objective(setup: Setup, grid: Grid, price: float) -> str | None:
    """The objective without which a cheaper point would have been chosen; of two, the dearer one."""
    max_ttft, max_tpot = limits(setup)
    without = {"slo_ttft": grid.meets(math.inf, max_tpot), "slo_tpot": grid.meets(max_ttft, math.inf)}
    prices = {name: grid.price[cheapest(grid, allowed)] for name, allowed in without.items()}
    prices["both"] = grid.price[cheapest(grid, grid.meets(math.inf, math.inf))]
    if prices.pop("both") >= price * (1 - 1e-9):
        return None
    return min(prices, key=lambda name: prices[name])
