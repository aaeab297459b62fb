"""Our own predictions of the rows, as `clustermodel validate` makes them, and how many a second."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pandas as pd
from adapter import counted, spread, together

from clustermodel import __version__
from clustermodel.bench.machine import seconds
from clustermodel.calibration.predict import arguments, predict, serve
from clustermodel.calibration.scores import comparisons
from clustermodel.calibration.validate import seen
from clustermodel.catalog import Catalog
from clustermodel.chain.bulk import at_a_time, compiler_options

METRIC = "tpot_ms"
EFFECTS = {"clustermodel": "full", "clustermodel, globals": "globals"}
"""Name of the tool in the table -> `--effects` of `validate`."""


def predictions(catalog: Catalog, rows: pd.DataFrame) -> pd.DataFrame:
    """Measured and predicted times of the rows by id, with their sources and physical bounds."""
    known = seen(catalog, rows)
    found = {}
    for tool, effects in EFFECTS.items():
        lines = comparisons(rows, predict(catalog, rows, effects), known)
        found[tool] = lines[lines["metric"].eq(METRIC)].set_index("id")
    full = found["clustermodel"]
    values = {tool: lines["predicted"] for tool, lines in found.items()}
    return pd.DataFrame({**full[["source", "measured", "bound"]], **values})


def speed(catalog: Catalog, rows: pd.DataFrame, budget: float) -> dict[str, float | None]:
    """Evaluations per second: one row a call from its names, one a call prepared, and many in one call."""
    table = rows.reset_index(drop=True)
    sample = [table.loc[[row["n"]]] for row in spread([{"n": n} for n in table.index])]
    named = [lambda row=row: predict(catalog, row) for row in sample]
    stacked = arguments(catalog, rows, "full", None)
    return {
        "from_names": _per_s(named, budget),
        "prepared": _per_s(_one_by_one(stacked, len(rows)), budget),
        "batched": _batched(stacked, len(rows)),
    }


def _per_s(calls: list[Callable[[], Any]], budget: float) -> float | None:
    counted(calls, 0.0)
    return together([counted(calls, budget)]).per_s


def _one_by_one(stacked: tuple, n: int) -> list[Callable[[], Any]]:
    """A compiled call for each row, its result waited for."""
    run = jax.jit(serve)
    rows = [jax.device_put(jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], stacked)) for i in range(n)]
    return [lambda row=row: jax.block_until_ready(run(*row)) for row in rows]


def _batched(stacked: tuple, n: int) -> float:
    """Points per second of a compiled call over the rows again and again, as many of them as `bench model` takes."""
    index = np.arange(at_a_time()) % n
    many = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[index], stacked))
    run = jax.jit(jax.vmap(serve), compiler_options=compiler_options())
    return index.size / seconds(lambda: run(*many))


def version() -> str:
    """Our version."""
    return __version__
