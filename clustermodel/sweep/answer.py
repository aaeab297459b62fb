"""`frontier --exhaustive`: the frontier of each system over every combination, and the same points as a file."""

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustermodel import __version__
from clustermodel.catalog import Catalog, ConfigError, Entry, InfeasibleError, require_float64
from clustermodel.chain.bulk import DTYPES, cast, check_dtype, numbers
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.provenance import asked_fields
from clustermodel.chain.question import Question, named
from clustermodel.chain.setup import MILLISECONDS
from clustermodel.sweep.infeasible import out_of_reach
from clustermodel.sweep.reduce import Best
from clustermodel.sweep.run import Told, sweep
from clustermodel.sweep.space import Axes, Space, space
from clustermodel.units import MILLION


def exhaustive(
    catalog: Catalog,
    question: Question,
    systems: Sequence[str | Entry[Any]],
    axes: Axes,
    *,
    told: Told = lambda done, size: None,
    dtype: str = DTYPES[0],
) -> dict[str, Any]:
    """Non-dominated points of each system over every combination of layouts, loads, formats and prices.

    In float32 it is quicker, and of points whose prices differ by less than its error either may be kept; what is
    kept is computed in float64 either way.

    Raises:
        ConfigError: a name, an option or an axis is wrong.
        InfeasibleError: no combination fits and meets the objectives.
    """
    check_dtype(dtype)
    require_float64("sweeps")
    points = space(catalog, question, systems, axes)
    max_ttft, max_tpot = _limit(question.max_ttft_ms), _limit(question.max_tpot_ms)
    start = time.perf_counter()
    with numbers(dtype):
        best = sweep(cast(dtype, points), max_ttft=max_ttft, max_tpot=max_tpot, told=told)
    seconds = time.perf_counter() - start
    kept = frontier_indices(best)
    if not len(kept):
        raise InfeasibleError(out_of_reach(points, question, best.nearest))
    asked = {
        **asked_fields(question),
        "systems": [named(each) for each in systems],
        **dataclasses.asdict(axes),
        "dtype": dtype,
    }
    return {
        "kind": "frontier",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": asked,
        "points_evaluated": points.size,
        "points_per_s": points.size / seconds,
        "points": records(points, kept),
    }


def _limit(milliseconds: float | None) -> float:
    return np.inf if milliseconds is None else milliseconds / MILLISECONDS


def frontier_indices(best: Best) -> NDArray[np.int64]:
    """Points of the lower envelope of price against speed, system by system, fastest first."""
    price, index = np.asarray(best.price), np.asarray(best.index, np.int64)
    cheapest_so_far = np.minimum.accumulate(price, axis=1)
    before = np.concatenate([np.full((len(price), 1), np.inf), cheapest_so_far[:, :-1]], axis=1)
    return index[price < before]


def records(points: Space, kept: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Points by number as records in human units."""
    found, in_flight = jax.jit(jax.vmap(points.evaluate))(jnp.asarray(kept))
    columns = {
        "interactivity_tok_s_user": 1 / found.point.tpot,
        "usd_per_mtok_total": found.unit.blended * MILLION,
        "output_tok_s": found.point.output_rate,
        "ttft_ms": found.point.ttft * MILLISECONDS,
        "tpot_ms": found.point.tpot * MILLISECONDS,
    }
    rows = []
    for i, index in enumerate(kept):
        words = {**points.words(int(index)), "concurrency": float(in_flight[i])}
        row = {name: float(column[i]) for name, column in columns.items()}
        layout = words["layout"]
        n = layout["tp"] * layout["pp"] * layout["dp"]
        row["output_tok_s_per_accelerator"] = row.pop("output_tok_s") / n
        rows.append({"system": words.pop("system"), **row, **words})
    return rows


TABLES = (".csv", ".npz", ".parquet")


def check_table(path: Path) -> None:
    """Refuse a file that `write_table` cannot write."""
    if path.suffix not in TABLES:
        raise ConfigError(f"--points {path}: name it {', '.join(TABLES[:-1])} or {TABLES[-1]}")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"--points {path}: Parquet needs pyarrow; install it, or name the file .npz")


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The points as columns: .npz, .csv, or .parquet where pyarrow is installed."""
    check_table(path)
    flat = [{**row, **row["layout"]} for row in rows]
    frame = pd.DataFrame(flat).drop(columns="layout")
    writers: Mapping[str, Callable[[Path], Any]] = {
        ".csv": lambda part: frame.to_csv(part, index=False),
        ".npz": lambda part: _write_npz(frame, part),
        ".parquet": lambda part: frame.to_parquet(part, index=False),
    }
    part = path.with_name(f".{path.name}.part")
    try:
        writers[path.suffix](part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_npz(frame: pd.DataFrame, path: Path) -> None:
    columns = {str(name): frame[name].to_numpy() for name in frame}
    words = {name: column.astype(str) for name, column in columns.items() if column.dtype.kind not in "if"}
    with path.open("wb") as file:
        np.savez_compressed(file, **columns | words)
