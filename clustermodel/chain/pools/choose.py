"""Pick the pair of pools that answers a question, or say why there is none."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel.catalog import InfeasibleError
from clustermodel.chain.choose import active_objective
from clustermodel.chain.over_time import UnderArrivals
from clustermodel.chain.pools.evaluate import PoolsEvaluation
from clustermodel.chain.pools.search import (
    Plan,
    PoolsGrid,
    cheapest,
    finer_loads,
    finer_ratios,
    first_grid,
    shape_of,
)
from clustermodel.chain.pools.setup import PoolsSetup
from clustermodel.chain.pools.sizing import accelerators, systems
from clustermodel.chain.setup import MILLISECONDS, limits
from clustermodel.serving.open_loop import Latency

_GB = 1e9
_DIGITS = 12  # of prices that are told apart


@dataclasses.dataclass(frozen=True)
class PoolsChoice:
    """The pools chosen, and which objective stood in the way of cheaper ones."""

    plan: Plan
    evaluation: PoolsEvaluation
    active: str | None  # slo_ttft, slo_tpot or none
    searched: int  # points tried
    idle: float = 1.0  # what idle systems multiply the price by; 1 without a rate
    arrivals: UnderArrivals | None = None  # where a rate was asked

    @property
    def concurrency(self) -> float:
        """Requests in flight; in the mean, where a rate was asked."""
        return float(self.plan.concurrency if self.arrivals is None else self.arrivals.usual.in_flight)

    @property
    def latency(self) -> Latency | None:
        """Under arrivals, where a rate was asked."""
        return self.arrivals and self.arrivals.latency

    @property
    def n_accelerators(self) -> int:
        """Accelerators of both pools."""
        sizes = [math.prod(shape_of(layout)[:3]) for layout in (self.plan.prefill, self.plan.decode)]
        return int(sizes[0] * self.plan.prefill_workers + sizes[1] * self.plan.decode_workers)


def choose_pools(setup: PoolsSetup) -> PoolsChoice:
    """The cheapest pools that fit and meet the objectives; `InfeasibleError` where there are none."""
    grid, objectives = first_grid(setup), limits(setup.decode)
    finer = finer_ratios(setup, grid, allowed_points(setup, grid))
    grids = [grid, finer, finer_loads(setup, finer, finer.meets(*objectives))]
    best = [cheapest(each, each.meets(*objectives)) for each in grids]
    least = min(float(each.price[row]) for each, row in zip(grids, best, strict=True))
    found = lambda pair: (round(float(pair[0].price[pair[1]]) / least, _DIGITS), pair[0].tpot[pair[1]])
    chosen, index = min(zip(grids, best, strict=True), key=found)
    row = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), tree)
    evaluation = row(chosen.evaluations)
    return PoolsChoice(
        plan=chosen.plan(index),
        evaluation=evaluation,
        active=active_objective(grid, objectives, float(chosen.price[index])),
        searched=sum(len(each.price) for each in grids),
        idle=float(chosen.price[index] / evaluation.unit.blended),
        arrivals=row(chosen.arrivals),
    )


def systems_if(setup: PoolsSetup, choice: PoolsChoice, faster: float) -> float:
    """Systems that there must be, over those that there are, if each does `faster` times what was predicted."""
    if choice.arrivals is None:
        return 1 / faster
    return n_systems(setup, choice, faster) / n_systems(setup, choice)


def n_systems(setup: PoolsSetup, choice: PoolsChoice, faster: float = 1.0) -> int:
    """Systems of both pools that carry the rate, each `faster` than predicted."""
    capacity = np.asarray(choice.arrivals.capacity if choice.arrivals else np.nan, float).reshape(1) * faster
    return int(sum(each[0] for each in systems(setup, accelerators(choice.evaluation), capacity).values()))


def allowed_points(setup: PoolsSetup, grid: PoolsGrid) -> NDArray[np.bool_]:
    """Rows that fit and meet the objectives; `InfeasibleError` with the reason where there is none."""
    if not grid.fits.any():
        raise InfeasibleError(_does_not_fit(setup, grid))
    allowed = grid.meets(*limits(setup.decode))
    if not allowed.any():
        raise InfeasibleError(_out_of_reach(setup, grid))
    return allowed


def _does_not_fit(setup: PoolsSetup, grid: PoolsGrid) -> str:
    """The pool whose workers are too small, by its roomiest layout."""
    memories = {"prefill": grid.evaluations.point.prefill_memory, "decode": grid.evaluations.point.memory}
    short = [name for name, memory in memories.items() if not (np.asarray(memory.fits) > 0).any()]
    name = short[0] if short else "decode"
    memory, each = memories[name], getattr(setup, name)
    roomiest = int(np.argmax(np.asarray(memory.cache_room)))
    weights = float(np.asarray(memory.weights)[roomiest]) / _GB
    capacity = float(np.asarray(memory.capacity)[roomiest]) / _GB
    return (
        f"{each.model.name} in {each.precision.label} does not fit on a {name} worker of {each.system.name}: "
        f"{weights:.1f} GB of weights on each accelerator of {capacity:.0f} GB; binding limit: capacity. What "
        "would do: a larger worker (its --tp, --pp, --dp), a narrower format (--precision fp4), shorter "
        "sequences (--isl, --osl) or a system with more memory"
    )


def _out_of_reach(setup: PoolsSetup, grid: PoolsGrid) -> str:
    """Which objective no pair of pools keeps, and the best that can be kept."""
    max_ttft, max_tpot = limits(setup.decode)
    alone = {"tpot": (grid.tpot, max_tpot), "ttft": (grid.ttft, max_ttft)}
    where = (
        f"{setup.decode.model.name} on pools of {setup.prefill.system.name} and {setup.decode.system.name}"
    )
    for name, (latency, most) in alone.items():
        best = float(np.min(np.where(grid.fits, latency, np.inf)))
        if best > most:
            return f"{where} {_nearest(name, most, best)}"
    within = grid.meets(math.inf, max_tpot)
    best = float(np.min(np.where(within, grid.ttft, np.inf)))
    return (
        f"{where} {_nearest('ttft', max_ttft, best)}, while TPOT stays within {max_tpot * MILLISECONDS:g} ms"
    )


def _nearest(latency: str, asked: float, best: float) -> str:
    return (
        f"cannot meet --max-{latency}-ms {asked * MILLISECONDS:g}: the nearest feasible value is "
        f"{best * MILLISECONDS:.4g} ms"
    )
