"""What every solver hands back: decisions, proven bounds and the prices of limits."""

import dataclasses
from collections.abc import Callable

import numpy as np

from clustermodel.fleet.highs import Status


@dataclasses.dataclass(frozen=True, eq=False)
class Prices:
    """Multipliers in scaled money, summed over scenarios with their weights in the objective; all >= 0.

    rows, columns: of the first stage, dual values as HiGHS signs them (<= 0 where an upper limit binds).
    """

    rows: np.ndarray  # [row]
    columns: np.ndarray  # [column] reduced costs
    capacity: np.ndarray  # [slot, asset] of a usable owned system
    reserved: np.ndarray  # [slot, asset] of a reserved system
    on_demand: np.ndarray  # [slot, asset] of one more on-demand system
    resource: np.ndarray  # [slot, resource] of a site's power or a carbon allowance
    work: np.ndarray  # [slot, workload] of demand: the marginal cost of serving it


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """First-stage decisions `x` with their cost `upper` and a proven bound `lower`, in scaled money.

    `prices` belong to the continuous problem: where systems are whole they are those of its relaxation.
    """

    status: Status
    x: np.ndarray
    lower: float
    upper: float
    prices: Prices | None  # None where there is no solution
    solver: str
    seconds: float
    iterations: int = 0

    @property
    def gap(self) -> float:
        """(upper - lower) / |upper|."""
        return relative_gap(self.lower, self.upper)


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a solve stands: bounds in scaled money within solvers, in the objective's unit for watchers outside."""

    phase: str
    iteration: int
    lower: float
    upper: float
    seconds: float


Watcher = Callable[[Progress], None]


def relative_gap(lower: float, upper: float) -> float:
    """(upper - lower) / max(|upper|, 1e-9); infinite while a bound is missing."""
    if not np.isfinite(lower) or not np.isfinite(upper):
        return np.inf
    return max(upper - lower, 0.0) / max(abs(upper), 1e-9)
