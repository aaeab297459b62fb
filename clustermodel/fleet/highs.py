"""Linear programs as sparse arrays, and HiGHS to solve them."""

import dataclasses
import enum
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

INFINITY = highspy.kHighsInf
CHOICE_TOLERANCE = 1e-9
MISSTATED = 1e-6
"""Relative difference between an objective and the point that comes with it, beyond which it is another's."""
Model = Any
"""A `highspy.Highs`; its stubs leave out methods that it has."""
_STATUS = highspy.HighsModelStatus


class Status(enum.Enum):
    """How a solve ended, as a sentence."""

    OPTIMAL = "optimal within the gap"
    TIME_LIMIT = "time limit reached"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "no plan meets all limits"
    UNBOUNDED = "cost can fall without limit"
    FAILED = "the solver found no answer"


_MEANING = {
    _STATUS.kOptimal: Status.OPTIMAL,
    _STATUS.kTimeLimit: Status.TIME_LIMIT,
    _STATUS.kObjectiveTarget: Status.OPTIMAL,
    _STATUS.kInterrupt: Status.INTERRUPTED,
    _STATUS.kInfeasible: Status.INFEASIBLE,
    _STATUS.kUnbounded: Status.UNBOUNDED,
    _STATUS.kUnboundedOrInfeasible: Status.INFEASIBLE,
}


@dataclasses.dataclass(frozen=True, eq=False)
class LinearProgram:
    """min cost.x subject to row_lower <= matrix x <= row_upper, lower <= x <= upper, some x integer.

    Gaps are relative to cost.x + constant; answers leave the constant out.
    """

    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    matrix: sp.csc_matrix
    row_lower: np.ndarray
    row_upper: np.ndarray
    integer: np.ndarray
    constant: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """What HiGHS says about a linear program; `bound` is the proven lower bound of the objective."""

    status: Status
    objective: float
    bound: float
    x: np.ndarray
    row_dual: np.ndarray
    column_dual: np.ndarray
    seconds: float


def highs_model(program: LinearProgram, **options: Any) -> Model:
    """A HiGHS instance that holds `program`, ready to be changed and run again."""
    model = _silent()
    for name, value in options.items():
        model.setOptionValue(name, value)
    lp: Any = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = len(program.row_lower), len(program.cost)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, _finite(program.lower), _finite(program.upper)
    lp.offset_ = program.constant
    lp.row_lower_, lp.row_upper_ = _finite(program.row_lower), _finite(program.row_upper)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = program.matrix.indptr, program.matrix.indices
    lp.a_matrix_.value_ = program.matrix.data
    if program.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(whole)] for whole in program.integer]
        if np.any(program.integer & (program.upper == 1)):
            exact_choices(model)
    model.passModel(lp)
    return model


def exact_choices(model: Model) -> None:
    """A 0/1 decision that opens millions of systems may not be a millionth."""
    model.setOptionValue("mip_feasibility_tolerance", CHOICE_TOLERANCE)


def _silent() -> Model:
    _swallow_banner()
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    return model


@functools.cache
def _swallow_banner() -> None:
    """HiGHS writes a banner to standard output when first used; standard output is for answers."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    highspy.Highs()
    os.dup2(kept, 1)
    os.close(kept)
    os.close(nowhere)


def run(model: Model, stop: Callable[[], bool] | None = None) -> Answer:
    """Run HiGHS as it stands; branch and bound asks `stop` now and then whether to give up."""
    started = time.perf_counter()
    ask = lambda event: event.interrupt() if stop is not None and stop() else None
    if stop is not None:
        model.cbMipInterrupt.subscribe(ask)
    model.run()
    if stop is not None:
        model.cbMipInterrupt.unsubscribe(ask)
    info, solution = model.getInfo(), model.getSolution()
    constant = model.getObjectiveOffset()[1]
    bound = info.mip_dual_bound if info.mip_node_count >= 0 else info.objective_function_value
    return Answer(
        status=_MEANING.get(model.getModelStatus(), Status.FAILED),
        objective=info.objective_function_value - constant,
        bound=bound - constant,
        x=np.array(solution.col_value),
        row_dual=np.array(solution.row_dual),
        column_dual=np.array(solution.col_dual),
        seconds=time.perf_counter() - started,
    )


def solve(program: LinearProgram, stop: Callable[[], bool] | None = None, **options: Any) -> Answer:
    """Solve once: simplex where everything is continuous, branch and bound otherwise."""
    options.setdefault("solver", "choose" if program.integer.any() else "simplex")
    return run(highs_model(program, **options), stop)


def run_from(model: Model, start: np.ndarray | None, stop: Callable[[], bool] | None) -> Answer:
    """Branch and bound that knows a feasible point; anew without it where HiGHS hands the point back as the best."""
    if start is None:
        return run(model, stop)
    known = highspy.HighsSolution()
    known.col_value = start.tolist()
    model.setSolution(known)
    answer = run(model, stop)
    if len(answer.x) == 0 or not np.isfinite(answer.objective):
        return answer
    value = float(np.array(model.getLp().col_cost_) @ answer.x)
    if abs(value - answer.objective) <= MISSTATED * max(1.0, abs(value)):
        return answer
    model.clearSolver()
    return run(model, stop)


def _finite(bounds: np.ndarray) -> np.ndarray:
    return np.clip(bounds, -INFINITY, INFINITY)
