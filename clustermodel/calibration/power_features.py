"""What the boards behind measured rows were doing: mean utilisation of each pool, from measured throughput."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.calibration.deployments import assemble
from clustermodel.calibration.predict import ROWS
from clustermodel.catalog import Catalog
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower, Utilisation, board_power
from clustermodel.serving.load import Load
from clustermodel.serving.power import request_work, serving_work, utilisation

Rows = Float[Array, " rows"]
DEFAULT_ENGINE = "vllm"


class Activity(eqx.Module):
    """Mean utilisation of the accelerators of one pool."""

    mean: Utilisation
    is_multi: Scalar
    share: Scalar  # of the deployment's accelerators

    def power(self, board: BoardPower) -> Scalar:
        """Board power (W)."""
        return board_power(board, self.mean.flops, self.mean.bytes, self.is_multi)


class Activities(eqx.Module):
    """The pools of one row: the only one or the decode pool, and the prefill pool (share 0 where none)."""

    main: Activity
    prefill: Activity

    def power(self, board: BoardPower) -> Scalar:
        """Mean board power (W per accelerator)."""
        return self.main.share * self.main.power(board) + self.prefill.share * self.prefill.power(board)


class _Row(eqx.Module):
    """What was measured of one row (SI)."""

    batch: Scalar
    context: Scalar
    output_rate: Scalar
    n_accelerators: Scalar
    prefill_workers: Scalar  # 0 where prefill has no pool of its own
    padding_rows: Scalar


def activities(catalog: Catalog, rows: pd.DataFrame, padding_rows: float | Rows) -> Activities:
    """Utilisation of every row from its measured throughput and mean running sequences; arrays over rows.

    The time of an iteration is batch / throughput: what a step really took, not what the model predicts.
    """
    columns = {
        "batch": rows["batch"],
        "context": rows["context"],
        "output_rate": rows["output_tok_s_per_accelerator"] * rows["n_accelerators"],
        "n_accelerators": rows["n_accelerators"],
        "prefill_workers": rows["prefill_workers"].fillna(0.0) * rows["disaggregated"],
        "padding_rows": pd.Series(np.broadcast_to(padding_rows, len(rows)), rows.index),
    }
    each = _Row(*(jnp.zeros(()) for _ in columns))
    seen = eqx.tree_at(jax.tree.leaves, each, [_array(column) for column in columns.values()])
    main, prefill = replicas(catalog, rows), replicas(catalog, _prefill_workers(rows))
    workers = _array(rows["workers"])
    return in_chunks(_row_activities, seen, workers, main, prefill, sizes=ROWS)


def _activities(
    row: _Row, workers: Scalar, main: tuple[Deployment, Load], prefill: tuple[Deployment, Load]
) -> Activities:
    deployment, load = main
    work = serving_work(deployment, load, row.batch / workers, row.context, row.padding_rows)
    alone = row.prefill_workers > 0
    need = jax.tree.map(lambda both, decode: jnp.where(alone, decode, both), work.total, work.decode)
    pool, requests = prefill
    interval = load.osl * jnp.maximum(row.prefill_workers, 1.0) / row.output_rate
    share = row.prefill_workers * pool.layout.n_accelerators / row.n_accelerators
    request = request_work(pool, requests, row.padding_rows)
    return Activities(
        main=Activity(utilisation(need, row.batch / row.output_rate), _several(deployment), 1 - share),
        prefill=Activity(utilisation(request, interval), _several(pool), share),
    )


_row_activities = Kept(jax.vmap(_activities))


def replicas(catalog: Catalog, rows: pd.DataFrame, effects: str = "full") -> tuple[Deployment, Load]:
    """One replica of every row, with its mean running sequences in flight."""
    ready = rows.assign(engine=rows["engine"].replace("", DEFAULT_ENGINE), concurrency=rows["batch"])
    batch = assemble(catalog, ready, effects)
    hits = _array(rows["prefix_hit_rate"])
    return batch.deployment, eqx.tree_at(lambda load: load.prefix_hit_rate, batch.load, hits)


def _prefill_workers(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the layout of their prefill workers; their own where they have none."""
    return rows.assign(
        **{axis: rows[f"prefill_{axis}"].fillna(rows[axis]) for axis in ("tp", "pp", "dp", "ep")}
    )


def _several(deployment: Deployment) -> Scalar:
    return jnp.where(deployment.layout.n_accelerators > 1, 1.0, 0.0)


def _array(column: pd.Series) -> Rows:
    return jnp.asarray(column.to_numpy(float))
