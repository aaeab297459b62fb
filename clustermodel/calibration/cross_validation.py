"""Errors on rows that the fit has not seen: a model, a system, a combination or whole load curves left out.

    python -m clustermodel.calibration.cross_validation

repeats the whole fit without each part in turn and writes configs/calibration/cross_validation.toml: errors on
what was left out with their standard errors, the ranges that answers carry, and how many measurements they hold.
"""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustermodel.calibration.fit import Fitted, Training, fit, training
from clustermodel.calibration.intervals import (
    FILE,
    METRICS,
    MODE,
    Cell,
    Key,
    fitted_cells,
    immature_names,
    inside,
    is_immature,
    shipped,
)
from clustermodel.calibration.left_out import CURVE, left_out, parts_by
from clustermodel.calibration.peers import beside_peer, peer_predictions
from clustermodel.calibration.scores import beside
from clustermodel.catalog import CONFIGS, Catalog, load_catalog

SPLITS: dict[str, tuple[tuple[str, ...], int | None]] = {
    "curve": (CURVE, 5),
    "triple": (("system", "model", "engine"), 6),
    "model": (("model",), None),
    "system": (("system",), None),
}
"""What is left out -> what stays together, and in how many parts (None: one for each value)."""
MODES = {MODE: METRICS, "disaggregated": ("tpot_ms",), "offline": ("output_tok_s_per_accelerator",)}
LEAST_ROWS = 20
"""Fewer rows of a source make no percentile."""
_DRAWS = 100  # bootstrap samples of load curves
_SEED = 0

Progress = Callable[[str], None]


def held_out(data: Training, fitted: Fitted, progress: Progress = lambda _: None) -> pd.DataFrame:
    """Every row of the training table predicted by fits that have not seen its part, once for each split."""
    found = []
    for name, (columns, most) in SPLITS.items():
        parts = parts_by(data.rows, columns, most)
        tables = left_out(data.catalog, data.rows, parts, lambda kept: fit(data, kept, fitted).table)
        for number, (lines, _) in enumerate(tables, 1):
            progress(f"left out: {name} {number} of {parts.nunique()}")
            found.append(lines.assign(split=name))
    lines = pd.concat(found, ignore_index=True)
    rows = data.rows.loc[lines["row"]]
    curve = rows.groupby(list(CURVE), dropna=False).ngroup().to_numpy()
    return beside_peer(lines, peer_predictions(data.catalog)).assign(curve=curve)


def errors(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Median and 90th percentile of |error| (%) by what was left out, mode, source and metric, with standard errors.

    A standard error is the spread over bootstrap samples of whole load curves, whose rows err alike. Where a peer
    answers enough of the rows, its errors stand beside ours on those.
    """
    found = []
    scored = lines[[m in MODES.get(mode, ()) for mode, m in zip(lines["mode"], lines["metric"], strict=True)]]
    scored = scored[scored["flagged"] == 0]
    everything = scored.assign(source="all")
    for keys, part in pd.concat([everything, scored]).groupby(["split", "mode", "source", "metric"]):
        if len(part) >= LEAST_ROWS:
            error = (part["predicted"] / part["measured"] - 1).to_numpy() * 100
            named = dict(zip(("left_out", "mode", "source", "metric"), map(str, keys), strict=True))
            found.append({**named, "n": len(part), **_percentiles(error, part["curve"].to_numpy())})
            both = beside(part)
            found[-1] |= both if both["peer_n"] >= LEAST_ROWS else {}
    return found


def _percentiles(error: NDArray[np.float64], curve: NDArray[np.int64]) -> dict[str, float]:
    def both(sample: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.quantile(np.abs(sample), (0.5, 0.9))

    curves = [error[curve == each] for each in np.unique(curve)]
    draws = np.random.default_rng(_SEED).integers(len(curves), size=(_DRAWS, len(curves)))
    spread = np.std([both(np.concatenate([curves[each] for each in draw])) for draw in draws], axis=0)
    (median, p90), bias = both(error), float(np.median(error))
    return {
        "median_abs_pct": float(median),
        "median_se": float(spread[0]),
        "p90_abs_pct": float(p90),
        "p90_se": float(spread[1]),
        "bias_pct": bias,
    }


def coverage(lines: pd.DataFrame, immature: Mapping[str, frozenset[str]]) -> list[dict[str, Any]]:
    """Share of the measurements inside 80 % ranges made from the other parts, by class, source and metric."""
    kept = lines[lines["mode"].eq(MODE) & lines["flagged"].eq(0) & lines["metric"].isin(METRICS)]
    kept = kept.reset_index(drop=True)
    young, held = is_immature(kept, immature), np.zeros(len(kept), dtype=bool)
    for _, mine in kept.groupby(["split", "part"]):
        others = kept[kept["split"].eq(mine["split"].iloc[0]) & kept["part"].ne(mine["part"].iloc[0])]
        held[mine.index] = inside(mine, _complete(fitted_cells(others, immature)), young[mine.index])
    found = []
    for keys, part in pd.concat([kept.assign(source="all"), kept]).groupby(["split", "source", "metric"]):
        if len(part) >= LEAST_ROWS:
            named = dict(zip(("left_out", "source", "metric"), map(str, keys), strict=True))
            found.append({**named, "n": len(part), "coverage": float(held[part.index].mean())})
    return found


def _complete(cells: dict[Key, Cell]) -> dict[Key, Cell]:
    """The cells, and where immature software has too few rows of its own the others' in their place."""
    return {(kind, True, metric): cell for (kind, _, metric), cell in cells.items()} | cells


def cross_validate(catalog: Catalog, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Errors, ranges and their coverage by refits without each part; minutes."""
    progress("fit on all rows")
    data = training(catalog)
    lines, immature = held_out(data, fit(data), progress), immature_names(catalog)
    return {
        "date": datetime.date.today().isoformat(),
        "errors": errors(lines),
        "coverage": coverage(lines, immature),
        "cells": _complete(fitted_cells(lines, immature)),
    }


def written(found: Mapping[str, Any]) -> str:
    """The result as TOML."""
    text = [
        'title = "Errors and 80 % ranges on rows left out of the fit"',
        'source = "configs/measurements/serving.csv"',
        f'date = "{found["date"]}"',
    ]
    for table in ("errors", "coverage"):
        for row in found[table]:
            text += ["", f"[[{table}]]", *(f"{name} = {_value(value)}" for name, value in row.items())]
    for (kind, young, metric), cell in sorted(found["cells"].items()):
        text += [
            "",
            "[[interval]]",
            f'class = "{kind}"',
            f"immature = {_value(young)}",
            f'metric = "{metric}"',
        ]
        text += [f"{name} = {_value(getattr(cell, name))}" for name in ("low", "high", "usual")]
        if cell.spreads:
            text += ["[interval.spread]", *(f'"{name}" = {_value(s)}' for name, s in cell.spreads.items())]
    return "\n".join(text) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:.4g}"


def stored(catalog: Catalog) -> dict[str, Any]:
    """Errors and coverage as they ship, with the date of the run."""
    table = shipped(catalog)
    return {name: table[name] for name in ("date", "errors", "coverage")}


def main(progress: Progress = print, path: Path = CONFIGS / "calibration" / FILE) -> None:
    """Cross-validate the shipped table and write the file."""
    jax.config.update("jax_enable_x64", True)
    found = cross_validate(load_catalog(), progress)
    path.write_text(written(found), encoding="utf-8")
    print(pd.DataFrame(found["errors"]).round(2).to_string(index=False))
    print(pd.DataFrame(found["coverage"]).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
