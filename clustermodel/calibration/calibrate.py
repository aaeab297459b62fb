"""Coefficients of a user's own deployments, from their measurements, even from a single point.

Every (system, model, engine) of the table gets shifts of its own on top of what ships, shrunk towards it by
priors. How well that works is shown on points that the shifts have not seen.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.calibration.deployments import connected, levels
from clustermodel.calibration.effects import CoefficientTable, Level, load_table, written
from clustermodel.calibration.fit import settings, triples
from clustermodel.calibration.hierarchy import Method, Problem, Solution, Term, membership, solve
from clustermodel.calibration.left_out import POINT, left_out, parts_by
from clustermodel.calibration.observations import read_observations
from clustermodel.calibration.predict import kernel, predict
from clustermodel.calibration.scores import comparisons
from clustermodel.calibration.targets import TARGETS, Target, target
from clustermodel.calibration.validate import READERS, answerable
from clustermodel.catalog import Catalog, ConfigError

KIND = "deployment"
RATE = "closed time"
SCORED = ("tpot_ms", "ttft_ms", "output_tok_s_per_accelerator")
_LEAST_ROOM = 1.0  # sequences


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Targets that are learnt together, and how."""

    targets: tuple[Target, ...]
    deviations: Mapping[str, float]  # of the priors, by coefficient
    sigma: float


@dataclasses.dataclass(frozen=True)
class Points:
    """A user's rows that can be learnt from, the rest by reason, and where learning starts."""

    catalog: Catalog
    rows: pd.DataFrame
    skipped: dict[str, int]
    start: CoefficientTable
    lessons: tuple[Lesson, ...]


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """The moved table, and each measurement beside its predictions: before, after, and by the other points."""

    table: CoefficientTable
    points: pd.DataFrame
    skipped: dict[str, int]
    source: str

    def to_dict(self) -> dict[str, Any]:
        """The answer of `clustermodel calibrate`."""
        return {
            "errors": [
                _errors(name, self.points) for name in SCORED if (self.points["metric"] == name).any()
            ],
            "shifts": list(_shifts(self.table, self.points)),
            "skipped": [{"reason": reason, "n": n} for reason, n in self.skipped.items()],
        }

    def to_toml(self) -> str:
        """A complete calibration for `--calibration`."""
        notes = {"title": f"{self.table.title}, calibrated on {self.source}", "source": self.source}
        return written(self.table, notes)


def calibrate(catalog: Catalog, data: Path) -> Calibrated:
    """Fit the deployments of a user's table on top of the shipped coefficients.

    Raises:
        ConfigError: the table cannot be read, or none of its rows can be learnt from.
    """
    points = own_points(catalog, data)
    rows, most = points.rows, int(settings(catalog)["calibrate"]["parts"])
    table = learnt(points, pd.Series(True, index=rows.index))
    lines, after = (_compared(catalog, rows, each) for each in (points.start, table))
    lines = lines.rename(columns={"predicted": "before"}).assign(after=after["predicted"], left_out=np.nan)
    parts = parts_by(rows, POINT, most)
    if parts.nunique() > 1:
        unseen = left_out(catalog, rows, parts, lambda kept: learnt(points, kept))
        others = pd.concat([part.set_index(["row", "metric"])["predicted"] for part, _ in unseen])
        lines["left_out"] = others.reindex(pd.MultiIndex.from_frame(lines[["row", "metric"]])).to_numpy()
    return Calibrated(table, lines[lines["metric"].isin(SCORED)], points.skipped, data.name)


def _compared(catalog: Catalog, rows: pd.DataFrame, table: CoefficientTable) -> pd.DataFrame:
    seen = pd.Series(True, index=rows.index)
    return comparisons(rows, predict(catalog, rows, "full", table), seen)


def own_points(catalog: Catalog, data: Path) -> Points:
    """The rows of a user's table that state what was run, and are no faster than physics."""
    rows, reasons = answerable(read_observations(catalog, data, READERS))
    engines = catalog.names("engines")
    rows, reasons = _kept(
        rows, reasons, f"engine none of {', '.join(catalog.paths('engines'))}", ~rows["engine"].isin(engines)
    )
    rows = rows.assign(engine=rows["engine"].map(engines))
    rows, reasons = _kept(rows, reasons, "layout not stated (tp)", rows["tp"].isna())
    rows, reasons = _kept(rows, reasons, "flagged", rows["flag"].ne(""))
    if len(rows):
        known = {slug: catalog.entry("models", slug).spec for slug in set(rows["model"].astype(str))}
        heads = rows["model"].map({slug: float(spec.heads) for slug, spec in known.items()})
        rows, reasons = _kept(
            rows, reasons, "tp does not divide the model's query heads", heads % rows["tp"] > 0
        )
    if len(rows):
        rows, reasons = _kept(
            rows, reasons, "no link between the accelerators is known", ~connected(catalog, rows)
        )
    start = load_table(catalog)
    if len(rows):
        rows, reasons = _possible(catalog, rows, reasons, start)
    skipped = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    if rows.empty:
        why = "; ".join(f"{reason} ({n})" for reason, n in skipped.items()) or "the table is empty"
        raise ConfigError(f"{data}: no row to learn from: {why}; mend these columns")
    return Points(catalog, rows, skipped, start, _lessons(catalog, rows))


def _kept(
    rows: pd.DataFrame, reasons: list[str], reason: str, lost: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    return rows[~lost], reasons + [reason] * int(lost.sum())


def _possible(
    catalog: Catalog, rows: pd.DataFrame, reasons: list[str], table: CoefficientTable
) -> tuple[pd.DataFrame, list[str]]:
    """Without rows that hold no weights, have no measurement, or beat the physical bound of their layout."""
    predictions = predict(catalog, rows, "full", table)
    lost = predictions["room"] < _LEAST_ROOM
    rows, reasons = _kept(rows, reasons, "the model does not fit in the layout stated", lost)
    lines = comparisons(rows, predictions[~lost], ~rows["tp"].isna())
    lines = lines[lines["metric"].isin(SCORED)]
    unmeasured = ~rows.index.to_series().isin(lines["row"])
    rows, reasons = _kept(rows, reasons, "no tpot_ms, ttft_ms or output_tok_s_per_accelerator", unmeasured)
    rate = lines["metric"].eq("output_tok_s_per_accelerator")
    faster = np.where(rate, lines["measured"] > lines["bound"], lines["measured"] < lines["bound"])
    beyond = rows.index.to_series().isin(lines["row"][faster])
    words = "faster than the physical bound of its layout: check tp, precision, concurrency, speculation"
    return _kept(rows, reasons, words, beyond)


def _lessons(catalog: Catalog, rows: pd.DataFrame) -> tuple[Lesson, ...]:
    """First everything that tells the pace of tokens, then the first token."""
    how, of_kernel = settings(catalog)["calibrate"], kernel(rows)
    found: dict[str, list[Target]] = {"speed": [], "first_token": []}
    for name, (kind, column, *_) in TARGETS.items():
        mine = (of_kernel == kind) & (rows[column] > 0)
        if name == RATE:  # where TPOT is known too it says the same
            mine &= ~(rows["tpot_ms"] > 0)
        if mine.any():
            found["first_token" if name.endswith("ttft") else "speed"].append(
                target(catalog, rows[mine], name)
            )
    return tuple(
        Lesson(tuple(targets), how[name]["deviations"], how[name]["sigma"])
        for name, targets in found.items()
        if targets
    )


def learnt(points: Points, kept: pd.Series) -> CoefficientTable:
    """The starting table with what the kept rows teach about each deployment."""
    table, how = points.start, settings(points.catalog)
    worst = how["method"]
    for lesson in points.lessons:
        rows = pd.concat([each.rows for each in lesson.targets])
        mask = kept[rows.index].to_numpy()
        if not mask.any():
            continue
        own = [Level(level.model, level.engine, level.system) for level in levels(points.catalog, rows)]
        groups = sorted({level.groups[KIND] for level in own})
        terms = tuple(
            Term(name, group, width) for group in groups for name, width in lesson.deviations.items()
        )
        start = np.stack([table.links(level) for level in own])
        method = Method(
            how["calibrate"]["huber"],
            lesson.sigma,
            worst["worst_step"],
            worst["iterations"],
            worst["tolerance"],
        )
        weights = np.ones(len(rows))
        problem = Problem(lesson.targets, terms, start, membership(terms, own), weights, method)
        table = shifted(table, solve(problem, mask), triples(rows[mask]))
    return table


def shifted(
    table: CoefficientTable, solution: Solution, taught: frozenset[tuple[str, str, str]]
) -> CoefficientTable:
    """The table with the shifts of the deployments that had rows to learn from."""
    effects = {group: dict(shifts) for group, shifts in table.effects.items()}
    for term, shift in zip(solution.terms, solution.shifts, strict=True):
        if term.group[1:] in taught:
            own = effects.setdefault(term.group, {})
            own[term.name] = own.get(term.name, 0.0) + float(shift)
    return dataclasses.replace(table, effects=effects)


def _errors(metric: str, points: pd.DataFrame) -> dict[str, Any]:
    """Median and 90th percentile of |error| (%) before, after and by the other points."""
    mine = points[points["metric"] == metric]
    found: dict[str, Any] = {"metric": metric, "n": len(mine)}
    for when in ("before", "after", "left_out"):
        size = ((mine[when] / mine["measured"] - 1).abs() * 100).dropna()
        found[f"{when}_median_abs_pct"] = float(size.median()) if len(size) else None
        found[f"{when}_p90_abs_pct"] = float(size.quantile(0.9)) if len(size) else None
    return found


def _shifts(table: CoefficientTable, points: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What was learnt about each deployment: shifts of coefficients in link space, the largest first."""
    for names, mine in points.groupby(["system", "model", "engine"]):
        named = dict(zip(("system", "model", "engine"), map(str, names), strict=True))
        own = table.effects.get((KIND, *named.values()), {})
        for coefficient, shift in sorted(own.items(), key=lambda item: -abs(item[1])):
            yield {**named, "points": int(mine["row"].nunique()), "coefficient": coefficient, "shift": shift}
