"""Where a replica settles under a closed loop: running batch, TPOT, TTFT and throughput."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime, iteration
from clustermodel.physics.work import Demand, Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, memory_use

_PASSES = 3  # the running batch settles to 1e-3 within three substitutions
_NORM = 4  # sharpness of the minimum of demand and room


class Phases(eqx.Module):
    """Three numbers, one for each phase of serving."""

    prefill: Scalar
    reload: Scalar
    decode: Scalar

    @property
    def total(self) -> Scalar:
        """The sum of the three."""
        return self.prefill + self.reload + self.decode


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
    demand: Phases  # of Demand: work at peak rates behind those times (s)
    accepted: Scalar  # tokens per sequence and iteration
    memory: MemoryUse
    bounds: Bounds

    @property
    def utilisation(self) -> Demand:
        """Achieved bandwidth and arithmetic over their peaks, mean over time."""
        need = self.demand.prefill + self.demand.decode
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
    prefill = _prefill_time(deployment, load)
    batch, mixed = most, _mixed(deployment, load, most)
    for _ in range(_PASSES - 1):
        batch = most * load.osl * mixed.tpot / (load.osl * mixed.tpot + prefill.request)
        mixed = _mixed(deployment, load, batch)
    ttft = jnp.maximum(_ttft(deployment, load, mixed.tpot, memory.sequences), prefill.bound)
    most_rate = batch / mixed.bound
    output_rate = jnp.minimum(load.concurrency * load.osl / (ttft + load.osl * mixed.tpot), most_rate)
    return ServingPoint(
        ttft=ttft,
        tpot=mixed.tpot,
        batch=batch,
        request_rate=output_rate / load.osl,
        output_rate=output_rate,
        step=mixed.step,
        time=mixed.time,
        demand=mixed.demand,
        accepted=1 + load.accepted_tokens,
        memory=memory,
        bounds=Bounds(mixed.step_bound, prefill.bound, most_rate),
    )


class _Mixed(eqx.Module):
    """The mean iteration of a running batch, prefill included."""

    tpot: Scalar
    step: StepTime
    time: Phases
    demand: Phases
    step_bound: Scalar  # of the decode iteration alone
    bound: Scalar  # with the prefill it has to carry


def _smooth_minimum(a: Scalar, b: Scalar) -> Scalar:
    return (a**-_NORM + b**-_NORM) ** (-1 / _NORM)


def _tokens(load: Load, decode: Scalar, prefill: Scalar) -> Tokens:
    return Tokens(decode, prefill, load.context, load.prefill_context)


def _mixed(deployment: Deployment, load: Load, batch: Scalar) -> _Mixed:
    c, layers = deployment.coefficients, deployment.model.layers
    zero = jnp.zeros_like(batch)
    drafted = batch * (1 + load.draft_tokens)
    plain, plain_need = iteration(deployment, _tokens(load, batch, zero))
    verify, need = iteration(deployment, _tokens(load, drafted, zero))
    balance = batch / deployment.layout.pp * load.uncached / load.osl
    chunk = jnp.maximum(balance, load.chunk(deployment.engine.chunk))
    share = balance / jnp.maximum(chunk, 1e-9)
    full, full_need = iteration(deployment, _tokens(load, batch, chunk))
    apart = jnp.where(load.equal_lengths > 0, c.synchronised, 1.0)
    extra = share * ((full.total - plain.total) * c.mixing + layers * c.mixed_launch) * apart
    accepted = 1 + load.accepted_tokens
    decode = jnp.maximum(verify.total / accepted, need.total.bound / (1 + load.draft_tokens))
    time = Phases(prefill=extra, reload=zero, decode=decode)
    added = Demand(
        share * (full_need.total.traffic - plain_need.total.traffic),
        share * (full_need.total.arithmetic - plain_need.total.arithmetic),
    )
    per_token = Demand(need.total.traffic / accepted, need.total.arithmetic / accepted)
    return _Mixed(
        tpot=time.total,
        step=verify,
        time=time,
        demand=Phases(prefill=added, reload=Demand(zero, zero), decode=per_token),
        step_bound=need.total.bound / (1 + load.draft_tokens),
        bound=(per_token + added).bound,
    )


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

    TTFT = s (h0 + h1 TPOT chunks + k t_w) + t_w (N/dp - 1)(b0 + b1 rho^g) + (N - room)/min(N, room) osl TPOT w
    + h_n N, with t_w a prefill wave over all attention ranks and rho the prefill load.
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
