"""Planning again every period: the past stays, the future is forecast anew, and regret is what not knowing cost."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from clustermodel.catalog import InfeasibleError
from clustermodel.fleet.benders import Effort
from clustermodel.fleet.outcome import Outcome
from clustermodel.fleet.planner import Options, undisturbed
from clustermodel.fleet.problem import Demand, FleetProblem
from clustermodel.fleet.solve import solved
from clustermodel.fleet.two_stage import TwoStage, two_stage

Forecast = Callable[[FleetProblem, np.ndarray, int], Demand]
"""The demand believed in at the start of a period, from the problem and the actual [period, block, workload]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Replanned:
    """One actual future, lived through in three ways: planning every period, once, and with foresight."""

    rolled: Outcome
    planned_once: Outcome
    foreseen: Outcome

    @property
    def regret(self) -> float:
        """What planning every period cost over perfect foresight, in the unit of the objective."""
        return self.rolled.objective - self.foreseen.objective

    @property
    def worth(self) -> float:
        """What planning again saved over keeping the first plan."""
        return self.planned_once.objective - self.rolled.objective

    def table(self) -> pd.DataFrame:
        """Cost and systems ordered in every period."""
        named = {"every period": self.rolled, "once": self.planned_once, "with foresight": self.foreseen}
        periods = self.rolled.problem.horizon.periods
        rows = [
            {
                "planned": name,
                "objective": each.objective,
                "over_foresight": each.objective - self.foreseen.objective,
                **dict(zip(periods, each.decision("buy").sum(axis=1), strict=True)),
            }
            for name, each in named.items()
        ]
        return pd.DataFrame(rows)


def persistent(problem: FleetProblem, actual: np.ndarray, period: int) -> Demand:
    """The scenarios, moved: demand seen so far is certain, later demand deviates as the last one seen did."""
    believed = problem.demand
    mean = np.tensordot(believed.probability, believed.work, axes=1)
    seen = period - 1
    ratio = 1.0 if period == 0 else actual[seen] / np.where(mean[seen] > 0, mean[seen], 1)
    work = believed.work * ratio
    work[:, :period] = actual[:period]
    return Demand(believed.scenarios, believed.probability, work)


def replan(
    problem: FleetProblem,
    actual: np.ndarray,
    options: Options | None = None,
    forecast: Forecast = persistent,
) -> Replanned:
    """Roll through an actual demand [period, block, workload], deciding each period with what is known then.

    Orders, reservations and retirements of past periods are fixed; those of the present one are kept.
    """
    options = options or Options()
    truth = dataclasses.replace(problem, demand=Demand(("actual",), np.ones(1), actual[None]))
    program = two_stage(truth)
    first = x = _decided(problem, np.zeros(program.layout.count), 0, options)
    for period in range(1, problem.shape["periods"]):
        believed = dataclasses.replace(problem, demand=forecast(problem, actual, period))
        x = _decided(believed, x, period, options)
    foreseen = undisturbed(truth, options).solution.x
    return Replanned(*(Outcome(truth, program, each) for each in (x, first, foreseen)))


def _decided(problem: FleetProblem, past: np.ndarray, period: int, options: Options) -> np.ndarray:
    """The best decisions where those before `period` are as they were."""
    program = two_stage(problem)
    fixed = _before(program, period)
    held = np.clip(past, program.lower, program.upper)
    program = dataclasses.replace(
        program, lower=np.where(fixed, held, program.lower), upper=np.where(fixed, held, program.upper)
    )
    solution = solved(program, options.method, options.oracle, Effort(options.gap, options.seconds))
    if not np.isfinite(solution.upper):
        name = problem.horizon.periods[period]
        raise InfeasibleError(
            f"no plan from {name} on keeps what was decided before: {solution.status.value}"
        )
    return solution.x


def _before(program: TwoStage, period: int) -> np.ndarray:
    """Which decisions lie before a period; how carbon is shared out is never one of them."""
    layout, past = program.layout, np.zeros(program.layout.count, bool)
    past[layout.buy[:period]] = past[layout.reserve[:period]] = True
    past[layout.retire] = layout.retire_period < period
    return past
