"""Latency of two pools when requests arrive on their own: a station of prefill servers, then a shared decode pool."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaincc, gammaln, ndtri

from clustermodel._types import Scalar
from clustermodel.serving.load import Load
from clustermodel.serving.memory import memory_use
from clustermodel.serving.open_loop import (
    LEVELS,
    Arrivals,
    Latency,
    Quantiles,
    Wait,
    companions,
    in_progress,
    interpolated,
    tpot_quantiles,
)
from clustermodel.serving.pools import (
    Pools,
    Wave,
    decode_iteration,
    decode_room,
    exposed_transfer,
    placed_pool,
    prefill_wave,
    transfer_rate,
    unloaded_ttft,
)

_NEAR = 0.999  # of the largest rate; stands for unstable ones, which are set to infinity


def open_loop_pools(pools: Pools, load: Load, arrivals: Arrivals) -> Latency:
    """Steady-state latency under `arrivals`; `load.concurrency` is not used. Unstable points are infinite.

    Prefill is a queue of n dp servers with general arrivals and lengths; decode is shared by all that run, as in
    `open_loop`; a request waits for a slot of the decode pool with its prefill done.
    """
    pools = eqx.tree_at(lambda p: p.prefill, pools, placed_pool(pools.prefill, load, pools.prefill.workers))
    wave = prefill_wave(pools.prefill, load)
    endless = jnp.full_like(load.isl, jnp.inf)  # as many as a worker may run
    own = memory_use(placed_pool(pools.decode, load, endless).worker, load)
    room = jnp.maximum(jnp.floor(decode_room(pools.decode, own)), 1.0)
    tpot_of = interpolated(lambda n: decode_iteration(placed_pool(pools.decode, load, n), load, n).tpot, room)
    decoded = room / (load.osl * tpot_of(room))
    most = jnp.minimum(jnp.minimum(wave.rate, decoded), transfer_rate(pools, load))
    used = arrivals.rate / most
    rate = jnp.minimum(arrivals.rate, _NEAR * most)
    number, weight, tail = in_progress(load, rate, room, tpot_of, arrivals.burstiness)
    tpot = tpot_quantiles(number + companions(arrivals), weight, room, tpot_of)
    waits = (prefill_wait(wave, rate, arrivals), Wait(tail, 1 / (decoded - rate)))
    ttft = _ttft(pools, load, wave, arrivals, waits)
    stable = used < 1
    bad = lambda q: jax.tree.map(lambda leaf: jnp.where(stable, leaf, jnp.inf), q)
    batch = jnp.sum(weight * jnp.minimum(number, room))
    return Latency(bad(ttft), bad(tpot), batch, used, tail, jnp.where(stable, jnp.ones_like(used), 0.0))


def erlang_c(servers: Scalar, work: Scalar) -> Scalar:
    """Probability that an arrival waits in M/M/c with `work` servers busy in the mean; c need not be whole.

    B = (a^c e^-a / c!) / Q(c + 1, a),  C = B / (1 - (a/c) (1 - B))  [Erlang 1917; Jagerman 1974 for real c]
    """
    point = jnp.exp(servers * jnp.log(work) - work - gammaln(servers + 1))
    blocked = point / gammaincc(servers + 1, work)
    return blocked / (1 - work / servers * (1 - blocked))


def prefill_wait(wave: Wave, rate: Scalar, arrivals: Arrivals) -> Wait:
    """Waiting for a prefill rank: M/M/c scaled by the variation of arrivals and lengths [Allen & Cunneen 1978]."""
    servers = wave.rate * wave.time
    varied = (arrivals.burstiness + arrivals.input_variation) / 2
    return Wait(erlang_c(servers, rate * wave.time), varied / (wave.rate - rate))


def _ttft(pools: Pools, load: Load, wave: Wave, arrivals: Arrivals, waits: tuple[Wait, Wait]) -> Quantiles:
    """Own prefill, as long as its prompt is; the exposed transfer; and both waits."""
    base = unloaded_ttft(pools, wave, exposed_transfer(pools, load, wave), jnp.zeros_like(wave.time))
    sigma2 = jnp.log1p(arrivals.input_variation * (wave.time / base) ** 2)
    own = lambda level: base * jnp.exp(jnp.sqrt(sigma2) * ndtri(level) - sigma2 / 2)
    at = lambda level: own(level) + sum((wait.at(level) for wait in waits), jnp.zeros_like(base))
    mean = base + sum((wait.probability * wait.mean for wait in waits), jnp.zeros_like(base))
    return Quantiles(mean, *(at(level) for level in LEVELS))
