"""Score predicted board power and energy per token on measured rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clustermodel._types import Scalar
from clustermodel.calibration.deployments import generation
from clustermodel.calibration.power import board_coefficients
from clustermodel.calibration.power_features import Activities, activities, replicas
from clustermodel.calibration.power_rows import power_rows
from clustermodel.calibration.predict import ROWS
from clustermodel.calibration.scores import COLUMNS, modes
from clustermodel.catalog import Catalog
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower
from clustermodel.serving.load import Load
from clustermodel.serving.power import replica_power
from clustermodel.serving.steady import closed_loop
from clustermodel.specs import stack

GROUPS = ("system", "model", "engine", "precision", "scenario", "source")


def power_comparisons(
    catalog: Catalog, data: Path | None = None, effects: str = "full"
) -> tuple[pd.DataFrame, list[str]]:
    """Measured and predicted power of every row that can be predicted, and for each of the others a reason.

    Metrics: `power_w` from the row's measured throughput; `board_joules_per_output_token` of that power over
    the measured throughput; `board_joules_per_output_token_chain` where power and throughput are both
    predicted (rows of one pool). The bound of a power is the board's cap, of an energy that of its floor.
    """
    rows, reasons = answerable(power_rows(catalog, data))
    if rows.empty:
        return pd.DataFrame(columns=["row", *COLUMNS, *GROUPS]), reasons
    boards = _boards(catalog, rows)
    watts = _watts(catalog, rows, boards)
    shipped = power_rows(catalog)
    known = set(zip(shipped["system"], shipped["model"], shipped["engine"], strict=True))
    triples = zip(rows["system"], rows["model"], rows["engine"], strict=True)
    words = pd.DataFrame(
        {
            "id": rows["id"],
            "mode": modes(rows),
            "seen": [int(triple in known) for triple in triples],
            "flagged": rows["flag"].ne("").astype(int),
            **{name: rows[name] for name in GROUPS},
        }
    )
    chain = _chain_energy(catalog, rows, boards, effects)
    parts = [
        words.assign(metric=name, measured=measured, predicted=predicted, bound=bound)
        for name, measured, predicted, bound in _metrics(rows, watts, boards, chain)
    ]
    lines = pd.concat(parts).reset_index(names="row")
    return lines[lines["predicted"] > 0].sort_values(["row", "metric"], kind="stable"), reasons


def _metrics(
    rows: pd.DataFrame, watts: np.ndarray, boards: BoardPower, chain: pd.Series
) -> Iterator[tuple[str, Any, Any, Any]]:
    rate = rows["output_tok_s_per_accelerator"]
    yield "power_w", rows["power_w"], watts, np.asarray(boards.cap)
    energy, floor = rows["power_w"] / rate, np.asarray(boards.stalled) / rate
    yield "board_joules_per_output_token", energy, watts / rate, floor
    yield "board_joules_per_output_token_chain", energy, chain, floor


def answerable(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows whose power can be predicted, and for each of the others a reason."""
    tests = {
        "hardware not in the catalogue": rows["system"].eq(""),
        "model not in the catalogue": rows["model"].eq(""),
        "input length not stated": ~(rows["isl"] >= 0),
        "output length not stated": ~(rows["osl"] > 0),
        "mean running sequences not stated": ~(rows["batch"] > 0),
        "throughput not stated": ~(rows["output_tok_s_per_accelerator"] > 0),
        "power not stated": ~(rows["power_w"] > 0),
    }
    reason = pd.Series("", index=rows.index)
    for words, test in tests.items():
        reason = reason.where(~test | reason.ne(""), words)
    return rows[reason.eq("")], reason[reason.ne("")].tolist()


def _boards(catalog: Catalog, rows: pd.DataFrame) -> BoardPower:
    """Board coefficients of every row."""
    slugs = list(dict.fromkeys(rows["system"]))
    entries = [catalog.entry("systems", slug) for slug in slugs]
    found = [
        board_coefficients(
            catalog, entry.words["accelerator"], generation(entry, catalog), float(entry.spec.accelerator.tdp)
        )
        for entry in entries
    ]
    index = jnp.asarray([slugs.index(slug) for slug in rows["system"]])
    return jax.tree.map(lambda leaf: leaf[index], stack(found))


def _watts(catalog: Catalog, rows: pd.DataFrame, boards: BoardPower) -> np.ndarray:
    does = activities(catalog, rows, boards.padding_rows)
    return np.asarray(jax.vmap(Activities.power)(does, boards))


def _chain_energy(catalog: Catalog, rows: pd.DataFrame, boards: BoardPower, effects: str) -> pd.Series:
    """J per output token with power and throughput both predicted; none for rows of two pools."""
    joules = in_chunks(_row_energy, *replicas(catalog, rows, effects), boards, sizes=ROWS)
    return pd.Series(joules, index=rows.index).where(rows["disaggregated"].eq(0))


def _energy(deployment: Deployment, load: Load, board: BoardPower) -> Scalar:
    point = closed_loop(deployment, load)
    watts = replica_power(board, deployment, load, point)[1]
    return watts * deployment.layout.n_accelerators / point.output_rate


_row_energy = Kept(jax.vmap(_energy))
