"""Layouts that a table leaves open: every feasible split is predicted, and the best one is taken."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.assembly import candidates
from clustermodel.calibration.mlperf import SERVED, limits, with_lengths
from clustermodel.catalog import Catalog
from clustermodel.specs import Model, System

WORKERS = (1, 2, 3, 4, 6, 9)
DECODE_SIZES, PREFILL_SIZES = (4, 8, 16, 32), (4, 8)
"""Accelerators of a worker where not even those are stated: what published recipes use."""
CONCURRENCY = tuple(float(2**k) for k in range(2, 12))
AXES = ("tp", "pp", "dp", "ep")


def open_layouts(rows: pd.DataFrame) -> pd.Series:
    """Rows whose layout has to be found: none stated, or worker counts missing, or an MLPerf summary."""
    mlperf = rows["scenario"].str.startswith("mlperf")
    unstated = rows["workers"].le(0) | rows["prefill_workers"].le(0) | rows["prefill_tp"].isna()
    return rows["tp"].isna() | mlperf | (unstated & rows["disaggregated"].gt(0))


def splits(catalog: Catalog, rows: pd.DataFrame) -> pd.DataFrame:
    """Every row once for each way to lay it out; `row` holds the index of the row it came from."""
    filled, systems, models = (
        with_lengths(catalog, rows),
        _specs(catalog, rows, "systems"),
        _specs(catalog, rows, "models"),
    )
    sources, ways = [], []
    for index, row in zip(rows.index, filled.to_dict("records"), strict=True):
        model = models[row["model"]]
        mine = (
            _pools(row, model) if row["disaggregated"] > 0 else _replicas(row, systems[row["system"]], model)
        )
        for way in mine:
            sources.append(index)
            ways.append(way)
    table = filled.loc[sources].reset_index(drop=True).assign(row=sources)
    chosen = pd.DataFrame(ways, index=table.index)
    table[chosen.columns] = chosen.fillna(table[chosen.columns])
    pool = table["tp"] * table["pp"] * table["dp"] * table["workers"]
    prefill = table["prefill_tp"] * table["prefill_pp"] * table["prefill_dp"] * table["prefill_workers"]
    return table.assign(n_accelerators=pool + prefill.where(table["disaggregated"] > 0, 0.0))


def _specs(catalog: Catalog, rows: pd.DataFrame, folder: str) -> dict[str, Any]:
    """Specs of the systems or models that occur, by slug."""
    return {slug: catalog.entry(folder, slug).spec for slug in rows[folder.removesuffix("s")].unique()}


def best(catalog: Catalog, ways: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """For each open row the best way among those that fit and meet the limits on latency.

    Best is the highest output per accelerator; for pools times output per user, since published recipes trade
    one for the other (of the exponents tried on rows whose pools are stated, this predicts TPOT best).
    """
    most_ttft, most_tpot = limits(catalog, ways)
    sound = (
        (predictions["room"] >= 1) & (predictions["ttft"] <= most_ttft) & (predictions["tpot"] <= most_tpot)
    )
    merit = predictions["output_rate"] / predictions["tpot"].where(ways["disaggregated"] > 0, 1.0)
    rate = merit.where(sound & np.isfinite(merit))
    chosen = rate.dropna().groupby(ways["row"]).idxmax()
    return ways.loc[chosen].set_index("row").rename_axis(None).assign(layout_assumed=1.0)


def _replicas(row: Mapping[Any, Any], system: System, model: Model) -> Iterator[dict[str, float]]:
    """Layouts of one replica inside one system; under a latency limit also the concurrency is open."""
    most = (
        min(row["n_accelerators"], float(system.count)) if row["n_accelerators"] > 0 else float(system.count)
    )
    for shape in candidates(system, model, None, {}):
        if shape[0] * shape[2] > most or shape[1] > 1:  # stages only add latency inside one system
            continue
        layout: dict[str, float] = dict(zip(AXES, map(float, shape), strict=True))
        if row["scenario"] in SERVED:
            yield from ({**layout, "concurrency": load} for load in CONCURRENCY)
        else:
            yield layout


def _pools(row: Mapping[Any, Any], model: Model) -> Iterator[dict[str, float]]:
    """Pools of like workers: sizes as stated, attention split by heads or by requests, any worker counts."""
    total = row["n_accelerators"] if np.isnan(row["tp"]) else np.nan
    decode = [row["tp"] * row["dp"]] if row["tp"] > 0 else DECODE_SIZES
    prefill = [row["prefill_tp"] * row["prefill_dp"]] if row["prefill_tp"] > 0 else PREFILL_SIZES
    for size, first, count, feeders in itertools.product(decode, prefill, WORKERS, WORKERS):
        if total > 0 and size * count + first * feeders != total:
            continue
        for layout in _attention(float(size), model, row["ep"]):
            for feeder in _attention(float(first), model, row["prefill_ep"]):
                named = {f"prefill_{axis}": value for axis, value in feeder.items()}
                yield {**layout, **named, "workers": float(count), "prefill_workers": float(feeders)}


def _attention(size: float, model: Model, ep: float) -> list[dict[str, float]]:
    """One worker with tensor-parallel attention, and for a mixture of experts with data-parallel attention."""
    moe = float(model.n_experts) > 0
    ranks = size if moe and (ep > 1 or np.isnan(ep)) else 1.0
    layouts = [{"tp": size, "pp": 1.0, "dp": 1.0, "ep": ranks}]
    if moe and size > 1:
        layouts.append({"tp": 1.0, "pp": 1.0, "dp": size, "ep": ranks})
    return layouts
