"""Coefficients as fitted: shared values, and effects that add to them in link space."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from clustermodel.catalog import Catalog, ConfigError, did_you_mean
from clustermodel.physics.coefficients import Coefficients

FILE = "serving.toml"
NEGLIGIBLE = 5e-4  # shifts in link space that change nothing visible
EFFECTS = ("full", "globals")
LINKS: dict[str, str] = {field.name: field.metadata["link"] for field in dataclasses.fields(Coefficients)}
NAMES = tuple(LINKS)


Group = tuple[str, ...]
"""The kind of an effect and the names it applies to, e.g. ("model_engine", "gpt-oss-120b", "vllm")."""


class Level(NamedTuple):
    """What a prediction is about; an empty part has no effect of its own."""

    model: str
    engine: str
    system: str = ""
    generation: str = ""
    version: str = ""

    @property
    def groups(self) -> dict[str, Group]:
        """The groups whose effects add, by kind, from the widest to the narrowest."""
        kinds = {
            "engine": (self.engine,),
            "host": (self.engine, self.system),
            "maturity": (self.engine, self.system),
            "model_engine": (self.model, self.engine),
            "version": (self.model, self.engine, self.generation, self.version),
            "deployment": (self.system, self.model, self.engine),
        }
        return {kind: (kind, *names) for kind, names in kinds.items()}


KINDS = tuple(Level("", "").groups)
ALWAYS = ("engine", "host")
"""Effects that count even for a model that was never measured."""


class Shared(NamedTuple):
    """A coefficient for everything that was never measured: its value and standard error in link space."""

    value: float
    error: float


@dataclasses.dataclass(frozen=True)
class CoefficientTable:
    """All fitted numbers: theta = link^-1(shared + effects of every group that applies)."""

    shared: Mapping[str, Shared]
    effects: Mapping[Group, Mapping[str, float]]
    measured: frozenset[tuple[str, str, str]] = frozenset()  # (system, model, engine)
    title: str = ""

    def links(self, level: Level, effects: str = "full") -> NDArray[np.float64]:
        """Link-space values of all coefficients, in the order of `NAMES`; unknown groups add nothing.

        With `effects="globals"`, and for combinations that the fit has not seen, only the constants of engines and
        hosts add, and what a calibration found: effects of models, versions and maturity are fitted as a sum, and
        the parts that are known of a combination left out of the fit miss by 11.9 / 38 % where none misses by
        10.6 / 28 (median / 90 %, TPOT of the largest source, 2026-11-24).
        A calibrated deployment has its version in its own effects.
        """
        values = np.array([self.shared[name].value for name in NAMES])
        groups = dict(level.groups)
        if groups["deployment"] in self.effects:
            del groups["version"]
        counted = (*ALWAYS, "deployment") if effects == "full" else ALWAYS
        known = effects == "full" and self._measured(level)
        for kind, group in groups.items():
            if known or kind in counted:
                for name, shift in self.effects.get(group, {}).items():
                    values[NAMES.index(name)] += shift
        return values

    def seen(self, level: Level) -> bool:
        """Whether this model was measured on this system and engine, by us or by the user who calibrated."""
        return self._measured(level) or level.groups["deployment"] in self.effects

    def _measured(self, level: Level) -> bool:
        """Whether the fit has seen the combination; on any system where none is given."""
        if level.system:
            return (level.system, level.model, level.engine) in self.measured
        return any((model, engine) == level[:2] for _, model, engine in self.measured)


def natural_row(links: Float[Array, "names ..."] | NDArray[np.float64]) -> Coefficients:
    """Natural values of one row of link-space values, in the order of `NAMES`."""
    inverse = {"logit": jax.nn.sigmoid, "log": jnp.exp, "identity": lambda value: value}
    return Coefficients(*(inverse[link](value) for link, value in zip(LINKS.values(), links, strict=True)))


def natural(links: NDArray[np.float64]) -> Coefficients:
    """Natural values of link-space values whose last axis runs over `NAMES`; leading axes stay."""
    columns = np.moveaxis(np.asarray(links, dtype=float), -1, 0)  # jax would compile this for every length
    return jax.tree.map(jnp.asarray, natural_row(columns))


def check_effects(effects: str) -> None:
    """Raise unless `effects` is a known choice."""
    if effects not in EFFECTS:
        raise ConfigError(f"--effects {effects!r}: write one of {', '.join(EFFECTS)}")


Calibration = Path | CoefficientTable | None
"""Coefficients by file, as they are, or (None) those that ship."""


def load_table(catalog: Catalog, calibration: Calibration = None) -> CoefficientTable:
    """Read the shipped coefficients, or the calibration of a user."""
    if isinstance(calibration, CoefficientTable):
        return calibration
    folders = [folder / "calibration" / FILE for folder in catalog.folders]
    file = calibration or next((each for each in folders if each.exists()), folders[-1])
    return _table(catalog.table(file), file.name)


def load_coefficients(
    catalog: Catalog,
    model: str,
    engine: str,
    *,
    system: str = "",
    effects: str = "full",
    path: Path | None = None,
) -> Coefficients:
    """Natural values of all coefficients for a model on an engine (slugs), for a mean version of the engine."""
    check_effects(effects)
    return natural(load_table(catalog, path).links(Level(model, engine, system), effects))


def _table(toml: Mapping[str, Any], file: str) -> CoefficientTable:
    rows = toml.get("shared", {})
    problems = [f"shared.{name}: missing" for name in NAMES if name not in rows]
    problems += [f"shared.{name}: {_unknown(name)}" for name in rows.keys() - LINKS.keys()]
    if problems:
        raise ConfigError("\n  ".join([file, *sorted(problems)]))
    shared = {
        name: Shared(*_numbers(rows[name], ("value", "error"), f"{file}: shared.{name}")) for name in NAMES
    }
    effects = dict(_effect(row, file) for row in toml.get("effect", []))
    measured = frozenset(
        (system, model, engine)
        for system, models in toml.get("measured", {}).items()
        for model, engines in models.items()
        for engine in engines
    )
    return CoefficientTable(shared, effects, measured, str(toml.get("title", "")))


def _unknown(name: str) -> str:
    return f"no such coefficient{did_you_mean(name, NAMES)}"


def _effect(row: Mapping[str, Any], file: str) -> tuple[Group, dict[str, float]]:
    group = tuple(map(str, row.get("group", ())))
    where = f"{file}: effect {' '.join(group)}"
    if not group or group[0] not in KINDS:
        raise ConfigError(f"{where}: group must start with one of {', '.join(KINDS)}")
    shifts = {name: value for name, value in row.items() if name != "group"}
    for name in shifts.keys() - LINKS.keys():
        raise ConfigError(f"{where}: {name}: {_unknown(name)}")
    return group, dict(zip(shifts, _numbers(shifts, tuple(shifts), where), strict=True))


def _numbers(row: Any, keys: tuple[str, ...], where: str) -> list[float]:
    try:
        return [float(row[key]) for key in keys]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{where}: expected numbers for {', '.join(keys)}") from None


def written(table: CoefficientTable, notes: Mapping[str, str]) -> str:
    """The table as TOML; `notes` are top-level words such as title, source and date."""
    lines = [f"{key} = {json.dumps(text)}" for key, text in notes.items()]
    lines += [
        "",
        "# Link space: values are log or logit of what the comment says; effects add to them.",
        "[shared]",
    ]
    links = np.array([table.shared[name].value for name in NAMES])
    readable = natural(links)
    for name in NAMES:
        value, error = table.shared[name]
        plain = f"{LINKS[name]}, {float(getattr(readable, name)):.4g}"
        lines.append(f"{name} = {{ value = {value:.6g}, error = {error:.3g} }}  # {plain}")
    for group, shifts in sorted(table.effects.items(), key=lambda item: (KINDS.index(item[0][0]), item[0])):
        kept = {name: shift for name, shift in shifts.items() if abs(shift) >= NEGLIGIBLE}
        if kept:
            names = ", ".join(f'"{part}"' for part in group)
            lines += ["", "[[effect]]", f"group = [{names}]", *(f"{k} = {v:.4f}" for k, v in kept.items())]
    lines += ["", "[measured]"]
    for system in sorted({each[0] for each in table.measured}):
        engines: dict[str, list[str]] = {}
        for _, model, engine in sorted(each for each in table.measured if each[0] == system):
            engines.setdefault(model, []).append(engine)
        inner = ", ".join(f'"{model}" = {names}'.replace("'", '"') for model, names in engines.items())
        lines.append(f"{system} = {{ {inner} }}")
    return "\n".join(lines) + "\n"
