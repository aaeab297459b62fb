"""Pick the operating point that answers a question, or say why there is none."""

import dataclasses
import math

import jax
import numpy as np
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape, candidates
from clustermodel.catalog import InfeasibleError
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.search import Grid, between, cheapest, product
from clustermodel.chain.setup import Setup
from clustermodel.chain.sizing import systems
from clustermodel.serving.open_loop import Latency

GB = 1e9
MILLISECONDS = 1e3


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


def limits(setup: Setup) -> tuple[float, float]:
    """Objectives on mean TTFT and TPOT (s); infinite where there is none."""
    q = setup.question
    return (
        math.inf if q.max_ttft_ms is None else q.max_ttft_ms / MILLISECONDS,
        math.inf if q.max_tpot_ms is None else q.max_tpot_ms / MILLISECONDS,
    )


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
    prices["both"] = grid.price[cheapest(grid, grid.fits)]
    if prices.pop("both") >= price * (1 - 1e-9):
        return None
    return min(prices, key=lambda name: prices[name])


def does_not_fit(setup: Setup, grid: Grid) -> str:
    """Why no layout fits, and the nearest change that would."""
    memory = grid.evaluations.point.memory
    counts = np.asarray([shape[0] * shape[1] * shape[2] for shape in grid.shapes])
    roomiest = int(np.argmax(np.asarray(memory.cache_room)))
    weights, room = (float(np.asarray(each)[roomiest]) for each in (memory.weights, memory.cache_room))
    n, usable = int(counts[roomiest]), weights + room / float(setup.engine.spec.memory_fraction)
    total = float(np.min(np.asarray(memory.weights) * counts))
    sequence = float(np.asarray(memory.per_sequence)[roomiest])
    need = math.ceil(total / max(usable - sequence, 1.0)) if usable > sequence else None
    cure = _cure(setup, need, n)
    return (
        f"{setup.model.name} in {setup.precision.label} does not fit on {setup.system.name}: the best of "
        f"{len(set(grid.shapes))} layouts ({_layout(grid.shapes[roomiest])}) has {weights / GB:.1f} GB of "
        f"weights and {sequence / GB:.2f} GB of cache per sequence on each accelerator, {usable / GB:.1f} GB "
        f"are usable; binding limit: capacity. {cure}"
    )


def _cure(setup: Setup, need: int | None, tried: int) -> str:
    cures = []
    if need is not None and need > tried:
        cures.append(f"at least {need} accelerators (--n-accelerators)")
    if setup.precision.label not in ("fp4", "nvfp4", "mxfp4", "int4"):
        cures.append("a narrower format (--precision fp4)")
    cures.append("shorter sequences (--isl, --osl) or a system with more memory")
    return "What would do: " + ", or ".join(cures)


def objective_out_of_reach(setup: Setup, grid: Grid) -> str:
    """Which objective cannot be met, and the best that can."""
    max_ttft, max_tpot = limits(setup)
    fitting = grid.fits
    best_tpot, best_ttft = _least(grid.tpot, fitting), _least(grid.ttft, fitting)
    where = f"{setup.model.name} on {setup.system.name}"
    if grid.tpot[best_tpot] > max_tpot:
        return _unreachable(where, "--max-tpot-ms", max_tpot, grid.tpot[best_tpot], grid, best_tpot)
    if grid.ttft[best_ttft] > max_ttft:
        return _unreachable(where, "--max-ttft-ms", max_ttft, grid.ttft[best_ttft], grid, best_ttft)
    both = fitting & (grid.tpot <= max_tpot)
    nearest = _least(grid.ttft, both)
    text = _unreachable(where, "--max-ttft-ms", max_ttft, grid.ttft[nearest], grid, nearest)
    return text + f", while TPOT stays within {max_tpot * MILLISECONDS:g} ms"


def _least(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int:
    return int(np.argmin(np.where(allowed, values, np.inf)))


def _unreachable(where: str, option: str, asked: float, best: float, grid: Grid, index: int) -> str:
    return (
        f"{where} cannot meet {option} {asked * MILLISECONDS:g}: the nearest feasible value is "
        f"{best * MILLISECONDS:.4g} ms ({_layout(grid.shapes[index])}, concurrency "
        f"{grid.concurrency[index]:g})"
    )


def _layout(shape: Shape) -> str:
    return "tp {} pp {} dp {} ep {}".format(*shape)
