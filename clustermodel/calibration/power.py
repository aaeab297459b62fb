"""Which power coefficients an accelerator and a chassis get, and how well they are known."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp

from clustermodel import specs
from clustermodel.catalog import Catalog, ConfigError, Entry, Written
from clustermodel.physics.chassis import SUPPLY_LOADS, memory_power
from clustermodel.physics.clocks import Clocks
from clustermodel.physics.power import BoardPower

_SUPPLY_PERCENTS = tuple(round(100 * load) for load in SUPPLY_LOADS)
Basis = Literal["fitted", "transferred", "prior"]


@dataclasses.dataclass(frozen=True)
class BoardModel:
    """Board coefficients, what they rest on, and the relative error that nine of ten unseen points keep."""

    coefficients: BoardPower
    basis: Basis
    spread: float
    spread_of: str  # what that error was measured on
    provenance: Mapping[str, Written]


def _tables(catalog: Catalog) -> dict[str, Any]:
    for folder in catalog.folders:
        path = folder / "calibration" / "power.toml"
        if path.exists():
            return catalog.table(path)
    raise ConfigError("calibration/power.toml: not in any configs folder; reinstall clustermodel")


def fitted_tables(catalog: Catalog) -> dict[str, Any]:
    """The tables of power.toml that hold coefficients fitted on measured rows."""
    return {name: table for name, table in _tables(catalog).items() if "accelerators" in table}


def assumed(catalog: Catalog, name: str, unit: str) -> dict[str, float]:
    """What power.toml assumes, by task, where measured rows are silent."""
    return {task: written_number(row, unit) for task, row in _tables(catalog)["assumed"][name].items()}


def written_number(row: Mapping[str, Any], unit: str) -> float:
    """One number of power.toml in SI."""
    return Written(**row).si(unit)


def _numbers(table: Mapping[str, Any], kind: type[eqx.Module]) -> dict[str, Written]:
    return {name: Written(**table[name]) for name in specs.fields(kind)}


def _scaled(numbers: Mapping[str, Written], factor: float) -> BoardPower:
    """Coefficients with every power multiplied by `factor`; the weights of the utilisations have no unit."""
    units = {name: field.metadata["unit"] for name, field in specs.fields(BoardPower).items()}
    values = {name: number.si(units[name]) for name, number in numbers.items()}
    scaled = {name: value * (factor if units[name] else 1.0) for name, value in values.items()}
    return BoardPower(**{name: jnp.asarray(value) for name, value in scaled.items()})


def board_model(catalog: Catalog, accelerator: str, generation: str, tdp: float) -> BoardModel:
    """Board-power coefficients of an accelerator, by its slug.

    Fitted on the accelerator itself; else borrowed from the fitted one of its generation, powers scaled with
    TDP; else the prior, whose powers are in units of TDP. `tdp` in W.
    """
    tables = _tables(catalog)
    fitted = fitted_tables(catalog).values()
    for table in fitted:
        if accelerator in table["accelerators"]:
            return _board(table, 1.0, "fitted", table["spread"])
    for table in fitted:
        if generation.lower() == table["generation"]:
            factor = tdp / written_number(table["tdp"], "W")
            return _board(table, factor, "transferred", tables["transfer"]["spread"])
    return _board(tables["prior"], tdp, "prior", tables["prior"]["spread"])


def _board(table: Mapping[str, Any], factor: float, basis: Basis, spread: Mapping[str, Any]) -> BoardModel:
    numbers = _numbers(table, BoardPower)
    return BoardModel(_scaled(numbers, factor), basis, written_number(spread, ""), spread["note"], numbers)


def board_coefficients(catalog: Catalog, accelerator: str, generation: str, tdp: float) -> BoardPower:
    """The coefficients of `board_model` alone, ready for `physics.power.board_power`."""
    return board_model(catalog, accelerator, generation, tdp).coefficients


def clocks(catalog: Catalog) -> Clocks:
    """How boards answer to their compute clock; one estimate for all kinds."""
    table = _tables(catalog)["clocks"]
    return Clocks(**{name: jnp.asarray(written_number(table[name], "")) for name in specs.fields(Clocks)})


def planning(catalog: Catalog) -> tuple[float, float]:
    """P90 over mean power of a fleet, and the reserve kept above it."""
    table = _tables(catalog)["planning"]
    return written_number(table["peak_to_mean"], ""), written_number(table["reserve"], "")


def described(catalog: Catalog, system: Entry[specs.System]) -> Entry[specs.System]:
    """The same system with a chassis: its own, or one derived from its inlet power and marked as such.

    Without a `[chassis]` table the fixed power is what is left of the typical inlet power (else of the
    maximum times `sustained`, else of boards and memory times 1 + `overhead`) when every board runs at its TDP.
    """
    if float(system.spec.chassis.accelerators) > 0:
        return system
    row = {key: Written(**value) for key, value in _tables(catalog)["fallback_chassis"].items()}
    spec, efficiency = system.spec, row["efficiency"].si("")
    memory = memory_power(spec.accelerator.memory, jnp.zeros_like(spec.accelerator.memory.bandwidth))
    inside = float(spec.count * (spec.accelerator.tdp + memory))
    inlet, basis = _inlet(spec, inside, row)
    fixed = max(inlet * efficiency - inside, 0.0)
    curve = {f"psu_efficiency_{load}": jnp.asarray(efficiency) for load in _SUPPLY_PERCENTS}
    chassis = specs.Chassis(accelerators=spec.count, fixed_power=jnp.asarray(fixed), **curve)
    note = f"no chassis is described; derived from {basis}"
    fallback = Written(f"{fixed:.0f} W", row["overhead"].source, "estimate", note=note)
    return dataclasses.replace(
        system,
        spec=eqx.tree_at(lambda s: s.chassis, spec, chassis),
        provenance={**system.provenance, "chassis.fixed_power": fallback},
    )


def _inlet(spec: specs.System, inside: float, row: Mapping[str, Written]) -> tuple[float, str]:
    if float(spec.typical_power) > 0:
        return float(spec.typical_power), "the system's typical inlet power"
    if float(spec.max_power) > 0:
        return float(spec.max_power) * row["sustained"].si(""), "the system's largest inlet power"
    return inside * (1 + row["overhead"].si("")), "the median overhead of described chassis"
