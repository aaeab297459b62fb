"""Why a question has no answer, and the nearest one that has."""

import math

import numpy as np
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape
from clustermodel.chain.search import Grid
from clustermodel.chain.setup import MILLISECONDS, Setup, limits

GB = 1e9


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
    if setup.precision.label not in ("fp4", "nvfp4", "mxfp4", "int4", "q4_k_m"):
        cures.append("a narrower format (--precision fp4)")
    cures.append("shorter sequences (--isl, --osl) or a system with more memory")
    return "What would do: " + ", or ".join(cures)


def objective_out_of_reach(setup: Setup, grid: Grid) -> str:
    """Which objective cannot be met, and the best that can."""
    max_ttft, max_tpot = limits(setup)
    fitting = grid.meets(math.inf, math.inf)
    if not fitting.any():
        return _endless(setup, grid)
    best_tpot, best_ttft = _least(grid.tpot, fitting), _least(grid.ttft, fitting)
    where = f"{setup.model.name} on {setup.system.name}"
    if grid.tpot[best_tpot] > max_tpot:
        return f"{where} {_unreachable('tpot', max_tpot, grid, best_tpot)}"
    if grid.ttft[best_ttft] > max_ttft:
        return f"{where} {_unreachable('ttft', max_ttft, grid, best_ttft)}"
    nearest = _least(grid.ttft, fitting & (grid.tpot <= max_tpot))
    within = f"while TPOT stays within {max_tpot * MILLISECONDS:g} ms"
    return f"{where} {_unreachable('ttft', max_ttft, grid, nearest)}, {within}"


def _endless(setup: Setup, grid: Grid) -> str:
    """Why no layout that fits ever finishes a step at a finite price."""
    where = setup.system.name
    if any(math.prod(shape[:3]) == 1 for shape in np.asarray(grid.shapes)[grid.fits]):
        dead = float(setup.system.spec.accelerator.hbm_bandwidth) == 0
        cause = "bandwidth, its hbm_bandwidth is 0" if dead else "a number given with --set"
        return f"no layout on {where} ever finishes a step at a finite price; binding limit: {cause}"
    return (
        f"no link between the accelerators of {where} is known, so no layout asked for ever finishes a step; "
        "binding limit: interconnect. What would do: a link such as --set "
        "accelerator.scaleout_bandwidth='50 GB/s'"
    )


def _least(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int:
    return int(np.argmin(np.where(allowed, values, np.inf)))


def _unreachable(latency: str, asked: float, grid: Grid, index: int) -> str:
    best = float(getattr(grid, latency)[index])
    return (
        f"cannot meet --max-{latency}-ms {asked * MILLISECONDS:g}: the nearest feasible value is "
        f"{best * MILLISECONDS:.4g} ms ({_layout(grid.shapes[index])}, concurrency "
        f"{grid.concurrency[index]:g})"
    )


def _layout(shape: Shape) -> str:
    return "tp {} pp {} dp {} ep {}".format(*shape)
