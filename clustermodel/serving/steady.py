"""Where a replica settles under a closed loop: running batch, TPOT, TTFT and throughput."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime
from clustermodel.physics.work import Demand
from clustermodel.serving.admission import admitted
from clustermodel.serving.first_token import prefill_alone, unloaded_ttft
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, memory_use
from clustermodel.serving.mixed import mixed_iteration, mixed_share, others
from clustermodel.serving.phases import Phases
from clustermodel.serving.prefix import cached_token_time

_PASSES = 3  # the running batch settles to 1e-3 within three substitutions


class Bounds(eqx.Module):
    """What physics allows at the best, at peak bandwidth and peak arithmetic."""

    tpot: Scalar  # s, least
    ttft: Scalar  # s, least
    output_rate: Scalar  # token/s of the replica, most


class ServingPoint(eqx.Module):
    """A steady operating point of one replica (SI; rates are of the whole replica)."""

    ttft: Scalar
    tpot: Scalar  # as a running request sees it: `time` with the share `others` of what prompts take
    others: Scalar
    batch: Scalar  # mean running sequences
    request_rate: Scalar  # requests/s
    output_rate: Scalar  # token/s
    step: StepTime  # one pure decode iteration
    time: Phases  # of the replica per output token of every running sequence, by phase (s)
    token_time: Phases  # time of the replica per uncached, cached and output token (s/token)
    prefill_demand: Demand  # work at peak rates behind `time.prefill` and `time.reload` (s)
    decode_demand: Demand  # work at peak rates behind `time.decode` (s)
    memory: MemoryUse
    bounds: Bounds

    @property
    def utilisation(self) -> Demand:
        """Achieved bandwidth and arithmetic over their peaks, mean over time."""
        need = self.prefill_demand + self.decode_demand
        return Demand(need.traffic / self.time.total, need.arithmetic / self.time.total)


def closed_loop(deployment: Deployment, load: Load) -> ServingPoint:
    """The steady state of a replica that always has `load.concurrency` requests in flight.

    The running batch is what the n requests that are `admitted` leave of the time that they spend in prefill:
    b = n osl TPOT(b) / (osl TPOT(b) + t_prefill). By Little's law the other N - n wait (N - n)/n times as long as a
    request is served, osl TPOT + t_prefill.
    """
    memory = memory_use(deployment, load)
    taken = admitted(deployment, load, memory)
    most = taken.requests
    prefill, prefix = prefill_alone(deployment, load), cached_token_time(deployment, load)
    batch, mixed = most, mixed_iteration(deployment, load, most, most, prefix)
    for _ in range(_PASSES - 1):
        batch = most * load.osl * mixed.tpot / (load.osl * mixed.tpot + prefill.request)
        mixed = mixed_iteration(deployment, load, batch, most, prefix)
    marginal = prefix.reload + prefix.attention * mixed_share(deployment, load)
    waiting = taken.waiting * (load.osl * mixed.tpot + prefill.request)
    ttft = jnp.maximum(_ttft(deployment, load, mixed.tpot, most, waiting), prefill.bound)
    most_rate = batch / mixed.bound
    in_turn = load.concurrency * load.osl / (ttft + load.osl * mixed.tpot)  # Little's law
    running = batch / mixed.tpot  # no more than what runs can put out
    output_rate = jnp.minimum(jnp.minimum(in_turn, running), most_rate)
    return ServingPoint(
        ttft=ttft,
        tpot=mixed.tpot,
        others=others(most),
        batch=batch,
        request_rate=output_rate / load.osl,
        output_rate=output_rate,
        step=mixed.step,
        time=mixed.time,
        token_time=_token_time(load, batch, mixed.time, marginal),
        prefill_demand=mixed.prefill_demand,
        decode_demand=mixed.decode_demand,
        memory=memory,
        bounds=Bounds(mixed.step_bound, prefill.bound, most_rate),
    )


def _token_time(load: Load, batch: Scalar, time: Phases, marginal: Scalar) -> Phases:
    """Seconds of the replica per token of each class; the first cached one would take `marginal`."""
    batch = jnp.maximum(batch, 1.0)  # as in `mixed_iteration`
    uncached = batch * jnp.maximum(load.uncached, 1.0) / load.osl
    reused = batch * load.cached / load.osl
    some = reused > 0
    reload = jnp.where(some, time.reload / jnp.where(some, reused, 1.0), marginal)
    return Phases(prefill=time.prefill / uncached, reload=reload, decode=time.decode / batch)


def _ttft(deployment: Deployment, load: Load, tpot: Scalar, most: Scalar, waiting: Scalar) -> Scalar:
    """Time to first token in a closed loop: alone, behind a burst of prompts, and `waiting` to be admitted (s).

    TTFT = alone + t_w (n/dp - 1)(b0 + b1 rho^g) + waiting + h_n N,  with n = `most` requests admitted, t_w a prefill
    wave over all attention ranks and rho the prefill load.
    """
    c, per_rank = deployment.coefficients, most / deployment.layout.dp
    alone = unloaded_ttft(deployment, load, tpot, jnp.maximum(most - 1, 0.0))
    rho = jnp.minimum(per_rank * alone.wave / (load.osl * tpot), 1.5)
    equal = jnp.where(load.equal_lengths > 0, c.burst_equal, 1.0)
    some = jnp.maximum(rho, 1e-9)  # without prompts the wave is 0, whatever comes of this
    burst = c.burst_floor + c.burst_slope * jnp.exp(c.burst_exponent * jnp.log(some))
    ahead = jnp.maximum(per_rank - 1, 0.0) * burst * equal
    return alone.total + alone.wave * ahead + waiting + c.ttft_request * load.concurrency
