"""From raw tables to a `FleetProblem`; every name and number is checked, all mistakes are told at once."""

import dataclasses
from typing import Any, cast

import numpy as np
import pandas as pd

from clustermodel.catalog import Catalog, ConfigError, did_you_mean
from clustermodel.fleet.build_assets import assets, order_tiers
from clustermodel.fleet.build_rental import contract_tiers, rental
from clustermodel.fleet.build_service import demand, service
from clustermodel.fleet.frames import tidied, with_defaults
from clustermodel.fleet.from_catalog import filled, planning_power
from clustermodel.fleet.keys import repeated
from clustermodel.fleet.ladders import contract_ladders, extended, order_ladders
from clustermodel.fleet.limits import limits
from clustermodel.fleet.mistakes import mistakes
from clustermodel.fleet.naming import Tables, pairs
from clustermodel.fleet.problem import FleetProblem, Horizon, Policy
from clustermodel.fleet.schema import REQUIRED, SETTINGS, TABLES
from clustermodel.units import SECONDS_PER_YEAR

DEFAULT_SITE = "site"


def build(
    settings: dict[str, Any], raw: dict[str, pd.DataFrame], catalog: Catalog | None = None
) -> FleetProblem:
    """A problem from raw tables (see `schema.TABLES`) and settings (see `schema.SETTINGS`).

    Args:
        settings: values in SI.
        raw: tables as texts or numbers; numbers are SI where a header has no unit.
        catalog: where entries named in the tables are looked up; the shipped one if it is needed and not given.

    Raises `ConfigError` with every mistake found.
    """
    written = as_written({key: rule.default for key, rule in SETTINGS.items()} | settings, raw)
    tables = completed(filled(written, catalog))
    horizon, places = _horizon(tables), pairs(tables)
    contracts, orders = contract_ladders(tables), order_ladders(tables, places)
    _refuse(tables)
    both = extended(places, (*contracts, *orders))
    planned = planning_power(tables, both, catalog)
    served = service(tables, horizon, both, planned)
    asked = demand(tables, horizon, served.workloads)
    rented = rental(tables, both, contracts, float(asked.work.sum(axis=-1).max(initial=0.0)))
    owned = assets(tables, both, orders, planned)
    parts = (owned, served, rented)
    limited = limits(tables.frames["constraints"], horizon.periods, both.names(tables), tables.problems)
    _refuse(tables)
    tiers = (*order_tiers(tables, both, orders, owned), *contract_tiers(tables, both, contracts))
    _refuse(tables)
    made = FleetProblem(horizon, *parts, asked, limited, _policy(tables), tiers)
    tables.problems.extend(mistakes(made))
    _refuse(tables)
    return made


def tidy(settings: dict[str, Any], raw: dict[str, pd.DataFrame]) -> Tables:
    """Every table of the schema, checked, in SI, with its defaults; those not given are empty."""
    return completed(as_written(settings, raw))


def completed(tables: Tables) -> Tables:
    """The tables with the schema's defaults for what nobody has written."""
    frames = {name: with_defaults(name, frame) for name, frame in tables.frames.items()}
    return dataclasses.replace(tables, frames=frames)


def as_written(settings: dict[str, Any], raw: dict[str, pd.DataFrame]) -> Tables:
    """Every table of the schema, checked, in SI; NaN stands for numbers that are not written."""
    problems, frames = [], {}
    for name in REQUIRED:
        if name not in raw:
            problems.append(f"{name}: missing; a fleet needs {', '.join(REQUIRED)}")
    for name in raw.keys() - TABLES.keys():
        problems.append(f"{name}: not a table of a fleet{did_you_mean(name, TABLES)}")
    work = str(settings["work_unit"])
    for name, schema in TABLES.items():
        kinds = {column: object if rule.unit is None else float for column, rule in schema.items()}
        empty = pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in kinds.items()})
        frames[name], wrong = tidied(name, raw.get(name, empty), work)
        problems.extend(f"{name}: {problem}" for problem in (*wrong, *repeated(name, frames[name])))
    if frames["sites"].empty:
        default = {column: rule.default for column, rule in TABLES["sites"].items()}
        frames["sites"] = pd.DataFrame([default | {"site": DEFAULT_SITE}])
    tables = Tables(settings, frames, problems)
    if not tables.periods or tables.length <= 0:
        problems.append("periods: a plan needs at least one, of positive length")
    _refuse(tables)
    return tables


def _refuse(tables: Tables) -> None:
    if tables.problems:
        raise ConfigError("\n  ".join(["the fleet problem has mistakes:", *dict.fromkeys(tables.problems)]))


def _horizon(tables: Tables) -> Horizon:
    settings, count = tables.settings, len(tables.periods)
    years = tables.length / SECONDS_PER_YEAR
    annual = float(settings["discount_rate"]) * SECONDS_PER_YEAR
    blocks = settings["blocks"] or [{"name": "all", "share": 1.0}]
    return Horizon(
        periods=tables.periods,
        blocks=tuple(str(block["name"]) for block in blocks),
        seconds=np.full(count, tables.length),
        discount=(1 + annual) ** (-years * np.arange(count)),
        last_discount=(1 + annual) ** (-years * count),
        share=np.array([float(block["share"]) for block in blocks]),
    )


def _policy(tables: Tables) -> Policy:
    chosen = tables.settings
    return Policy(
        objective=cast(Any, chosen["objective"]),
        omega=float(chosen["omega"]),
        alpha=float(chosen["alpha"]),
        whole_systems=bool(chosen["whole_systems"]),
        whole_reservations=bool(chosen["whole_reservations"]),
        early_retirement=bool(chosen["early_retirement"]),
        unit=str(chosen["unit"]),
        work_unit=str(chosen["work_unit"]),
    )
