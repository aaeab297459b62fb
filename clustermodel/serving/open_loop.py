"""Latency of one replica when requests arrive on their own, whatever is still running: means and percentiles.

Running sequences share the engine like customers of a processor-sharing queue: n of them each need osl steps of
TPOT(n). The number in progress then has the product form

    pi(n) ~ prod_{k <= n} rate osl TPOT(min(k, room)) / min(k, room)

for any distribution of lengths [F. P. Kelly, Reversibility and Stochastic Networks, 1979, ch. 3.3]; beyond the
room for sequences requests wait for a slot in order of arrival. Prompts that arrive during an iteration join the
next one, which makes iterations longer, in which more prompts arrive.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, ndtr, ndtri
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import iteration
from clustermodel.serving.first_token import prefill_alone, unloaded_ttft
from clustermodel.serving.load import Load
from clustermodel.serving.memory import memory_use
from clustermodel.serving.mixed import mixed_iteration, tokens_of
from clustermodel.serving.placement import placed_for
from clustermodel.specs import quantity

LEVELS = (0.5, 0.9, 0.99)
"""Percentiles reported beside the mean."""

_STATES = 256  # numbers of running sequences looked at
_NODES = 9  # of them, where TPOT is evaluated; it is nearly affine in between
_FIXED_POINT = 40  # substitutions for the mean number in progress
_WIDTH = 10.0  # standard deviations of the number in progress covered


class Arrivals(eqx.Module):
    """How requests come in and how much they differ; the defaults are Poisson arrivals of exponential sizes."""

    rate: Scalar = quantity("request/s", "mean arrival rate at one replica")
    burstiness: Scalar = quantity("", "squared coefficient of variation of the times between arrivals", 1.0)
    input_variation: Scalar = quantity("", "squared coefficient of variation of input lengths", 1.0)


class Quantiles(eqx.Module):
    """A latency: its mean and its percentiles (s)."""

    mean: Scalar
    p50: Scalar
    p90: Scalar
    p99: Scalar


class Latency(eqx.Module):
    """What users of a replica with arrivals of its own see."""

    ttft: Quantiles
    tpot: Quantiles
    batch: Scalar  # mean running sequences
    utilisation: Scalar  # arrival rate over the largest the replica can carry
    waiting: Scalar  # share of requests that wait for a slot
    stable: Scalar  # 1 where the queue does not grow without limit


def attained(latency: Quantiles, limit: Scalar) -> Scalar:
    """Share of requests whose latency is at most `limit` (s): between the percentiles, normal in its logarithm."""
    scores = ndtri(jnp.asarray(LEVELS))
    seen = jnp.log(jnp.stack([latency.p50, latency.p90, latency.p99]))
    rise = jnp.maximum(jnp.diff(seen), 1e-9) / jnp.diff(scores)
    at = jnp.log(limit)
    below = scores[1] + (at - seen[1]) / rise[0]
    above = scores[1] + (at - seen[1]) / rise[1]
    share = ndtr(jnp.where(at < seen[1], below, above))
    return jnp.where(jnp.isfinite(latency.p99), share, 0.0)


States = Float[Array, " states"]
Curve = Callable[[Array], Array]


def open_loop(deployment: Deployment, load: Load, arrivals: Arrivals) -> Latency:
    """Steady-state latency under `arrivals`; `load.concurrency` is not used. Unstable points are infinite.

    Running data are placed anew for every number of running sequences.
    """
    slots = deployment.engine.max_num_seqs * deployment.layout.dp
    memory = memory_use(placed_for(deployment, load, slots), load)
    room = jnp.maximum(jnp.floor(jnp.minimum(memory.sequences, slots)), 1.0)
    tpot_of = _tpot_curve(deployment, load, room)
    most = room / (load.osl * tpot_of(room))
    used = arrivals.rate / most
    # the distribution of a nearly full replica stands for unstable ones, which are set to infinity below
    rate = jnp.minimum(arrivals.rate, 0.999 * most)
    number, weight, tail = in_progress(load, rate, room, tpot_of, arrivals.burstiness)
    batch = jnp.sum(weight * jnp.minimum(number, room))
    tpot = tpot_quantiles(number + companions(arrivals), weight, room, tpot_of)
    wait = Wait(tail, 1 / (most - rate))
    here = placed_for(deployment, load, jnp.maximum(batch, 1.0))
    ttft = _ttft(here, load, eqx.tree_at(lambda a: a.rate, arrivals, rate), batch, wait)
    stable = used < 1
    bad = lambda q: jax.tree.map(lambda leaf: jnp.where(stable, leaf, jnp.inf), q)
    return Latency(bad(ttft), bad(tpot), batch, used, tail, jnp.where(stable, jnp.ones_like(used), 0.0))


def _tpot_curve(deployment: Deployment, load: Load, room: Scalar) -> Curve:
    """TPOT as a function of the number of running sequences (s), linear between nodes."""
    return interpolated(lambda n: mixed_iteration(placed_for(deployment, load, n), load, n, n).tpot, room)


def interpolated(tpot_of: Callable[[Scalar], Scalar], room: Scalar) -> Curve:
    """A TPOT of the number of running sequences, linear between nodes from 1 to `room`."""
    nodes = jnp.exp(jnp.linspace(0.0, 1.0, _NODES) * jnp.log(room))
    times = jax.vmap(tpot_of)(nodes)
    return lambda n: jnp.interp(n, nodes, times)


def in_progress(
    load: Load, rate: Scalar, room: Scalar, tpot_of: Curve, burstiness: Scalar
) -> tuple[States, States, Scalar]:
    """Numbers running and their probabilities, and the probability that an arrival has to wait for a slot.

    Bursty arrivals widen the distribution by the peakedness (1 + c^2)/2 of a renewal stream.
    """
    spread = (1 + burstiness) / 2
    mean = jnp.minimum(rate * load.osl * tpot_of(jnp.ones(())), room)
    settle = lambda _, n: jnp.minimum(0.5 * (n + rate * load.osl * tpot_of(n)), room)
    mean = jax.lax.fori_loop(0, _FIXED_POINT, settle, mean)
    highest = jnp.minimum(room, mean + _WIDTH * jnp.sqrt(spread * (mean + 1)) * (1 + mean / room) + _WIDTH)
    step = jnp.maximum(highest / (_STATES - 1), 1.0)
    number = jnp.minimum(jnp.arange(_STATES) * step, room)
    inside = jnp.arange(_STATES) * step <= room + 1e-9
    middle = (number[1:] + number[:-1]) / 2
    growth = jnp.log(rate * load.osl * tpot_of(middle)) * jnp.diff(number)
    log_weight = jnp.concatenate([jnp.zeros(1), jnp.cumsum(growth)]) - gammaln(number + 1)
    log_weight = jnp.where(inside, log_weight / spread, -jnp.inf)
    weight = jnp.exp(log_weight - jnp.max(log_weight)) * step
    ratio = rate * load.osl * tpot_of(room) / room
    at_room = jnp.where(highest >= room, weight[jnp.sum(inside) - 1] / step, 0.0)
    queued = at_room * ratio / (1 - ratio)  # a geometric tail beyond the room
    total = jnp.sum(weight) + queued
    weight = weight / total
    last = jnp.arange(_STATES) == jnp.sum(inside) - 1
    return number, jnp.where(last, weight + queued / total, weight), (at_room + queued) / total


def companions(arrivals: Arrivals) -> Scalar:
    """Requests of the same burst that one shares its life with, beyond the mean number in progress.

    A burst of B requests (geometric, c^2 = E[B^2]/E[B]) shows each of them c^2 - 1 others, which stay for half of
    its life in the mean; none under Poisson arrivals.
    """
    return jnp.maximum(arrivals.burstiness - 1, 0.0) / 2


def tpot_quantiles(number: States, weight: States, room: Scalar, tpot_of: Curve) -> Quantiles:
    """TPOT of a request that shares the engine with `number` others, averaged over its own life.

    The number in progress forgets itself in about one service time; averaging over one halves its variance to
    2 e^-1 of the momentary one.
    """
    seen = tpot_of(jnp.minimum(number + 1, room))
    mean = jnp.sum(weight * seen)
    shrink = jnp.sqrt(2 * jnp.exp(-1.0))
    cumulative = jnp.cumsum(weight)
    at = lambda level: mean + shrink * (jnp.interp(level, cumulative, seen) - mean)
    return Quantiles(mean, *(at(level) for level in LEVELS))


def _own_iteration(
    deployment: Deployment, load: Load, arrivals: Arrivals, batch: Scalar, others: Scalar
) -> tuple[Scalar, Scalar]:
    """Mean and standard deviation of the iteration that prefills a prompt and its companions (s).

    From the times one standard deviation of its prompt tokens below and above their mean: small prompts hide
    behind reading the weights, large ones do not.
    """
    mean = load.uncached * (1 + others)
    deviation = load.uncached * jnp.sqrt(arrivals.input_variation + others * (1 + arrivals.input_variation))
    time = lambda prompt: iteration(deployment, tokens_of(load, batch, prompt))[0].total
    low, high = time(jnp.maximum(mean - deviation, 0.0)), time(mean + deviation)
    return (low + high) / 2, (high - low) / 2


class Wait(eqx.Module):
    """Waiting, for a slot or for a server: with what probability, and how long in the mean where it happens (s)."""

    probability: Scalar
    mean: Scalar

    def at(self, level: float) -> Scalar:
        """Quantile of the wait, exponential where it happens (s)."""
        return self.mean * jnp.maximum(jnp.log(jnp.maximum(self.probability, 1e-30) / (1 - level)), 0.0)


def _ttft(deployment: Deployment, load: Load, arrivals: Arrivals, batch: Scalar, slot: Wait) -> Quantiles:
    """Time to first token: what it takes alone, the prompts it shares iterations with, and the wait for a slot.

    An arrival finds an iteration of mean length T* = E[T^2]/E[T]; the prompts that arrive in it join its own, and
    so do those of its own burst, c^2 - 1 in the mean.
    Prompts longer than a chunk are served one after the other, a queue with general service times
    [Pollaczek-Khinchine].
    """
    step = mixed_iteration(deployment, load, batch, batch + 1)
    prompt, varied = step.prompt_time, 1 + arrivals.input_variation
    burst = jnp.maximum(arrivals.burstiness - 1, 0.0)  # others of an arrival's own burst
    length = step.tpot + arrivals.rate * prompt**2 * (varied + burst)
    others = arrivals.rate * length + burst  # prompts that share the iteration
    chunks = prefill_alone(deployment, load).chunks
    service = prompt + chunks * step.step.total
    busy = jnp.minimum(arrivals.rate * service, 0.999)
    behind = busy * service * varied * (1 + arrivals.burstiness) / 4 / (1 - busy)
    behind = behind * (1 - 1 / jnp.maximum(chunks, 1.0))
    alone = unloaded_ttft(deployment, load, step.tpot, batch)
    own, spread = _own_iteration(deployment, load, arrivals, batch, others)
    base = alone.total + jnp.maximum(own - alone.wave, 0.0) + behind
    variance = length**2 / 12 + spread**2 + behind**2
    sigma2 = jnp.log1p(variance / base**2)
    at = lambda level: base * jnp.exp(jnp.sqrt(sigma2) * ndtri(level) - sigma2 / 2) + slot.at(level)
    return Quantiles(base + slot.probability * slot.mean, *(at(level) for level in LEVELS))
