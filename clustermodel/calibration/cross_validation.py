"""Errors on rows that the fit has not seen: a model, a hardware or whole load curves left out.

    python -m clustermodel.calibration.cross_validation

refits the shared values without each model and each system in turn, and the effects without every fifth load
curve, and reports the errors on what was left out, with the coverage of 80 % intervals made from the others.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustermodel.calibration.fit import Fitted, fit
from clustermodel.calibration.hierarchy import Problem, Solution, solve
from clustermodel.catalog import Catalog, load_catalog

FOLDS = 5
LEVELS = (0.1, 0.9)
_ITERATIONS = 15  # a refit starts from the solution on all rows
_SEED = 0
_CURVE = [
    "model",
    "system",
    "engine",
    "version",
    "precision",
    "tp",
    "pp",
    "dp",
    "ep",
    "isl",
    "osl",
    "scenario",
]


def rows_of(problem: Problem) -> pd.DataFrame:
    """The rows of all targets, in the order of the errors."""
    parts = [each.rows.assign(target=number) for number, each in enumerate(problem.targets)]
    return pd.concat(parts, ignore_index=True)


def left_out(problem: Problem, solution: Solution, parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors of every row (predicted / measured - 1) by a fit that has not seen its part."""
    brief = dataclasses.replace(problem, method=problem.method._replace(iterations=_ITERATIONS))
    errors = np.full(len(parts), np.nan)
    for part in np.unique(parts):
        mine = parts == part
        errors[mine] = solve(brief, ~mine, solution.shifts).errors[mine]
    return errors


def by_name(rows: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """One part for each value of a column."""
    return pd.factorize(rows[name])[0]


def by_curve(rows: pd.DataFrame) -> NDArray[np.int64]:
    """`FOLDS` parts of whole load curves: rows that differ in concurrency alone stay together."""
    curves = rows.groupby(_CURVE, dropna=False).ngroup().to_numpy()
    shuffled = np.random.default_rng(_SEED).permutation(curves.max() + 1)
    return shuffled[curves] % FOLDS


def coverage(errors: NDArray[np.float64], parts: NDArray[np.int64]) -> float:
    """Share of each part's rows inside the 10 % and 90 % quantiles of measured / predicted of all other parts."""
    ratio, inside = 1 / (1 + errors), np.zeros(len(errors), dtype=bool)
    for part in np.unique(parts):
        mine = parts == part
        low, high = np.quantile(ratio[~mine], LEVELS)
        inside[mine] = (ratio[mine] >= low) & (ratio[mine] <= high)
    return float(inside.mean())


def cross_validate(catalog: Catalog, fitted: Fitted | None = None) -> list[dict[str, Any]]:
    """Median and 90th percentile of |error| in per cent on what was left out, by what, stage and source."""
    fitted = fitted or fit(catalog)
    shared, effects = fitted.stages["shared"], fitted.stages["effects"]
    splits = [
        ("model", *shared, by_name(rows_of(shared[0]), "model")),
        ("system", *shared, by_name(rows_of(shared[0]), "system")),
        ("curve", *effects, by_curve(rows_of(effects[0]))),
    ]
    found = []
    for name, problem, solution, parts in splits:
        found += _scores(name, rows_of(problem), left_out(problem, solution, parts), parts)
    return found


def _scores(
    name: str, rows: pd.DataFrame, errors: NDArray[np.float64], parts: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """One score for each source and target that has enough rows to have percentiles."""
    found = []
    for (source, target), part in rows.groupby(["source", "target"], sort=False):  # pyright: ignore
        index = part.index.to_numpy()
        error = errors[index]
        size = np.abs(error) * 100
        row = {"left_out": name, "source": source, "target": target, "n": len(index)}
        row |= {"median_abs_pct": float(np.median(size)), "p90_abs_pct": float(np.quantile(size, 0.9))}
        row["bias_pct"] = float(np.median(error) * 100)
        several = len(np.unique(parts[index])) > 1
        row["coverage_80"] = coverage(error, parts[index]) if several else float("nan")
        found.append(row)
    return found


def main() -> None:
    """Command line of the cross-validation."""
    jax.config.update("jax_enable_x64", True)
    print(pd.DataFrame(cross_validate(load_catalog())).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
