"""What the boards behind measured rows were doing: mean utilisation of each pool, from measured throughput."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pandas as pd
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.calibration.deployments import assemble
from clustermodel.catalog import Catalog
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower, Utilisation, board_power
from clustermodel.serving.load import Load
from clustermodel.serving.power import request_work, serving_work, utilisation

Rows = Float[Array, " rows"]
DEFAULT_ENGINE = "vllm"


class Activity(eqx.Module):
    """Mean utilisation of the accelerators of one pool; a struct of arrays over rows."""

    mean: Utilisation
    is_multi: Rows
    share: Rows  # of the deployment's accelerators

    def power(self, board: BoardPower) -> Scalar:
        """Board power (W) of one row; vmap it over rows."""
        return board_power(board, self.mean.flops, self.mean.bytes, self.is_multi)


class Activities(eqx.Module):
    """The pools of each row: the only one or the decode pool, and the prefill pool (share 0 where none)."""

    main: Activity
    prefill: Activity

    def power(self, board: BoardPower) -> Scalar:
        """Mean board power (W per accelerator) of one row; vmap it over rows."""
        return self.main.share * self.main.power(board) + self.prefill.share * self.prefill.power(board)


def activities(catalog: Catalog, rows: pd.DataFrame, padding_rows: float | Rows) -> Activities:
    """Utilisation of every row from its measured throughput and its mean running sequences.

    The time of an iteration is batch / throughput: what a step really took, not what the model predicts.
    """
    output = _array(rows["output_tok_s_per_accelerator"] * rows["n_accelerators"])
    workers = _array(rows["prefill_workers"].fillna(0.0)) * _array(rows["disaggregated"])
    padding = jnp.broadcast_to(jnp.asarray(padding_rows, dtype=float), (len(rows),))
    deployment, load = replicas(catalog, rows)
    batch, context = _array(rows["batch"] / rows["workers"]), _array(rows["context"])
    work = jax.jit(jax.vmap(serving_work))(deployment, load, batch, context, padding)
    need = jax.tree.map(lambda both, alone: jnp.where(workers > 0, alone, both), work.total, work.decode)
    pool, requests = replicas(catalog, _prefill_workers(rows))
    request = jax.jit(jax.vmap(request_work))(pool, requests, padding)
    interval = load.osl * jnp.maximum(workers, 1.0) / output
    share = workers * pool.layout.n_accelerators / _array(rows["n_accelerators"])
    return Activities(
        main=Activity(utilisation(need, _array(rows["batch"]) / output), _several(deployment), 1 - share),
        prefill=Activity(utilisation(request, interval), _several(pool), share),
    )


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


def _several(deployment: Deployment) -> Rows:
    return jnp.where(deployment.layout.n_accelerators > 1, 1.0, 0.0)


def _array(column: pd.Series) -> Rows:
    return jnp.asarray(column.to_numpy(float))
