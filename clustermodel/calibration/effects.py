"""Coefficients as fitted: shared values, and effects of engine, model and version that add to them in link space."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel.catalog import Catalog, ConfigError, did_you_mean
from clustermodel.physics.coefficients import Coefficients

FILE = "serving.toml"
EFFECTS = ("full", "globals")
LINKS: dict[str, str] = {field.name: field.metadata["link"] for field in dataclasses.fields(Coefficients)}
NAMES = tuple(LINKS)
_LOGIT, _LOG = (np.array([link == kind for link in LINKS.values()]) for kind in ("logit", "log"))


class Level(NamedTuple):
    """What a prediction is about; an empty part has no effect of its own."""

    model: str
    engine: str
    generation: str = ""
    version: str = ""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups whose effects add, from the widest to the narrowest."""
        return (("engine", self.engine), ("model_engine", self.model, self.engine), ("version", *self))


class Shared(NamedTuple):
    """A coefficient for everything that was never measured: its value and standard error in link space."""

    value: float
    error: float


@dataclasses.dataclass(frozen=True)
class CoefficientTable:
    """All fitted numbers: theta = link^-1(shared + engine + model x engine + version)."""

    shared: Mapping[str, Shared]
    effects: Mapping[tuple[str, ...], Mapping[str, float]]
    title: str = ""

    def links(self, level: Level, effects: str = "full") -> NDArray[np.float64]:
        """Link-space values of all coefficients, in the order of `NAMES`; unknown groups add nothing.

        With `effects="globals"` only the engine's own constants add: what is predicted for a model nobody measured.
        """
        groups = level.groups if effects == "full" else level.groups[:1]
        values = np.array([self.shared[name].value for name in NAMES])
        for group in groups:
            for name, shift in self.effects.get(group, {}).items():
                values[NAMES.index(name)] += shift
        return values

    def seen(self, level: Level) -> bool:
        """Whether this model was measured on this engine."""
        return level.groups[1] in self.effects


def natural(links: NDArray[np.float64]) -> Coefficients:
    """Natural values of link-space values whose last axis runs over `NAMES`; leading axes stay."""
    with np.errstate(over="ignore"):
        logistic, exponential = 1 / (1 + np.exp(-links)), np.exp(links)
    values = np.where(_LOGIT, logistic, np.where(_LOG, exponential, links))
    return Coefficients(*(jnp.asarray(column) for column in np.moveaxis(values, -1, 0)))


def check_effects(effects: str) -> None:
    """Raise unless `effects` is a known choice."""
    if effects not in EFFECTS:
        raise ConfigError(f"--effects {effects!r}: write one of {', '.join(EFFECTS)}")


def load_table(catalog: Catalog, path: Path | None = None) -> CoefficientTable:
    """Read the shipped coefficients, or the calibration of a user."""
    folders = [folder / "calibration" / FILE for folder in catalog.folders]
    file = path or next((each for each in folders if each.exists()), folders[-1])
    return _table(catalog.table(file), file.name)


def load_coefficients(
    catalog: Catalog,
    model: str,
    engine: str,
    *,
    generation: str = "",
    version: str = "",
    effects: str = "full",
    path: Path | None = None,
) -> Coefficients:
    """Natural values of all coefficients for a model (slug) on an engine.

    The effect of an engine version counts only where version and hardware generation are given; without them the
    answer is for a mean version.
    """
    check_effects(effects)
    return natural(load_table(catalog, path).links(Level(model, engine, generation, version), effects))


def _table(toml: Mapping[str, Any], file: str) -> CoefficientTable:
    rows = toml.get("shared", {})
    problems = [f"shared.{name}: missing" for name in NAMES if name not in rows]
    problems += [
        f"shared.{name}: no such coefficient{did_you_mean(name, NAMES)}" for name in rows.keys() - LINKS
    ]
    if problems:
        raise ConfigError("\n  ".join([file, *sorted(problems)]))
    shared = {
        name: Shared(*_numbers(rows[name], ("value", "error"), f"{file}: shared.{name}")) for name in NAMES
    }
    effects = dict(_effect(keys, row, file) for keys, row in _groups(toml))
    return CoefficientTable(shared, effects, str(toml.get("title", "")))


def _groups(toml: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for engine, row in toml.get("engine", {}).items():
        yield ("engine", engine), row
    for model, engines in toml.get("model_engine", {}).items():
        for engine, row in engines.items():
            yield ("model_engine", model, engine), row
    for row in toml.get("version", []):
        yield (
            ("version", *(str(row[part]) for part in Level._fields)),
            {name: value for name, value in row.items() if name not in Level._fields},
        )


def _effect(
    group: tuple[str, ...], row: Mapping[str, Any], file: str
) -> tuple[tuple[str, ...], dict[str, float]]:
    where = f"{file}: {'.'.join(group)}"
    for name in row.keys() - LINKS:
        raise ConfigError(f"{where}.{name}: no such coefficient{did_you_mean(name, NAMES)}")
    return group, dict(zip(row, _numbers(row, tuple(row), where), strict=True))


def _numbers(row: Any, keys: tuple[str, ...], where: str) -> list[float]:
    try:
        return [float(row[key]) for key in keys]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{where}: expected numbers for {', '.join(keys)}") from None
