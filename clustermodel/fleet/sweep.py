"""What a plan would cost under tighter and looser limits: the efficient frontier with its marginal values."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.fleet.change import scaled
from clustermodel.fleet.limits import STOCKS
from clustermodel.fleet.plan import Plan
from clustermodel.fleet.planner import Options, undisturbed
from clustermodel.fleet.problem import FleetProblem, Limit, LimitKind
from clustermodel.fleet.shadow import SHOWN, slope
from clustermodel.units import unit_scale

SHARE = "share"
FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
COLUMNS = [
    "factor", "amount", "unit", "objective", "lower_bound", "gap", "worth_of_1_percent", "capex_usd", "systems",
    "served_share", "reason",
]  # fmt: skip


def sweep(
    problem: FleetProblem,
    kind: LimitKind,
    factors: Sequence[float] = FACTORS,
    options: Options | None = None,
) -> pd.DataFrame:
    """The best plan for every limit of a kind times each factor; a row without a plan says why.

    `amount` is the sum of the limits in `unit`; of what holds at a time, as power, the sum in the period with most;
    of shares the largest. `worth_of_1_percent` is the fall of the objective for one more hundredth of the limits,
    from the shadow prices: the slope of the frontier, in the unit of the objective.
    """
    amount, unit = _amount([limit for limit in problem.limits if limit.kind == kind], kind)
    finite = kind == "supply" and bool(
        np.any(np.isfinite(problem.assets.supply) & (problem.assets.supply > 0))
    )
    if not amount and not finite:
        raise ConfigError(f"the problem has no limit of kind {kind}; there is nothing to sweep")
    rows = [_row(problem, kind, float(factor), options) for factor in factors]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(amount=frame["factor"] * (amount or np.nan), unit=unit)


def _amount(limits: Sequence[Limit], kind: LimitKind) -> tuple[float, str]:
    """How much the limits of a kind allow together, and in which unit."""
    unit = "MW" if kind == "power" else SHARE if kind == "vendor_share" else SHOWN.get(kind, "system")
    scale = 1.0 if unit in ("system", SHARE) else unit_scale(unit)[0]
    if kind == "vendor_share":
        return max((limit.value for limit in limits), default=0.0), unit
    periods = dict.fromkeys(limit.period for limit in limits)
    sums = [sum(limit.value for limit in limits if limit.period == period) for period in periods]
    return (max(sums, default=0.0) if kind in STOCKS else sum(sums)) / scale, unit


def _row(problem: FleetProblem, kind: LimitKind, factor: float, options: Options | None) -> dict[str, object]:
    try:
        made = undisturbed(scaled(problem, kind, factor), options)
    except InfeasibleError as error:
        return {"factor": factor, "reason": str(error)}
    return {"factor": factor, **dict(_figures(made, kind))}


def _figures(made: Plan, kind: LimitKind) -> Iterator[tuple[str, float]]:
    asked = float(made.unmet["demand"].sum())
    yield "objective", made.objective
    yield "lower_bound", made.lower_bound
    yield "gap", made.gap
    assert made.solution.prices is not None
    yield "worth_of_1_percent", slope(made.problem, made.program, made.solution.prices, kind) / 100
    yield "capex_usd", float(made.cash_flow["capex_usd"].sum())
    yield "systems", float(made.purchases["systems"].sum())
    yield "served_share", 1 - float(made.unmet["unmet"].sum()) / asked if asked > 0 else 1.0
