"""What the boards of a prefill pool and of a decode pool draw while they serve."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.power import BoardPower, Utilisation, board_power
from clustermodel.serving.load import Load
from clustermodel.serving.pools import Pool, Pools, PoolsPoint
from clustermodel.serving.power import request_work, serving_work, utilisation


class PoolPower(eqx.Module):
    """Board power of one pool (W per accelerator)."""

    busy: Scalar  # while it prefills, or decodes
    mean: Scalar  # waiting included


def prefill_power(board: BoardPower, pools: Pools, load: Load, point: PoolsPoint) -> PoolPower:
    """A prefill worker executes one request in every `workers / request rate` seconds."""
    pool = pools.prefill
    need = request_work(pool.worker, load, board.padding_rows)
    interval = pool.workers / point.request_rate
    busy = jnp.minimum(point.wave / pool.worker.layout.dp, interval)
    return PoolPower(*(_power(board, pool, utilisation(need, time)) for time in (busy, interval)))


def decode_power(board: BoardPower, pools: Pools, load: Load, point: PoolsPoint) -> PoolPower:
    """A decode worker iterates over its share of the running sequences; with less than one it waits in between."""
    pool = pools.decode
    batch = point.batch / pool.workers
    need = serving_work(pool.worker, load, batch, load.context, board.padding_rows).decode
    power, iterating = _power(board, pool, utilisation(need, point.tpot)), jnp.minimum(batch, 1.0)
    return PoolPower(power, iterating * power + (1 - iterating) * board.stalled)


def _power(board: BoardPower, pool: Pool, used: Utilisation) -> Scalar:
    several = jnp.where(pool.worker.layout.n_accelerators > 1, 1.0, 0.0)
    return board_power(board, jnp.minimum(used.flops, 1.0), jnp.minimum(used.bytes, 1.0), several)
