"""How far a measurement may lie from its prediction, by what the fit has seen of the question.

Quantiles of log(measured / predicted) on rows left out of the fit (`cross_validation`), so that eight of ten new
measurements lie inside. A combination that was measured has a spread of its own, shrunk towards that of its class;
software known to be immature, and hardware whose generation nobody measured, have wider ranges.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustermodel.calibration.effects import CoefficientTable, Level
from clustermodel.catalog import Catalog, ConfigError

FILE = "cross_validation.toml"
SETTINGS = "serving_fit.toml"
LEVELS = (0.1, 0.9)
METRICS = ("tpot_ms", "ttft_ms", "output_tok_s_per_accelerator")
CLASSES = {"curve": "seen", "triple": "pair", "model": "model", "system": "system"}
"""What was left out -> what the fit has seen of such a question: all of it, the model on this engine on other
systems, the system with other models, or neither the system nor anything like it."""
MODE = "aggregated"
_PRIOR_ROWS = 10  # rows by which the spread of a combination is shrunk towards that of its class


class Interval(NamedTuple):
    """Measured over predicted: the 10 % and the 90 % quantile."""

    low: float
    high: float


class Cell(NamedTuple):
    """Quantiles of the log error over its spread, for one class, maturity and metric."""

    low: float
    high: float
    spreads: Mapping[str, float]  # by combination; 1 for every other one
    usual: float = 1.0  # spread of a combination without rows

    def interval(self, combination: str) -> Interval:
        """The range for one combination of system, model and engine."""
        spread = self.spreads.get(combination, self.usual)
        return Interval(float(np.exp(self.low * spread)), float(np.exp(self.high * spread)))


Key = tuple[str, bool, str]
"""Class, whether software is immature, metric."""


def combination(system: str, model: str, engine: str) -> str:
    """The name of a combination in the file."""
    return f"{system} {model} {engine}"


def immature_names(catalog: Catalog) -> dict[str, frozenset[str]]:
    """Systems and models whose software was in its first weeks when it was measured."""
    rules = [rule for rule in _file(catalog, SETTINGS)["weight"] if rule.get("immature")]
    return {kind: frozenset(rule[kind] for rule in rules if kind in rule) for kind in ("system", "model")}


def familiarity(table: CoefficientTable, level: Level) -> str:
    """The class of a question: what of it was measured."""
    systems = {system for system, _, _ in table.measured}
    if table.seen(level):
        return "seen"
    if level.system not in systems:
        return "system"
    pairs = {(model, engine) for _, model, engine in table.measured}
    return "pair" if (level.model, level.engine) in pairs else "model"


def fitted_cells(lines: pd.DataFrame, immature: Mapping[str, frozenset[str]]) -> dict[Key, Cell]:
    """Cells from aggregated, unflagged rows left out, of every class, maturity and metric that occur."""
    kept = lines[lines["mode"].eq(MODE) & lines["flagged"].eq(0) & lines["metric"].isin(METRICS)]
    young = is_immature(kept, immature)
    found = {}
    for (split, early, metric), part in kept.groupby(["split", young, "metric"]):
        found[CLASSES[str(split)], bool(early), str(metric)] = cell(part, split == "curve")
    return found


def is_immature(lines: pd.DataFrame, immature: Mapping[str, frozenset[str]]) -> pd.Series:
    """Whether the software behind each row was in its first weeks."""
    return pd.Series(lines["system"].isin(immature["system"]) | lines["model"].isin(immature["model"]))


def cell(part: pd.DataFrame, own_spread: bool) -> Cell:
    """Quantiles of one cell's log errors; over the spread of each combination where it has one of its own."""
    error = pd.Series(np.log(part["measured"] / part["predicted"]), part.index)
    if not own_spread:
        low, high = np.quantile(error, LEVELS)
        return Cell(float(low), float(high), {})
    size, names = error.abs(), combinations(part)
    usual, groups = float(size.mean()), size.groupby(names)
    spread = (_PRIOR_ROWS * usual + groups.sum()) / (_PRIOR_ROWS + groups.size())
    low, high = np.quantile(error / names.map(spread), LEVELS)
    spreads = {str(name): float(own) for name, own in spread.items()}
    return Cell(float(low), float(high), spreads, usual)


def combinations(lines: pd.DataFrame) -> pd.Series:
    """The combination of each row."""
    return lines["system"] + " " + lines["model"] + " " + lines["engine"]


def inside(lines: pd.DataFrame, cells: Mapping[Key, Cell], young: pd.Series) -> NDArray[np.bool_]:
    """Whether each measurement lies in the range that the cells give its prediction."""
    ratio, names = (lines["measured"] / lines["predicted"]).to_numpy(), combinations(lines)
    keys = zip(lines["split"].map(CLASSES), young, lines["metric"], strict=True)
    ranges = [cells[key].interval(name) for key, name in zip(keys, names, strict=True)]
    low, high = np.array(ranges).reshape(-1, 2).T
    return (ratio >= low) & (ratio <= high)


def shipped(catalog: Catalog) -> Mapping[str, Any]:
    """The result of the cross-validation that ships, or that of a user's folder."""
    return _file(catalog, FILE)


def load_cells(catalog: Catalog) -> dict[Key, Cell]:
    """The cells that ship, or those of a user's folder."""
    rows: Iterable[Mapping[str, Any]] = shipped(catalog)["interval"]
    return {
        (row["class"], row["immature"], row["metric"]): Cell(
            float(row["low"]), float(row["high"]), row.get("spread", {}), float(row.get("usual", 1.0))
        )
        for row in rows
    }


def load_intervals(catalog: Catalog, seen: bool) -> dict[str, Interval]:
    """The usual ranges by metric where everything was measured, or where the model was not."""
    cells = load_cells(catalog)
    return {metric: cells["seen" if seen else "model", False, metric].interval("") for metric in METRICS}


def intervals(
    catalog: Catalog, table: CoefficientTable, level: Level, effects: str = "full"
) -> dict[str, Interval]:
    """Measured over predicted by metric, for a question about (model, engine, system).

    Without effects everything is predicted as if its model had never been measured. A model and a system that
    are both new have the wider of the two ranges.
    """
    cells, names = load_cells(catalog), immature_names(catalog)
    kind = familiarity(table, level)
    classes = {"model" if kind in ("seen", "pair") and effects != "full" else kind}
    if kind == "system" and level.model not in {model for _, model, _ in table.measured}:
        classes.add("model")
    young = level.system in names["system"] or level.model in names["model"]
    unheard = kind == "system" and level.generation not in measured_generations(catalog, table)
    name = combination(level.system, level.model, level.engine)
    return {
        metric: _widest([cells[each, young or unheard, metric].interval(name) for each in classes])
        for metric in METRICS
    }


def measured_generations(catalog: Catalog, table: CoefficientTable) -> set[str]:
    """Generations of hardware that engines were measured on."""
    from clustermodel.calibration.deployments import generation

    known = {system for system, _, _ in table.measured} & catalog.paths("systems").keys()
    return {generation(catalog.entry("systems", system), catalog) for system in known}


def _widest(ranges: list[Interval]) -> Interval:
    return Interval(min(each.low for each in ranges), max(each.high for each in ranges))


def _file(catalog: Catalog, name: str) -> Mapping[str, Any]:
    for folder in catalog.folders:
        if (folder / "calibration" / name).exists():
            return catalog.table(folder / "calibration" / name)
    raise ConfigError(f"calibration/{name}: not in any configs folder; reinstall clustermodel")
