"""The command's answer: a problem by name or folder, solved, as one object with its inputs and sources."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.catalog import Catalog, ConfigError, InfeasibleError, did_you_mean, load_catalog
from clustermodel.fleet import near
from clustermodel.fleet.change import with_overall, with_policy, without_fractions
from clustermodel.fleet.folder import Folder, Given
from clustermodel.fleet.from_catalog import catalog_numbers, in_use
from clustermodel.fleet.load import find, problem_of
from clustermodel.fleet.plan import Plan
from clustermodel.fleet.planner import Options, plan
from clustermodel.fleet.problem import FleetProblem, LimitKind
from clustermodel.fleet.replan import replan
from clustermodel.fleet.sweep import sweep
from clustermodel.fleet.uncertain import worth_of_planning

GUESSES = ("estimate", "assumption")
MOST_ROWS = 200
"""Rows of an input table that an answer repeats; of longer ones it gives the number of rows."""
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is asked for otherwise than the folder says; None leaves it alone.

    budget: USD over the horizon; power: W in every period; omega, alpha: risk preference; relaxed: fractions
    of systems are allowed; power_basis: what counts against power, `provisioned` or `p90`.
    """

    budget: float | None = None
    power: float | None = None
    omega: float | None = None
    alpha: float | None = None
    relaxed: bool = False
    power_basis: str | None = None

    def settings(self, written: Record) -> Record:
        """The settings of a folder with these changes."""
        return written | ({"power_basis": self.power_basis} if self.power_basis else {})

    def apply(self, problem: FleetProblem) -> FleetProblem:
        """The problem with these changes."""
        for kind in ("budget", "power"):
            if (value := getattr(self, kind)) is not None:
                problem = with_overall(problem, kind, value)
        risk = {name: getattr(self, name) for name in ("omega", "alpha") if getattr(self, name) is not None}
        problem = with_policy(problem, **risk)
        return without_fractions(problem, False) if self.relaxed else problem


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A problem as it was asked for, and where its numbers come from."""

    folder: Folder
    catalog: Catalog
    changes: Changes
    problem: FleetProblem

    def solve(self, options: Options) -> Plan:
        """Its best plan."""
        return plan(self.problem, options)


def case(name: Path | str, catalog: Catalog | None = None, changes: Changes | None = None) -> Case:
    """Read a problem by name or folder and change it; throughput is computed anew where `--set` was given."""
    catalog, changes = catalog or load_catalog(), changes or Changes()
    folder = find(name, catalog)
    folder = dataclasses.replace(folder, settings=changes.settings(folder.settings))
    _refuse_unused(folder, catalog)
    problem = problem_of(folder, catalog, anew=bool(catalog.overrides))
    return Case(folder, catalog, changes, changes.apply(problem))


def _refuse_unused(folder: Folder, catalog: Catalog) -> None:
    """A number set in an entry that the problem does not name would change nothing."""
    if not catalog.overrides:
        return
    named = in_use(folder.tables, str(folder.settings["terms"]), catalog)
    for override in catalog.overrides:
        kind = override.kind
        used = named.get(kind.folder, ())
        if not used or (override.name and catalog.slug(kind.folder, override.name) not in used):
            known = f"its {kind.folder} are {', '.join(used)}" if used else f"it uses no {kind.folder}"
            raise ConfigError(f"{override}: changes nothing in {folder.path.name}; {known} of the catalogue")


def answer(asked: Case, options: Options) -> tuple[Record, Plan]:
    """The fields of the design's `fleet` object, and the plan that they are taken from."""
    made, settings = asked.solve(options), asked.folder.settings
    found = {
        "problem": asked.folder.path.name,
        "question": settings["question"] or settings["name"],
        "status": made.solution.status.name.lower(),
        "unit": made.unit,
        "objective": made.objective,
        "lower_bound": made.lower_bound,
        "upper_bound": made.upper_bound,
        "gap": made.gap,
        "solver": made.solution.solver,
        "seconds": made.solution.seconds,
        "shape": asked.problem.shape,
        "totals": totals(made),
        "purchases": _records(acquired(made)),
        "retirements": _records(made.retirements),
        "unmet": _records(made.unmet),
        "power": _records(made.power),
        "shadow_prices": _records(made.shadow_prices),
    }
    return found | grounds(asked) | {"inputs": inputs(asked, options)}, made


@dataclasses.dataclass(frozen=True)
class Beyond:
    """What is asked for besides the best plan.

    near: other fleets within this share of its cost; sweep: other limits of a kind; uncertainty: what planning
    for scenarios is worth; replan: planning every period while this scenario comes true.
    """

    near: float | None = None
    sweep: LimitKind | None = None
    uncertainty: bool = False
    replan: str | None = None

    def answer(self, made: Plan, options: Options) -> Record:
        """The tables asked for, by name; `left_out` are those that Ctrl-C or the problem prevents, with the reason."""
        found: Record = {}
        left_out: list[Record] = []
        for name, table in self._asked(made, options):
            try:
                found[name] = table()
            except KeyboardInterrupt:
                left_out.append({"table": name, "reason": "interrupted"})
            except InfeasibleError as error:
                left_out.append({"table": name, "reason": str(error)})
        return found | ({"left_out": left_out} if left_out else {})

    def _asked(self, made: Plan, options: Options) -> Iterator[tuple[str, Callable[[], Any]]]:
        slack, kind, scenario = self.near, self.sweep, self.replan
        if slack is not None:
            yield "near_optimal", lambda: _records(near.table(made, near.near_optimal(made, slack)))
        if kind is not None:
            yield "sweep", lambda: _records(sweep(made.problem, kind, options=options))
        if self.uncertainty:
            yield "uncertainty", lambda: _worth(made, options)
        if scenario is not None:
            actual = _scenario(made.problem, scenario)
            yield "replanned", lambda: _records(replan(made.problem, actual, options).table())


def _worth(made: Plan, options: Options) -> Record:
    worth = worth_of_planning(made, options)
    return dataclasses.asdict(worth) | {"vss": worth.vss, "evpi": worth.evpi}


def _scenario(problem: FleetProblem, name: str) -> np.ndarray:
    known = problem.demand.scenarios
    if name not in known:
        raise ConfigError(
            f"no scenario named {name!r}{did_you_mean(name, known)}; {', '.join(known[:6])} ..."
        )
    return problem.demand.work[known.index(name)]


def totals(made: Plan) -> Record:
    """The plan in a few numbers: money undiscounted, work expected over scenarios."""
    cash, unmet, power = made.cash_flow, made.unmet, made.power
    asked = float(unmet["demand"].sum())
    return {
        "capex_usd": float(cash["capex_usd"].sum()),
        "running_usd": float(cash[["standing_usd", "running_usd"]].to_numpy().sum()),
        "rent_usd": float(cash[["take_or_pay_usd", "reserved_use_usd", "on_demand_usd"]].to_numpy().sum()),
        "peak_power_mw": float(power["draw_mw"].max()) if len(power) else None,
        "demand": asked,
        "served_share": 1 - float(unmet["unmet"].sum()) / asked if asked > 0 else None,
    }


def acquired(made: Plan) -> pd.DataFrame:
    """What is bought and what is reserved, in one table."""
    bought = made.purchases.assign(contract="owned")
    booked = made.reservations.rename(columns={"due_usd": "spend_usd"}).assign(contract="reserved")
    columns = ["period", "site", "system", "contract", "systems", "outlay_usd", "usd_per_hour", "spend_usd"]
    return pd.concat([frame for frame in (bought, booked) if len(frame)] or [bought]).reindex(columns=columns)


def _records(frame: pd.DataFrame) -> list[Record]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.to_numpy(dtype=object)]


def inputs(asked: Case, options: Options) -> Record:
    """Every value used: the options, the settings and the tables of the folder."""
    tables = {
        name: _records(frame) if len(frame) <= MOST_ROWS else f"{len(frame)} rows"
        for name, frame in asked.folder.tables.items()
    }
    how = {"method": options.method, "oracle": options.oracle, "mip_gap": options.gap}
    changed = dataclasses.asdict(asked.changes) | how | {"time_limit": options.seconds}
    return {**changed, "settings": asked.folder.settings, "tables": tables}


def grounds(asked: Case) -> Record:
    """The guesses among the numbers with their ranges, and the sources of all of them."""
    numbers = list(_numbers(asked))
    used = Counter(number.source for _, _, number in numbers if number.source)
    rows = [
        {"key": key, "used": times} | {k: str(v) for k, v in asked.catalog.sources.get(key, {}).items()}
        for key, times in used.most_common()
    ]
    guesses = [
        {"entry": entry, "field": field} | dataclasses.asdict(number)
        for entry, field, number in numbers
        if number.confidence in GUESSES and number.value is not None
    ]
    return {"assumptions": guesses, "sources": rows}


def _numbers(asked: Case) -> Iterator[Given]:
    yield from asked.folder.numbers
    yield from catalog_numbers(asked.folder.tables, str(asked.folder.settings["terms"]), asked.catalog)
