"""What uncertainty costs: the value of planning for it, of knowing, and what a plan costs in futures it has not seen.

[J. Birge, F. Louveaux: Introduction to Stochastic Programming, 2nd ed., Springer 2011, chapter 4]
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustermodel.catalog import ConfigError
from clustermodel.fleet.outcome import Outcome
from clustermodel.fleet.plan import Plan
from clustermodel.fleet.planner import Options, undisturbed
from clustermodel.fleet.problem import Demand, FleetProblem
from clustermodel.fleet.risk import risk_cost, tail_weights
from clustermodel.fleet.two_stage import two_stage

NORMAL_95 = 1.96
"""Two-sided 95 % quantile of the normal distribution."""


@dataclasses.dataclass(frozen=True)
class Worth:
    """Costs of three ways to plan, in the unit of the objective, the problem's risk preference applied to each.

    planned: for all scenarios; for_the_mean: for the mean demand, then living with the scenarios;
    foreseen: for each scenario as if it were known.
    """

    planned: float
    for_the_mean: float
    foreseen: float

    @property
    def vss(self) -> float:
        """Value of the stochastic solution: what planning for the mean alone would cost more."""
        return self.for_the_mean - self.planned

    @property
    def evpi(self) -> float:
        """Expected value of perfect information: what knowing the future would save."""
        return self.planned - self.foreseen


def worth_of_planning(best: Plan, options: Options | None = None) -> Worth:
    """VSS and EVPI of a plan; every scenario is solved once by itself."""
    problem = best.problem
    if problem.shape["scenarios"] < 2:
        raise ConfigError("the problem has one scenario, so nothing is uncertain; give it scenarios.csv")
    mean = np.tensordot(problem.demand.probability, problem.demand.work, axes=1)
    hopeful = undisturbed(_certain(problem, mean), options)
    alone = [undisturbed(_certain(problem, work), options).objective for work in problem.demand.work]
    policy, chance = problem.policy, problem.demand.probability
    foreseen = risk_cost(np.array(alone), chance, policy.omega, policy.alpha)
    return Worth(best.objective, in_futures(hopeful, problem.demand).objective, foreseen)


def _certain(problem: FleetProblem, work: np.ndarray) -> FleetProblem:
    return dataclasses.replace(problem, demand=Demand(("known",), np.ones(1), work[None]))


def in_futures(made: Plan, demand: Demand) -> Outcome:
    """The fleet of a plan in other futures than those it was planned for."""
    problem = dataclasses.replace(made.problem, demand=demand)
    return Outcome(problem, two_stage(problem), made.solution.x)


def out_of_sample(made: Plan, demand: Demand) -> dict[str, float]:
    """Cost of a plan's fleet in fresh equally likely futures: mean with its 95 % interval, CVaR and worst."""
    losses = in_futures(made, demand).losses
    mean, error = losses.mean(), losses.std(ddof=1) / np.sqrt(len(losses))
    tail = tail_weights(losses, np.full(len(losses), 1 / len(losses)), made.problem.policy.alpha)
    return {
        "scenarios": float(len(losses)),
        "mean": float(mean),
        "low": float(mean - NORMAL_95 * error),
        "high": float(mean + NORMAL_95 * error),
        "cvar": float(tail @ losses),
        "worst": float(losses.max()),
    }


def compared(fleets: Mapping[str, Plan | Outcome], demand: Demand) -> pd.DataFrame:
    """Given fleets side by side in the same futures: mean, CVaR, worst case and largest regret.

    The regret in a future is the cost over that of the cheapest of the fleets there.
    """
    outcomes = {name: each.outcome if isinstance(each, Plan) else each for name, each in fleets.items()}
    there = {}
    for name, each in outcomes.items():
        problem = dataclasses.replace(each.problem, demand=demand)
        there[name] = Outcome(problem, two_stage(problem), each.x).losses
    losses, chance = np.stack(list(there.values())), demand.probability
    alpha = next(iter(outcomes.values())).problem.policy.alpha
    regret = losses - losses.min(axis=0)
    return pd.DataFrame(
        {
            "fleet": list(there),
            "mean": losses @ chance,
            "cvar": [tail_weights(loss, chance, alpha) @ loss for loss in losses],
            "worst": losses.max(axis=1),
            "best_in": ((regret <= 0) @ chance),
            "mean_regret": regret @ chance,
            "max_regret": regret.max(axis=1),
        }
    )
