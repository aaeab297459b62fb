"""Predict what the measured rows saw, many rows in one call."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import pandas as pd

from clustermodel._types import Scalar
from clustermodel.calibration.deployments import OFFLINE, assemble
from clustermodel.calibration.effects import Calibration
from clustermodel.catalog import Catalog
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import iteration
from clustermodel.physics.work import Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.placement import in_tiers, placed
from clustermodel.serving.pools import Pool, Pools, PoolsPoint, disaggregated
from clustermodel.serving.steady import ServingPoint, closed_loop

STATIC = ("decode-static-batch", "decode-only", "production-decode")
PREFILL = ("prefill-only", "production-prefill")
ROWS = (16, 512)
"""Measured rows of one call: few sizes, so that tables of any length share two compilations."""


class Prediction(eqx.Module):
    """One row as the model sees it; rates are per accelerator (SI)."""

    tpot: Scalar
    ttft: Scalar
    output_rate: Scalar
    tpot_bound: Scalar
    ttft_bound: Scalar
    output_bound: Scalar
    batch: Scalar
    room: Scalar  # sequences that fit; below 1 the weights do not


def _settled(point: ServingPoint | PoolsPoint, n: Scalar) -> Prediction:
    """A steady operating point as a prediction; rates per accelerator."""
    return Prediction(
        point.tpot,
        point.ttft,
        point.output_rate / n,
        point.bounds.tpot,
        point.bounds.ttft,
        point.bounds.output_rate / n,
        point.batch,
        point.memory.sequences,
    )


def serve(deployment: Deployment, load: Load) -> Prediction:
    """Continuous batching of a replica under a closed loop, over farther memory where the nearest is too small."""
    point = closed_loop(placed(in_tiers(deployment), load), load)
    return _settled(point, deployment.layout.n_accelerators)


def serve_offline(deployment: Deployment, load: Load) -> Prediction:
    """All requests queued at the start: the replica runs as many as it holds, and waiting is not counted."""
    found, n = serve(deployment, load), deployment.layout.n_accelerators
    return eqx.tree_at(lambda p: p.output_rate, found, found.batch / found.tpot / n)


def decode_batch(deployment: Deployment, load: Load) -> Prediction:
    """A static batch: the whole batch is prefilled, then decoded together."""
    deployment = placed(in_tiers(deployment), load)
    n, zero, sequences = deployment.layout.n_accelerators, jnp.zeros_like(load.isl), load.concurrency
    step, need = iteration(deployment, Tokens(sequences, zero, load.context, load.prefill_context))
    prompt = jnp.maximum(load.uncached, 1.0) * sequences
    chunk = jnp.minimum(prompt, deployment.engine.chunk * deployment.layout.dp)
    first, first_need = iteration(deployment, Tokens(zero, chunk, load.context, load.prefill_context))
    bound = need.total.bound
    return Prediction(
        step.total,
        prompt / chunk * first.total,
        sequences / step.total / n,
        bound,
        prompt / chunk * first_need.total.bound,
        sequences / bound / n,
        sequences,
        sequences,
    )


def serve_pools(prefill: Pool, decode: Pool, load: Load) -> Prediction:
    """Prefill and decode on pools of their own."""
    pools = Pools(prefill, decode)
    return _settled(disaggregated(pools, load), pools.n_accelerators)


KERNELS: dict[str, Callable[..., Prediction]] = {
    "closed": serve,
    "offline": serve_offline,
    "static": decode_batch,
    "pools": serve_pools,
}


def kernel(rows: pd.DataFrame) -> pd.Series:
    """Which kernel answers a row, by name."""
    names = pd.Series("closed", index=rows.index)
    names = names.mask(rows["disaggregated"] > 0, "pools")
    names = names.mask(rows["scenario"].isin((*STATIC, *PREFILL)), "static")
    return names.mask(rows["scenario"].isin(OFFLINE), "offline")


def arguments(catalog: Catalog, rows: pd.DataFrame, effects: str, calibration: Calibration) -> tuple:
    """Stacked arguments of the kernel of these rows, which must all have the same one."""
    batch = assemble(catalog, rows, effects, calibration)
    if not (rows["disaggregated"] > 0).any() or rows["scenario"].isin((*STATIC, *PREFILL)).any():
        return batch.deployment, batch.load
    shapes = {axis: rows[f"prefill_{axis}"] for axis in ("tp", "pp", "dp", "ep")}
    prefill = assemble(catalog, rows.assign(**shapes), effects, calibration).deployment
    load = eqx.tree_at(lambda l: l.concurrency, batch.load, jnp.asarray(rows["concurrency"].to_numpy(float)))
    workers = (jnp.asarray(rows[name].to_numpy(float)) for name in ("prefill_workers", "workers"))
    pools = [Pool(worker, count) for worker, count in zip((prefill, batch.deployment), workers, strict=True)]
    return *pools, load


def predict(
    catalog: Catalog, rows: pd.DataFrame, effects: str = "full", calibration: Calibration = None
) -> pd.DataFrame:
    """Predictions of rows that have everything they need, on the same index (SI)."""
    found = []
    for name, part in rows.groupby(kernel(rows), sort=False):
        stacked = arguments(catalog, part, effects, calibration)
        prediction = in_chunks(_COMPILED[str(name)], *stacked, sizes=ROWS)
        found.append(pd.DataFrame(vars(prediction), index=part.index))
    return pd.concat(found).reindex(rows.index)


_COMPILED = {name: Kept(jax.vmap(function)) for name, function in KERNELS.items()}
