"""Pick the operating point that answers a question, or say why there is none."""

import dataclasses
import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape, candidates, stack_layouts
from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.infeasible import does_not_fit, objective_out_of_reach
from clustermodel.chain.over_time import UnderArrivals, while_busy
from clustermodel.chain.search import (
    Grid,
    cheapest,
    closer,
    evaluations,
    full_batches,
    operating_rows,
    product,
    sweep,
)
from clustermodel.chain.setup import Setup, limits
from clustermodel.chain.sizing import systems
from clustermodel.serving.open_loop import Latency

CLOSER = 2
"""Times that a search looks closer: to a thousandth of the step between two rungs, or to one request."""


@dataclasses.dataclass(frozen=True)
class Carried:
    """How a rate of requests is carried."""

    n_systems: int
    fullest: float  # requests in flight of a replica that carries the most
    arrivals: UnderArrivals  # what reaches a replica


@dataclasses.dataclass(frozen=True)
class Choice:
    """The point chosen, and which objective stood in the way of a cheaper one."""

    shape: Shape
    concurrency: float  # in the mean, where a rate was asked
    evaluation: Evaluation
    active: str | None  # slo_ttft, slo_tpot or none
    idle: float  # what idle systems multiply the price by; 1 without a rate
    carried: Carried | None  # where a rate was asked
    searched: int  # points tried

    @property
    def latency(self) -> Latency | None:
        """Under arrivals, where a rate was asked."""
        return self.carried and self.carried.arrivals.latency

    @property
    def fullest(self) -> float:
        """Requests in flight at which the replicas were counted: without a rate those that are."""
        return self.carried.fullest if self.carried else self.concurrency

    @property
    def n_systems(self) -> int | None:
        """Systems that carry the rate, where one was asked."""
        return self.carried and self.carried.n_systems


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
    evaluation, carried = refined.row(best), _carried(setup, refined, best)
    return Choice(
        shape=refined.shapes[best],
        concurrency=float(refined.in_flight[best]),
        evaluation=evaluation,
        active=active_objective(grid, limits(setup), refined.price[best]),
        idle=float(refined.price[best] / evaluation.unit.blended),
        carried=carried,
        searched=searched,
    )


def _carried(setup: Setup, grid: Grid, index: int) -> Carried | None:
    if grid.arrivals is None:
        return None
    at = jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), grid.arrivals)
    bought = systems(setup, [grid.shapes[index]], np.asarray([at.capacity], float))
    return Carried(int(bought[0]), float(grid.concurrency[index]), at)


def running(setup: Setup, choice: Choice) -> Choice:
    """The choice while any request is in flight; itself without a rate."""
    if choice.carried is None:
        return choice
    in_flight = float(while_busy(choice.carried.arrivals.usual.in_flight))
    layout, one = stack_layouts([choice.shape]), np.asarray([in_flight])
    found = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), evaluations(*operating_rows(setup, layout, one)))
    return dataclasses.replace(choice, concurrency=in_flight, evaluation=found, carried=None)


@dataclasses.dataclass(frozen=True)
class InFlight:
    """Requests in flight of a chosen replica, as a function of how many a changed one runs at once at the most.

    Where it was chosen with as many as run, as many as run then; where an objective or the user keeps it at fewer, as
    many as before.
    """

    chosen: float
    full: float | None  # what `full_batch` was, where that set the number

    def __call__(self, full: Float[Array, "*row"]) -> Float[Array, "*row"]:
        """Requests in flight where `full` run at once at the most."""
        return jnp.full_like(full, self.chosen) if self.full is None else full * (self.chosen / self.full)


def requests_in_flight(setup: Setup, choice: Choice) -> InFlight:
    """What sets the requests in flight of a choice, under a rate those of its fullest replica."""
    deployments, loads, _ = operating_rows(setup, stack_layouts([choice.shape]), np.ones(1))
    full = float(full_batches(deployments, loads)[0])
    at_most = setup.question.concurrency is None and choice.fullest == math.floor(full)
    return InFlight(choice.fullest, full if at_most else None)


def systems_if(setup: Setup, choice: Choice, faster: float) -> float:
    """Systems that there must be, over those that there are, if each does `faster` times what was predicted.

    Whole ones where they carry a rate: none are saved while one stays.
    """
    if choice.carried is None:
        return 1 / faster
    needed = systems(setup, [choice.shape], np.asarray([float(choice.carried.arrivals.capacity) * faster]))
    return float(needed[0]) / choice.carried.n_systems


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
