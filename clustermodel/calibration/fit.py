"""Fit the coefficients of the serving model to the measured rows that ship with the package.

    python -m clustermodel.calibration.fit --out serving.toml

repeats the fit as configs/calibration/serving_fit.toml describes it: shared values first, on all rows; then, with
those frozen, effects of engine maturity, model and version, shrunk by their priors; then the same for TTFT.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from clustermodel.calibration.deployments import connected, levels
from clustermodel.calibration.effects import NAMES, CoefficientTable, Group, Shared, load_table, written
from clustermodel.calibration.hierarchy import Method, Problem, Solution, Term, membership, solve
from clustermodel.calibration.observations import flags, read_observations
from clustermodel.calibration.targets import Target, target
from clustermodel.calibration.validate import READERS, answerable
from clustermodel.catalog import Catalog, load_catalog

SETTINGS = "serving_fit.toml"
_GROUP = ["model", "system", "engine", "precision"]


@dataclasses.dataclass(frozen=True)
class Training:
    """Rows to learn from and what they measured; it is built once, and fitted as often as one likes."""

    catalog: Catalog
    how: Mapping[str, Any]
    rows: pd.DataFrame
    targets: Mapping[str, Target]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """The table after all stages, and how each stage came out."""

    table: CoefficientTable
    stages: dict[str, tuple[Problem, Solution]]


def settings(catalog: Catalog) -> Mapping[str, Any]:
    """How to fit: configs/calibration/serving_fit.toml."""
    files = [folder / "calibration" / SETTINGS for folder in catalog.folders]
    return catalog.table(next((file for file in files if file.exists()), files[-1]))


def fit_rows(catalog: Catalog) -> pd.DataFrame:
    """Rows of the shipped table that can teach something: sound, answerable, laid out, known not to speculate.

    Where one pool does everything, most tables do not say `none` when they do not speculate; for pools, whose
    recipes exist in both forms, the word must be there.
    """
    rows, _ = answerable(read_observations(catalog, None, READERS))
    listed = flags(catalog)
    excluded = rows["id"].isin(listed.loc[listed["use"].eq("exclude"), "id"])
    broken = rows["flag"].eq("gpu_flag broken")
    speculative = rows["speculation"].str.startswith("mtp")
    laid_out = rows["tp"].notna() & ((rows["disaggregated"] <= 0) | stated_pools(rows))
    mlperf = rows["scenario"].str.startswith("mlperf")
    kept = rows[laid_out & ~excluded & ~broken & ~speculative & ~mlperf]
    return kept[connected(catalog, kept)]


def stated_pools(rows: pd.DataFrame) -> pd.Series:
    """Disaggregated rows whose pools are stated and which are known not to speculate."""
    return (rows["layout_assumed"] <= 0) & rows["speculation"].str.startswith("none")


def row_weights(rows: pd.DataFrame, how: Mapping[str, Any], weighted: bool) -> np.ndarray:
    """Groups of like rows weigh alike; some software does not set the shared values."""
    size = rows.groupby(_GROUP)["id"].transform("size").to_numpy(float)
    weight = np.sqrt(how["method"]["rows_per_group"] / size)
    if not weighted:
        return weight
    for rule in how["weight"]:
        column = next(name for name in rule if name not in ("weight", "reason", "immature"))
        weight = np.where(rows[column].eq(rule[column]), weight * rule["weight"], weight)
    return np.where(rows["layout_assumed"] > 0, 0.0, weight)


def stage_terms(
    stage: Mapping[str, Any], row_groups: Sequence[Mapping[str, Group]], how: Mapping[str, Any]
) -> tuple[Term, ...]:
    """Unknowns of a stage: one for each shared coefficient, one for each effect and group that occurs.

    Effects on software that is marked immature have wider priors.
    """
    young = {
        rule[kind]
        for rule in how["weight"]
        if rule.get("immature")
        for kind in rule.keys() & {"system", "model"}
    }
    wider = float(how["method"]["immature_deviation"])
    terms = [Term(name, (), float(stage["deviation"])) for row in stage["shared"] for name in row["names"]]
    for effect in stage["effects"]:
        for kind, deviation in effect.items():
            if kind != "name":
                groups = sorted({groups[kind] for groups in row_groups})
                widths = (deviation * (wider if young & set(group) else 1.0) for group in groups)
                terms += [Term(effect["name"], *each) for each in zip(groups, widths, strict=True)]
    return tuple(terms)


def stage_problem(training: Training, table: CoefficientTable, stage: Mapping[str, Any]) -> Problem:
    """The least-squares problem of one stage, which starts from `table` and the centres of its priors."""
    how, targets = training.how, [training.targets[name] for name in stage["targets"]]
    rows = pd.concat([each.rows for each in targets])
    row_levels = levels(training.catalog, rows)
    start = np.stack([table.links(level) for level in row_levels])
    for row in stage["shared"]:
        for name in row["names"]:
            start[:, NAMES.index(name)] += row["centre"] - table.shared[name].value
    weights = np.concatenate([row_weights(each.rows, how, stage["rows"] == "weighted") for each in targets])
    mine = rows["system"].isin(stage.get("systems", rows["system"])).to_numpy()
    terms = stage_terms(stage, [level.groups for level in itertools.compress(row_levels, mine)], how)
    numbers = how["method"]
    method = Method(
        stage["huber"], stage["sigma"], numbers["worst_step"], numbers["iterations"], numbers["tolerance"]
    )
    return Problem(tuple(targets), terms, start, membership(terms, row_levels), weights * mine, method)


def updated(table: CoefficientTable, stage: Mapping[str, Any], solution: Solution) -> CoefficientTable:
    """The table with what a stage found: shared values replaced, effects added to those it started from."""
    centres = {name: row["centre"] for row in stage["shared"] for name in row["names"]}
    shared, effects = dict(table.shared), {group: dict(shifts) for group, shifts in table.effects.items()}
    found = zip(solution.terms, solution.shifts, solution.deviations, strict=True)
    for term, shift, deviation in found:
        if not term.group:
            shared[term.name] = Shared(centres[term.name] + float(shift), float(deviation))
        else:
            mine = effects.setdefault(term.group, {})
            mine[term.name] = mine.get(term.name, 0.0) + float(shift)
    return dataclasses.replace(table, shared=shared, effects=effects)


def training(catalog: Catalog) -> Training:
    """The shipped rows, and their predictions as functions of the coefficients."""
    how, rows = settings(catalog), fit_rows(catalog)
    names = dict.fromkeys(name for stage in how["stage"] for name in stage["targets"])
    return Training(catalog, how, rows, {name: target(catalog, rows, name) for name in names})


def triples(rows: pd.DataFrame) -> frozenset[tuple[str, str, str]]:
    """Every (system, model, engine) that occurs."""
    return frozenset(map(tuple, rows[["system", "model", "engine"]].drop_duplicates().to_numpy()))


def fit(data: Training, kept: pd.Series | None = None, near: Fitted | None = None) -> Fitted:
    """Run all stages, on the rows that `kept` says (by index; all without it); `near` is where to start."""
    shipped = load_table(data.catalog)
    measured = read_observations(data.catalog, None, READERS) if kept is None else data.rows[kept]
    table = dataclasses.replace(shipped, effects={}, measured=triples(measured), title=data.how["title"])
    stages = {}
    for stage in data.how["stage"]:
        problem = stage_problem(data, table, stage)
        index = np.concatenate([each.rows.index for each in problem.targets])
        start = near.stages[stage["name"]][1].shifts if near else None
        solution = solve(problem, None if kept is None else kept[index].to_numpy(), start)
        table = updated(table, stage, solution)
        stages[stage["name"]] = (problem, solution)
    return Fitted(table, stages)


def report(fitted: Fitted) -> str:
    """Median and 90th percentile of the error that each stage leaves, by target, in per cent."""
    lines = []
    for name, (problem, solution) in fitted.stages.items():
        ends = np.cumsum([len(each.measured) for each in problem.targets])[:-1]
        for each, part in zip(problem.targets, np.split(solution.errors, ends), strict=True):
            size = np.abs(part) * 100
            sources = each.rows["source"].to_numpy()
            for source in dict.fromkeys(sources):
                mine = size[sources == source]
                lines.append(
                    f"{name:14s} {source:28s} n {len(mine):5d}  "
                    f"median {np.median(mine):5.1f} %  p90 {np.quantile(mine, 0.9):5.1f} %"
                )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the fit."""
    parser = argparse.ArgumentParser(prog="python -m clustermodel.calibration.fit", description=__doc__)
    parser.add_argument(
        "--out", type=Path, help="where to write the coefficients (TOML); default: only report"
    )
    parser.add_argument("--configs", type=Path, action="append", default=[], help="own configs folder")
    asked = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    fitted = fit(training(load_catalog(asked.configs)))
    print(report(fitted))
    if asked.out:
        notes = {"title": fitted.table.title, "source": "configs/measurements/serving.csv"}
        asked.out.write_text(written(fitted.table, notes), encoding="utf-8")


if __name__ == "__main__":
    main()
