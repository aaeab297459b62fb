"""Choose a method by size and solve a two-stage program with it."""

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import jax
import numpy as np

from clustermodel.fleet.benders import Benders, Effort
from clustermodel.fleet.highs import Answer, LinearProgram, Status, highs_model, run_from
from clustermodel.fleet.highs import solve as solve_program
from clustermodel.fleet.integers import BOX_GAP, ROUNDING_TOLERANCE, WholeSystems
from clustermodel.fleet.monolith import monolith, prices
from clustermodel.fleet.operation import operation
from clustermodel.fleet.oracles import AbstractOracle, InteriorPointOracle
from clustermodel.fleet.simplex import HighsOracle
from clustermodel.fleet.solution import Progress, Solution
from clustermodel.fleet.two_stage import TwoStage

Method = Literal["auto", "highs", "benders"]
Oracle = Literal["auto", "highs", "interior-point"]

SMALL = 30_000
"""Busy pairs over all scenarios up to which the whole program goes to HiGHS even where systems are whole."""
MEDIUM = 120_000
"""Up to which it does where they are not, or where there is one scenario only."""
BATCH = 2_000
"""Dispatches from which an accelerator is worth its start."""
BREACH = 1e-6
"""Share of demand that may be left out against a must-serve limit before the problem counts as infeasible."""
LEAST_GAP, TIGHTER = 1e-8, 0.1
"""Gap down to which work that must be served is looked for, and the factor of each step."""
LP_SHARE, LEAST_LP_GAP = 0.01, 1e-9
"""Gap of the continuous solve over the gap asked for with whole systems: its cuts carry the search; and the least."""


def solved(program: TwoStage, method: Method, oracle: Oracle, effort: Effort) -> Solution:
    """Solve by the whole program or by decomposition, whichever suits its size."""
    if method == "auto":
        method = "highs" if _fits(program) else "benders"
    if method == "highs":
        return by_highs(program, effort)
    whole = bool(program.integer.any())
    first = dataclasses.replace(effort, gap=max(LP_SHARE * effort.gap, LEAST_LP_GAP)) if whole else effort
    benders = Benders(program, dispatch_oracle(program, oracle), first)
    solution = benders.solve() if whole else _all_served(benders, benders.solve)
    if not whole or solution.status in (Status.INFEASIBLE, Status.UNBOUNDED) or benders.best.x is None:
        return solution
    benders.effort = effort
    return _all_served(benders, WholeSystems(benders).solve)


def _all_served(benders: Benders, search: Callable[[], Solution]) -> Solution:
    """Search with smaller gaps as long as the best fleet leaves out what must be served: a dear kind of work only."""
    while True:
        solution, gap = search(), benders.effort.gap
        closed = solution.status is Status.OPTIMAL and gap > LEAST_GAP
        if not closed or breached(benders.program, solution.x, benders.oracle) <= BREACH:
            return solution
        benders.effort = dataclasses.replace(benders.effort, gap=gap * TIGHTER)


def breached(program: TwoStage, x: np.ndarray, oracle: AbstractOracle) -> float:
    """The largest share of a demand, of the most asked for at a time, that has to be served and is not."""
    if np.all(np.asarray(program.dispatch.spare) >= 1):
        return 0.0
    most = program.demand.max(axis=(0, 1), initial=0) * program.scale.work
    breach = operation(program, x, oracle).breach
    return float((breach / np.where(most > 0, most, 1)).max(initial=0.0))


def _fits(program: TwoStage) -> bool:
    pairs = int((np.asarray(program.dispatch.rate) > 0).sum()) * len(program.probability)
    easy = len(program.probability) == 1 or not program.integer.any()
    return pairs <= SMALL or (easy and pairs <= MEDIUM)


def dispatch_oracle(program: TwoStage, oracle: Oracle = "auto") -> AbstractOracle:
    """Warm HiGHS on a CPU; the batched interior point on an accelerator where there is enough to do."""
    many = program.demand.shape[0] * program.slots >= BATCH
    if oracle == "auto":
        oracle = "interior-point" if many and jax.default_backend() != "cpu" else "highs"
    return InteriorPointOracle(program) if oracle == "interior-point" else HighsOracle(program)


def by_highs(program: TwoStage, effort: Effort) -> Solution:
    """The whole program in HiGHS: the continuous one for prices and a bound, then whole systems."""
    started = time.perf_counter()
    relaxed = solve_program(monolith(program, whole=False))
    if relaxed.status is not Status.OPTIMAL:
        return _failed(relaxed.status, program)
    x = relaxed.x[: program.layout.count]
    dual = prices(program, relaxed.row_dual, relaxed.column_dual)
    best = Solution(Status.OPTIMAL, x, relaxed.objective, relaxed.objective, dual, "highs", 0.0)
    if program.integer.any():
        best = _whole(program, relaxed, best, effort)
    return dataclasses.replace(best, seconds=time.perf_counter() - started)


def _failed(status: Status, program: TwoStage) -> Solution:
    nothing = np.zeros(program.layout.count)
    return Solution(status, nothing, -np.inf, np.inf, None, "highs", 0.0)


def _whole(program: TwoStage, relaxed: Answer, best: Solution, effort: Effort) -> Solution:
    """Round in the box around the continuous optimum, then search everywhere from there."""
    full = monolith(program, whole=True)
    low = np.where(full.integer, np.floor(relaxed.x + ROUNDING_TOLERANCE), full.lower)
    high = np.where(full.integer, np.ceil(relaxed.x - ROUNDING_TOLERANCE), full.upper)
    box = dataclasses.replace(full, lower=np.minimum(low, high), upper=high)
    deadline = time.perf_counter() + effort.seconds
    first = min(deadline, time.perf_counter() + effort.seconds / 4)
    rounded = _branch(box, BOX_GAP * effort.gap, effort, first, None)
    found = len(rounded.x) > 0 and np.isfinite(rounded.objective)
    upper = rounded.objective if found else np.inf
    effort.watcher(Progress("whole systems", 1, best.lower, upper, rounded.seconds))
    if program.gap(best.lower, upper) <= effort.gap:
        x = rounded.x[: program.layout.count]
        return dataclasses.replace(best, x=_rounded(program, x), upper=upper)
    answer = _branch(full, effort.gap, effort, deadline, rounded.x if found else None)
    if answer.status in (Status.INFEASIBLE, Status.FAILED) or not np.isfinite(answer.objective):
        return _failed(answer.status, program)
    x = _rounded(program, answer.x[: program.layout.count])
    lower = max(best.lower, answer.bound)
    return dataclasses.replace(best, status=answer.status, x=x, lower=lower, upper=answer.objective)


def _branch(
    program: LinearProgram, gap: float, effort: Effort, deadline: float, start: np.ndarray | None
) -> Answer:
    left = max(deadline - time.perf_counter(), 0.0)
    model = highs_model(program, mip_rel_gap=gap, time_limit=left)
    return run_from(model, start, effort.stop)


def _rounded(program: TwoStage, x: np.ndarray) -> np.ndarray:
    return np.where(program.integer, np.round(x), x)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C asks the solver to stop with the best plan so far; a second one interrupts."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
