"""Prefill and decode on pools of their own: rate matching, transfer of the cache, latency under a closed loop."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime, draft_time, iteration
from clustermodel.physics.work import Demand, Tokens, cache_shards
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, memory_use
from clustermodel.serving.steady import Bounds
from clustermodel.specs import quantity

_PASSES = 12  # substitutions until the running batch settles to 1e-3
_NORM = 4  # sharpness of the minimum of what the two pools can do


class Pool(eqx.Module):
    """Like workers side by side, each a replica of its own."""

    worker: Deployment
    workers: Scalar = quantity("", "replicas in the pool", least=1.0)

    @property
    def n_accelerators(self) -> Scalar:
        """Accelerators of the pool."""
        return self.workers * self.worker.layout.n_accelerators


class Pools(eqx.Module):
    """A disaggregated deployment; the pools may stand on different systems."""

    prefill: Pool
    decode: Pool
    overlap: Scalar = quantity("", "share of the cache transfer hidden behind prefill", 0.0)

    @property
    def n_accelerators(self) -> Scalar:
        """Accelerators of both pools."""
        return self.prefill.n_accelerators + self.decode.n_accelerators


class PoolsPoint(eqx.Module):
    """A steady operating point of both pools (SI; rates of the whole deployment)."""

    ttft: Scalar
    tpot: Scalar
    batch: Scalar  # mean running sequences of the decode pool
    request_rate: Scalar
    output_rate: Scalar
    transfer: Scalar  # of one request's cache, before overlap (s)
    prefill_utilisation: Scalar  # request rate over what the prefill pool can do
    step: StepTime  # one iteration of a decode worker
    decode_demand: Demand  # of that iteration, per output token
    memory: MemoryUse  # of a decode worker
    bounds: Bounds


def disaggregated(pools: Pools, load: Load) -> PoolsPoint:
    """The steady state of two pools that together always have `load.concurrency` requests in flight.

    The prefill pool serves n dp requests per wave of t_w seconds, the decode pool is a delay of osl TPOT(B):
    rate = min(N / (t_w + transfer + osl TPOT), n dp / t_w, room / (osl TPOT)), smoothly, and B = rate osl TPOT.
    What of N / rate is spent in neither pool is waiting, and that is in TTFT.
    """
    wave = _wave(pools.prefill, load)
    transfer = transfer_time(pools, load)
    exposed = (1 - pools.overlap) * transfer
    memory = memory_use(pools.decode.worker, load)
    room = jnp.maximum(memory.sequences, 1e-3) * pools.decode.workers

    def rate(tpot: Scalar) -> Scalar:
        decode = load.osl * tpot
        limits = (load.concurrency / (wave.time + exposed + decode), wave.rate, room / decode)
        return sum(limit**-_NORM for limit in limits) ** (-1 / _NORM)

    def settle(_: Any, batch: Scalar) -> Scalar:
        tpot = _decode(pools.decode, load, batch).tpot
        return jnp.sqrt(batch * rate(tpot) * load.osl * tpot)  # the geometric mean damps the substitution

    batch = jax.lax.fori_loop(0, _PASSES, settle, jnp.minimum(load.concurrency, room))
    decode = _decode(pools.decode, load, batch)
    request_rate = jnp.minimum(rate(decode.tpot), batch / (load.osl * decode.tpot))
    ttft = _ttft(pools, load, wave, load.concurrency / request_rate - load.osl * decode.tpot)
    most = jnp.minimum(wave.bound_rate * load.osl, batch / decode.bound)
    return PoolsPoint(
        ttft=jnp.maximum(ttft, wave.bound),
        tpot=decode.tpot,
        batch=batch,
        request_rate=request_rate,
        output_rate=request_rate * load.osl,
        transfer=transfer,
        prefill_utilisation=request_rate / wave.rate,
        step=decode.step,
        decode_demand=decode.demand,
        memory=memory,
        bounds=Bounds(decode.bound, wave.bound, most),
    )


def transfer_time(pools: Pools, load: Load) -> Scalar:
    """Seconds to move one request's cache between the pools.

    bytes / (shards x rate): every accelerator of a worker that holds a share sends it, over the scale-up link
    where both pools stand in one domain, else over the network; the slower side counts.
    """
    worker, peer = pools.prefill.worker, pools.decode.worker
    stored = transformer.stored_cache(
        worker.model, load.isl, peer.formats.cache_bytes, peer.formats.state_bytes
    ).total
    n = pools.n_accelerators
    rate = jnp.minimum(
        worker.link(n) * cache_shards(worker) * worker.coefficients.link_share,
        peer.link(n) * cache_shards(peer) * peer.coefficients.link_share,
    )
    return stored / jnp.maximum(rate, 1.0)


class _Wave(eqx.Module):
    """Prefill of one request on every attention rank of a worker."""

    time: Scalar
    bound: Scalar
    rate: Scalar  # requests/s of the pool
    bound_rate: Scalar


def _wave(pool: Pool, load: Load) -> _Wave:
    worker, zero = pool.worker, jnp.zeros_like(load.isl)
    chunk = jnp.maximum(load.chunk(worker.engine.chunk), 1.0)
    tokens = Tokens(zero, chunk * worker.layout.dp, load.context, load.prefill_context)
    step, need = iteration(worker, tokens)
    chunks = load.uncached / chunk
    launches = worker.model.layers * worker.coefficients.mixed_launch
    time, bound = chunks * (step.total + launches), chunks * need.total.bound
    served = pool.workers * worker.layout.dp
    return _Wave(time, bound, served / time, served / bound)


class _Decode(eqx.Module):
    tpot: Scalar
    bound: Scalar
    step: StepTime
    demand: Demand


def _decode(pool: Pool, load: Load, batch: Scalar) -> _Decode:
    """One iteration of a decode worker that holds its share of `batch`."""
    zero, verified = jnp.zeros_like(batch), 1 + load.draft_tokens
    tokens = Tokens(batch / pool.workers, zero, load.context, load.prefill_context, verified)
    step, need = iteration(pool.worker, tokens)
    drafting = load.draft_tokens * draft_time(step, pool.worker.model.layers)
    bound, accepted = need.total.bound / verified, 1 + load.accepted_tokens
    tpot = jnp.maximum((step.total + drafting) / accepted, bound)
    return _Decode(tpot, bound, step, need.total.scaled(1 / accepted))


def _ttft(pools: Pools, load: Load, wave: _Wave, outside: Scalar) -> Scalar:
    """Own prefill, the transfer, and waiting: at least what keeps `outside` seconds of a request's cycle."""
    c = pools.prefill.worker.coefficients
    alone = c.ttft_scale * (c.ttft_host + c.ttft_prefill * wave.time) + (1 - pools.overlap) * transfer_time(
        pools, load
    )
    ahead = jnp.maximum(load.concurrency / (wave.rate * wave.time) - 1, 0.0) * c.burst_floor * wave.time
    return jnp.maximum(alone, outside) + ahead + c.ttft_request * load.concurrency
