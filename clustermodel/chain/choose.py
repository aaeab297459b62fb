"""Pick the operating point that answers a question, or say why there is none."""

import dataclasses
import math
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape, candidates
from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.infeasible import does_not_fit, objective_out_of_reach
from clustermodel.chain.search import Grid, cheapest, closer, product, sweep
from clustermodel.chain.setup import Setup, limits
from clustermodel.chain.sizing import systems
from clustermodel.serving.open_loop import Latency

CLOSER = 2
"""Times that a search looks closer: to a thousandth of the step between two rungs, or to one request."""


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
    if setup.question.disaggregated:
        raise ConfigError(
            "pools of their own for prefill and decode (--allocation disaggregated, --prefill-..., "
            "--decode-workers) are known to cost, compare, frontier and power only; leave them out here"
        )
    shapes = candidates(
        setup.system.spec, setup.model.spec, setup.question.n_accelerators, setup.question.fixed_axes
    )
    grid = product(setup, shapes)
    if not grid.fits.any():
        raise InfeasibleError(does_not_fit(setup, grid))
    allowed = grid.meets(*limits(setup))
    if not allowed.any():
        raise InfeasibleError(objective_out_of_reach(setup, grid))
    searched, refined = len(grid.shapes), grid
    for _ in range(CLOSER if setup.question.concurrency is None else 0):
        refined = sweep(setup, *closer(refined, refined.price, allowed))
        searched += len(refined.shapes)
        allowed = refined.meets(*limits(setup))
    best = cheapest(refined, allowed)
    evaluation, latency = refined.row(best), refined.latency
    return Choice(
        shape=refined.shapes[best],
        concurrency=float(refined.concurrency[best]),
        evaluation=evaluation,
        active=active_objective(grid, limits(setup), refined.price[best]),
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


@runtime_checkable
class Searched(Protocol):
    """What a search has looked at: prices, and which points keep objectives on TTFT and TPOT (s)."""

    @property
    def price(self) -> NDArray[np.float64]:
        """USD per token."""
        ...

    def meets(self, max_ttft: float, max_tpot: float) -> NDArray[np.bool_]:
        """Points that fit and keep both."""
        ...


def active_objective(searched: Searched, objectives: tuple[float, float], price: float) -> str | None:
    """The objective without which a cheaper point would have been chosen; of two, the dearer one."""
    max_ttft, max_tpot = objectives
    without = {
        "slo_ttft": searched.meets(math.inf, max_tpot),
        "slo_tpot": searched.meets(max_ttft, math.inf),
        "both": searched.meets(math.inf, math.inf),
    }
    prices = {name: float(np.min(searched.price[allowed])) for name, allowed in without.items()}
    if prices.pop("both") >= price * (1 - 1e-9):
        return None
    return min(prices, key=lambda name: prices[name])
