"""A plan: what to order, reserve and retire, how it is used, what it costs, and how good it is, proven."""

import dataclasses
import importlib.util
import os
import tempfile
from functools import cached_property
from pathlib import Path

import pandas as pd

from clustermodel.fleet import tables
from clustermodel.fleet.operation import Operation
from clustermodel.fleet.outcome import Outcome
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.shadow import marginal_costs, objective_unit, shadow_prices
from clustermodel.fleet.solution import Solution, relative_gap
from clustermodel.fleet.statistics import by_scenario, statistics
from clustermodel.fleet.two_stage import TwoStage

TABLES = (
    "purchases", "reservations", "retirements", "dispatch", "cash_flow", "power", "unmet", "scenarios",
    "shadow_prices", "marginal_costs",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """The best fleet found for a problem, with its certificate.

    Money is in USD of present value unless a column says otherwise; quantities over scenarios are expected values.
    """

    problem: FleetProblem
    program: TwoStage
    solution: Solution

    @cached_property
    def outcome(self) -> Outcome:
        """The fleet and what becomes of it."""
        return Outcome(self.problem, self.program, self.solution.x)

    @property
    def operation(self) -> Operation:
        """How the fleet is used in every scenario."""
        return self.outcome.operation

    @property
    def objective(self) -> float:
        """Cost of this plan, from dispatches that meet every limit; minus the value where it earns."""
        return self.outcome.objective

    @property
    def upper_bound(self) -> float:
        """The same as `objective`: the best plan costs no more."""
        return self.objective

    @property
    def lower_bound(self) -> float:
        """No plan whatever costs less."""
        proven = (self.solution.lower + self.program.constant) * self.program.scale.money
        return min(proven, self.objective)

    @property
    def gap(self) -> float:
        """(upper - lower) / max(|upper|, 1e-9)."""
        return relative_gap(self.lower_bound, self.upper_bound)

    @property
    def unit(self) -> str:
        """Unit of the objective and its bounds."""
        return objective_unit(self.problem)

    @cached_property
    def purchases(self) -> pd.DataFrame:
        """Orders with their price and spending."""
        return tables.purchases(self.outcome)

    @cached_property
    def reservations(self) -> pd.DataFrame:
        """Take-or-pay reservations."""
        return tables.reservations(self.outcome)

    @cached_property
    def retirements(self) -> pd.DataFrame:
        """Systems taken out of service early."""
        return tables.retirements(self.outcome)

    @cached_property
    def dispatch(self) -> pd.DataFrame:
        """Expected use of every system for every workload."""
        return tables.dispatch(self.outcome)

    @cached_property
    def cash_flow(self) -> pd.DataFrame:
        """Expected USD by period, costs positive."""
        return tables.cash_flow(self.outcome)

    @cached_property
    def power(self) -> pd.DataFrame:
        """Expected draw of every limited site against its limit."""
        return tables.power(self.outcome)

    @cached_property
    def unmet(self) -> pd.DataFrame:
        """Work asked for and left out."""
        return tables.unmet(self.outcome)

    @cached_property
    def scenarios(self) -> pd.DataFrame:
        """Cost and unmet demand of every scenario."""
        return by_scenario(self.outcome)

    @cached_property
    def shadow_prices(self) -> pd.DataFrame:
        """What one more unit of every limit is worth."""
        assert self.solution.prices is not None  # a plan comes from a solved problem
        return shadow_prices(self.problem, self.program, self.solution.prices)

    @cached_property
    def marginal_costs(self) -> pd.DataFrame:
        """What one more unit of every workload costs."""
        assert self.solution.prices is not None
        return marginal_costs(self.problem, self.program, self.solution.prices)

    def statistics(self, *by: str) -> pd.DataFrame:
        """Sums by `period`, `site`, `system` (any of them), `workload` with or without `period`, or `scenario`."""
        return statistics(self.outcome, by)

    def to_frame(self) -> pd.DataFrame:
        """One row per period, site and system: orders, systems in service, money, work and energy."""
        return self.statistics("period", "site", "system")

    def save(self, folder: Path | str) -> Path:
        """Write every table as CSV, and as Parquet where pyarrow is installed; returns the folder."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        parquet = importlib.util.find_spec("pyarrow") is not None
        for name in TABLES:
            frame: pd.DataFrame = getattr(self, name)
            _replace(target / f"{name}.csv", frame)
            if parquet:
                _replace(target / f"{name}.parquet", frame)
        return target


def _replace(path: Path, frame: pd.DataFrame) -> None:
    """Write beside the file and rename, so that nobody ever sees half a table."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
    os.close(handle)
    if path.suffix == ".parquet":
        frame.to_parquet(temporary, index=False)
    else:
        frame.to_csv(temporary, index=False)
    os.replace(temporary, path)
