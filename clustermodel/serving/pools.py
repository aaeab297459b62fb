"""Prefill and decode on pools of their own: rate matching, transfer of the cache, latency under a closed loop."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime, draft_time, iteration
from clustermodel.physics.work import Demand, cache_shards
from clustermodel.serving.admission import whole_sequences
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, memory_use
from clustermodel.serving.mixed import tokens_of
from clustermodel.serving.phases import Phases
from clustermodel.serving.placement import placed_for
from clustermodel.serving.prefix import cached_token_time
from clustermodel.serving.steady import Bounds
from clustermodel.specs import quantity

_PASSES = 12  # substitutions until the running batch settles to 1e-3


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
    apart: Scalar = quantity("", "1 where the pools stand on different systems: only the network joins", 0.0)

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
    exposed: Scalar  # what of it a request waits for (s)
    wave: Scalar  # prefill of one request on every rank of a prefill worker (s)
    room: Scalar  # sequences that the decode pool may run
    prefill_utilisation: Scalar  # request rate over what the prefill pool can do
    prefilling: Scalar  # requests at the prefill pool, in service or waiting for it
    token_time: Phases  # time of its own pool per uncached, cached and output token (s/token)
    step: StepTime  # one iteration of a decode worker
    decode_demand: Demand  # of that iteration, per output token
    memory: MemoryUse  # of a decode worker
    prefill_memory: MemoryUse  # of a prefill worker
    bounds: Bounds


def disaggregated(pools: Pools, load: Load) -> PoolsPoint:
    """The steady state of two pools that together always have `load.concurrency` requests in flight.

    The prefill pool is a station of n dp servers that take t_w seconds each, transfer and decode are a delay of
    transfer + osl TPOT(B), B = rate osl TPOT (`circulation`); no more than `room` sequences decode at a time.
    What of N / rate is spent in neither pool is waiting, and that is in TTFT.
    """
    wave, transfer = prefill_wave(pools.prefill, load), transfer_time(pools, load)
    exposed = exposed_transfer(pools, load, wave)
    memory = memory_use(pools.decode.worker, load)
    room = decode_room(pools.decode, memory)

    def rate(tpot: Scalar) -> Scalar:
        decode = load.osl * tpot
        flow = circulation(load.concurrency, wave, exposed + decode)
        return jnp.minimum(flow, jnp.minimum(room / decode, transfer_rate(pools, load)))

    def settle(_: Any, batch: Scalar) -> Scalar:
        tpot = decode_iteration(pools.decode, load, batch).tpot
        return jnp.sqrt(batch * rate(tpot) * load.osl * tpot)  # the geometric mean damps the substitution

    batch = jax.lax.fori_loop(0, _PASSES, settle, jnp.minimum(load.concurrency, room))
    decode = decode_iteration(pools.decode, load, batch)
    request_rate = jnp.minimum(rate(decode.tpot), batch / (load.osl * decode.tpot))
    away = exposed + load.osl * decode.tpot
    waited = load.concurrency / request_rate - load.osl * decode.tpot
    ahead = jnp.maximum(load.concurrency / (wave.rate * wave.time) - 1, 0.0)
    ttft = unloaded_ttft(pools, wave, exposed, waited) + _burst(pools, load, ahead * wave.time)
    most = jnp.minimum(wave.bound_rate * load.osl, batch / decode.bound)
    return PoolsPoint(
        ttft=jnp.maximum(ttft, wave.bound),
        tpot=decode.tpot,
        batch=batch,
        request_rate=request_rate,
        output_rate=request_rate * load.osl,
        transfer=transfer,
        exposed=exposed,
        wave=wave.time,
        room=room,
        prefill_utilisation=request_rate / wave.rate,
        prefilling=load.concurrency - circulation(load.concurrency, wave, away) * away,
        token_time=_token_time(pools, load, wave, decode.tpot / batch),
        step=decode.step,
        decode_demand=decode.demand,
        memory=memory,
        prefill_memory=memory_use(pools.prefill.worker, load),
        bounds=Bounds(decode.bound, wave.bound, most),
    )


def circulation(concurrency: Scalar, wave: "Wave", delay: Scalar) -> Scalar:
    """Requests/s of a closed network: N requests go round a prefill station and a delay of Z seconds.

    A station of c servers of s seconds is one server of d = s/c behind a delay of s - d [Seidmann, Schweitzer &
    Shalev-Oren 1987]; an arrival finds (N - 1)/N of its mean queue [Schweitzer 1979], which leaves
    R^2 + R (Z' - N d) - d Z' = 0 for the time R at that server, Z' = Z + s - d, and N / (Z' + R) requests/s.
    """
    own = 1 / wave.rate
    elsewhere = delay + jnp.maximum(wave.time - own, 0.0)
    surplus = concurrency * own - elsewhere
    return concurrency / (elsewhere + (surplus + jnp.sqrt(surplus**2 + 4 * own * elsewhere)) / 2)


def placed_pool(pool: Pool, load: Load, sequences: Scalar) -> Pool:
    """The pool with the running data of a worker placed for its share of so many sequences."""
    return Pool(placed_for(pool.worker, load, sequences / pool.workers), pool.workers)


def decode_room(pool: Pool, memory: MemoryUse) -> Scalar:
    """Sequences that the decode pool may run: what fits, and what its engine allows."""
    dp = pool.worker.layout.dp
    per_rank = jnp.minimum(whole_sequences(memory.sequences / dp), pool.worker.engine.max_num_seqs)
    return per_rank * dp * pool.workers


def handed_over(pools: Pools, load: Load) -> Scalar:
    """Bytes of one request's cache that go from prefill to decode, in the format that decode reads."""
    f, model = pools.decode.worker.formats, pools.prefill.worker.model
    return transformer.stored_cache(model, load.isl, f.cache_bytes, f.state_bytes).total


def link_rate(pools: Pools, pool: Pool) -> Scalar:
    """B/s that one attention rank of a pool sends or takes: of every accelerator that holds a share of a cache.

    Over the scale-up link where both pools stand in one domain, else over the network.
    """
    worker = pool.worker
    near = worker.link(pools.n_accelerators)
    link = jnp.where(pools.apart > 0, worker.accelerator.scaleout_bandwidth, near)
    return link * cache_shards(worker) * worker.layout.pp * worker.coefficients.link_share


def transfer_time(pools: Pools, load: Load) -> Scalar:
    """Seconds to move one request's cache between the pools: its bytes at the rate of the slower side."""
    rate = jnp.minimum(link_rate(pools, pools.prefill), link_rate(pools, pools.decode))
    return handed_over(pools, load) / jnp.maximum(rate, 1.0)


def transfer_rate(pools: Pools, load: Load) -> Scalar:
    """Requests/s whose caches the links of both pools can carry, all attention ranks at once."""
    sides = [
        link_rate(pools, pool) * pool.workers * pool.worker.layout.dp
        for pool in (pools.prefill, pools.decode)
    ]
    return jnp.maximum(jnp.minimum(*sides), 1.0) / handed_over(pools, load)


def exposed_transfer(pools: Pools, load: Load, wave: "Wave") -> Scalar:
    """What a request waits for its transfer (s): the overlapped share hides behind its own prefill, if that lasts."""
    transfer = transfer_time(pools, load)
    return transfer - jnp.minimum(pools.overlap * transfer, wave.time)


class Wave(eqx.Module):
    """Prefill of one request on every attention rank of a worker, reload of cached prefixes included."""

    time: Scalar
    bound: Scalar
    rate: Scalar  # requests/s of the pool
    bound_rate: Scalar


def prefill_wave(pool: Pool, load: Load) -> Wave:
    """A wave of prompts through every worker of the pool."""
    worker, zero = pool.worker, jnp.zeros_like(load.isl)
    chunk = jnp.maximum(load.chunk(worker.engine.chunk), 1.0)
    tokens = tokens_of(load, zero, chunk * worker.layout.dp)
    step, need = iteration(worker, tokens)
    chunks = load.uncached / chunk
    launches = worker.model.layers * worker.coefficients.mixed_launch
    reload = load.cached * cached_token_time(worker, load).latency
    time, bound = chunks * (step.total + launches) + reload, chunks * need.total.bound
    served = pool.workers * worker.layout.dp
    return Wave(time, bound, served / time, served / bound)


class Decode(eqx.Module):
    """One iteration of a decode worker, per output token of each of its sequences."""

    tpot: Scalar
    bound: Scalar
    step: StepTime
    demand: Demand


def decode_iteration(pool: Pool, load: Load, batch: Scalar) -> Decode:
    """One iteration of a decode worker that holds its share of `batch`."""
    zero, verified = jnp.zeros_like(batch), 1 + load.draft_tokens
    tokens = tokens_of(load, batch / pool.workers, zero)
    step, need = iteration(pool.worker, tokens)
    drafting = load.draft_tokens * draft_time(step, pool.worker.model.layers)
    bound, accepted = need.total.bound / verified, 1 + load.accepted_tokens
    tpot = jnp.maximum((step.total + drafting) / accepted, bound)
    return Decode(tpot, bound, step, need.total.scaled(1 / accepted))


def unloaded_ttft(pools: Pools, wave: Wave, exposed: Scalar, outside: Scalar) -> Scalar:
    """Own prefill and the exposed transfer (s): at least what keeps `outside` seconds of a request's cycle."""
    c = pools.prefill.worker.coefficients
    return jnp.maximum(c.ttft_scale * (c.ttft_host + c.ttft_prefill * wave.time) + exposed, outside)


def _burst(pools: Pools, load: Load, ahead: Scalar) -> Scalar:
    """Prompts sent at the same moment (s)."""
    c = pools.prefill.worker.coefficients
    return ahead * c.burst_floor + c.ttft_request * load.concurrency


def _token_time(pools: Pools, load: Load, wave: Wave, decode: Scalar) -> Phases:
    """Seconds of a pool's own time per token of each class; cached tokens take their reload and attention."""
    pool, prefix = pools.prefill, cached_token_time(pools.prefill.worker, load)
    request = wave.time / pool.worker.layout.dp / pool.workers
    marginal = (prefix.reload + prefix.attention) / pool.workers
    cached = jnp.minimum(load.cached * marginal, request)
    some = load.cached > 0
    reload = jnp.where(some, cached / jnp.where(some, load.cached, 1.0), marginal)
    return Phases((request - cached) / jnp.maximum(load.uncached, 1.0), reload, decode)
