"""Where a replica settles under a closed loop: running batch, TPOT, TTFT and throughput."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime, iteration
from clustermodel.physics.work import Demand, Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, memory_use
from clustermodel.serving.phases import Phases
from clustermodel.serving.prefix import CachedTokenTime, cached_token_time

_PASSES = 3  # the running batch settles to 1e-3 within three substitutions
_NORM = 4  # sharpness of the minimum of demand and room


class Bounds(eqx.Module):
    """What physics allows at the best, at peak bandwidth and peak arithmetic."""

    tpot: Scalar  # s, least
    ttft: Scalar  # s, least
    output_rate: Scalar  # token/s of the replica, most


class ServingPoint(eqx.Module):
    """A steady operating point of one replica (SI; rates are of the whole replica)."""

    ttft: Scalar
    tpot: Scalar
    batch: Scalar  # mean running sequences
    request_rate: Scalar  # requests/s
    output_rate: Scalar  # token/s
    step: StepTime  # one pure decode iteration
    time: Phases  # TPOT by phase (s)
    token_time: Phases  # time of the replica per uncached, cached and output token (s/token)
    prefill_demand: Demand  # work at peak rates behind `time.prefill` and `time.reload` (s)
    decode_demand: Demand  # work at peak rates behind `time.decode` (s)
    memory: MemoryUse
    bounds: Bounds

    @property
    def utilisation(self) -> Demand:
        """Achieved bandwidth and arithmetic over their peaks, mean over time."""
        need = self.prefill_demand + self.decode_demand
        return Demand(need.traffic / self.tpot, need.arithmetic / self.tpot)


def closed_loop(deployment: Deployment, load: Load) -> ServingPoint:
    """The steady state of a replica that always has `load.concurrency` requests in flight.

    Continuous batching with chunked prefill: every decode iteration carries a prefill chunk with the
    probability phi that balances input and output tokens, TPOT = t(b, 0) + phi [t(b, c) - t(b, 0)], and the
    running batch is what concurrency, memory and time spent in prefill leave [docs: configs/calibration].
    """
    memory = memory_use(deployment, load)
    asked = jnp.minimum(load.concurrency, deployment.engine.max_num_seqs * deployment.layout.dp)
    most = _smooth_minimum(asked, jnp.maximum(memory.sequences, 1e-3))
    prefill, prefix = _prefill_time(deployment, load), cached_token_time(deployment, load)
    batch, mixed = most, _mixed(deployment, load, most, prefix)
    for _ in range(_PASSES - 1):
        batch = most * load.osl * mixed.tpot / (load.osl * mixed.tpot + prefill.request)
        mixed = _mixed(deployment, load, batch, prefix)
    ttft = _ttft(deployment, load, mixed.tpot, memory.sequences) + load.cached * prefix.latency
    ttft = jnp.maximum(ttft, prefill.bound)
    most_rate = batch / mixed.bound
    in_turn = load.concurrency * load.osl / (ttft + load.osl * mixed.tpot)  # Little's law
    running = batch / mixed.tpot  # no more than what runs can put out
    output_rate = jnp.minimum(jnp.minimum(in_turn, running), most_rate)
    return ServingPoint(
        ttft=ttft,
        tpot=mixed.tpot,
        batch=batch,
        request_rate=output_rate / load.osl,
        output_rate=output_rate,
        step=mixed.step,
        time=mixed.time,
        token_time=_token_time(load, batch, mixed.time, prefix),
        prefill_demand=mixed.prefill_demand,
        decode_demand=mixed.decode_demand,
        memory=memory,
        bounds=Bounds(mixed.step_bound, prefill.bound, most_rate),
    )


class _Mixed(eqx.Module):
    """The mean iteration of a running batch, prefill included."""

    tpot: Scalar
    step: StepTime
    time: Phases
    prefill_demand: Demand
    decode_demand: Demand
    step_bound: Scalar  # of the decode iteration alone
    bound: Scalar  # with the prefill it has to carry


def _smooth_minimum(a: Scalar, b: Scalar) -> Scalar:
    return (a**-_NORM + b**-_NORM) ** (-1 / _NORM)


def _tokens(load: Load, decode: Scalar, prefill: Scalar) -> Tokens:
    return Tokens(decode, prefill, load.context, load.prefill_context, 1 + load.draft_tokens)


def _mixed(deployment: Deployment, load: Load, batch: Scalar, prefix: CachedTokenTime) -> _Mixed:
    c, zero = deployment.coefficients, jnp.zeros_like(batch)
    pure, need = iteration(deployment, _tokens(load, batch, zero))
    balance = batch / deployment.layout.pp * load.uncached / load.osl
    chunk = jnp.maximum(balance, load.chunk(deployment.engine.chunk))
    share = balance / jnp.maximum(chunk, 1e-9)
    full, full_need = iteration(deployment, _tokens(load, batch, chunk))
    apart = jnp.where(load.equal_lengths > 0, c.synchronised, 1.0)
    launches = deployment.model.layers * c.mixed_launch
    longer = jnp.maximum(full.total - pure.total, 0.0)  # more tokens even out expert load
    extra = share * (longer * c.mixing + launches) * apart
    accepted = 1 + load.accepted_tokens
    step_bound = need.total.bound / (1 + load.draft_tokens)
    reused = batch * load.cached / load.osl
    attention = jnp.minimum(reused * prefix.attention * c.mixing * apart, extra)
    time = Phases(
        prefill=extra - attention,
        reload=reused * prefix.reload + attention,
        decode=jnp.maximum(pure.total / accepted, step_bound),
    )
    added = _less(full_need.total, need.total).scaled(share)
    per_token = need.total.scaled(1 / accepted)
    bound = need.total.scaled(1 / (1 + load.draft_tokens)) + added
    return _Mixed(time.total, pure, time, added, per_token, step_bound, bound.bound)


def _less(a: Demand, b: Demand) -> Demand:
    return Demand(a.traffic - b.traffic, a.arithmetic - b.arithmetic)


def _token_time(load: Load, batch: Scalar, time: Phases, prefix: CachedTokenTime) -> Phases:
    """Seconds of the replica per token of each class; finite for a class of which there are no tokens."""
    uncached = batch * jnp.maximum(load.uncached, 1.0) / load.osl
    reused = batch * load.cached / load.osl
    some = reused > 0
    marginal = prefix.reload + prefix.attention
    reload = jnp.where(some, time.reload / jnp.where(some, reused, 1.0), marginal)
    return Phases(prefill=time.prefill / uncached, reload=reload, decode=time.decode / batch)


class _Prefill(eqx.Module):
    request: Scalar  # one request alone
    bound: Scalar


def _prefill_time(deployment: Deployment, load: Load) -> _Prefill:
    """One request's prefill on an idle replica, chunk by chunk (s)."""
    zero = jnp.zeros_like(load.isl)
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    step, need = iteration(deployment, _tokens(load, zero, chunk))
    chunks = load.uncached / chunk
    return _Prefill(chunks * step.total, chunks * need.total.bound)


def _ttft(deployment: Deployment, load: Load, tpot: Scalar, room: Scalar) -> Scalar:
    """Own prefill, the rest of a running iteration, the burst queue and the wait for a cache slot (s).

    TTFT = s (h0 + h1 TPOT chunks + k t_w) + t_w (N/dp - 1)(b0 + b1 rho^g) + h_n N
           + (N - room)/min(N, room) osl TPOT w,  with t_w a prefill wave over all attention ranks and rho the
    prefill load.
    """
    c, layout = deployment.coefficients, deployment.layout
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    wave, _ = iteration(deployment, _tokens(load, jnp.zeros_like(chunk), chunk * layout.dp))
    wave_time = load.uncached / chunk * (wave.total + deployment.model.layers * c.mixed_launch)
    per_rank = load.concurrency / layout.dp
    rho = jnp.minimum(per_rank * wave_time / (load.osl * tpot), 1.5)
    chunks = jnp.ceil(load.uncached / deployment.engine.chunk)
    alone = c.ttft_scale * (c.ttft_host + c.ttft_iterations * tpot * chunks + c.ttft_prefill * wave_time)
    equal = jnp.where(load.equal_lengths > 0, c.burst_equal, 1.0)
    ahead = jnp.maximum(per_rank - 1, 0.0) * (c.burst_floor + c.burst_slope * rho**c.burst_exponent) * equal
    room = jnp.maximum(room, 1e-3)
    waiting = jnp.maximum(load.concurrency - room, 0.0) / jnp.minimum(load.concurrency, room)
    slot = waiting * load.osl * tpot * c.slot_wait
    return alone + wave_time * ahead + slot + c.ttft_request * load.concurrency
