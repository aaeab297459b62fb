"""A replica under a power cap: prefill slows, decode hardly, and what is best for energy and for money."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.physics.clocks import Bound, Clocks, clock_under_cap, clocked_power, stretched
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower, Phases, mean_power
from clustermodel.physics.step import StepTime, iteration
from clustermodel.physics.work import Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.power import power_by_phase, serving_power, serving_work
from clustermodel.serving.steady import ServingPoint
from clustermodel.specs import quantity

Caps = Float[Array, " caps"]


class Served(eqx.Module):
    """A replica, what it is asked, and the point where it settles without a cap."""

    deployment: Deployment
    load: Load
    point: ServingPoint


class CappedPoint(eqx.Module):
    """What a replica does under a cap on its boards (SI; rates of the whole replica)."""

    prefill_clock: Scalar  # relative to the full clock
    decode_clock: Scalar
    prefill_slowdown: Scalar  # time over that without the cap
    decode_slowdown: Scalar
    tpot: Scalar
    output_rate: Scalar
    power: Phases  # W by phase
    board_power: Scalar  # W, mean
    joules_per_token: Scalar  # board energy of the replica per output token


class CapPrice(eqx.Module):
    """What an accelerator costs besides its own energy, for choosing a cap by money."""

    fixed: Scalar = quantity("USD/s", "accelerator, system and staff, whatever it draws")
    electricity: Scalar = quantity("USD/J", "delivered energy price")
    per_watt: Scalar = quantity("USD/W/s", "building and power capacity per W planned", 0.0)
    overhead: Scalar = quantity("", "facility power over board power", 1.0, least=1.0)


def under_cap(served: Served, board: BoardPower, clocks: Clocks, cap: Scalar) -> CappedPoint:
    """The operating point of a replica with its boards held at `cap` watts.

    Each phase runs at the highest clock that keeps its own power under the cap. Batch and phases stay; a cap
    at or above the board's own changes nothing.
    """
    deployment, load, point = served.deployment, served.load, served.point
    work = serving_work(deployment, load, point.batch, load.context, board.padding_rows)
    is_multi = jnp.where(deployment.layout.n_accelerators > 1, 1.0, 0.0)
    before = point.time.prefill + point.time.reload
    none = jnp.zeros_like(before)
    time = Phases(before, point.time.decode, none, none)
    full = power_by_phase(board, work, time, is_multi)
    prefill, decode = _bounds(served)
    first = _phase(clocks, board, cap, full.prefill, prefill)
    second = _phase(clocks, board, cap, full.decode, decode)
    slower = Phases(before * first.slowdown, point.time.decode * second.slowdown, none, none)
    power = Phases(first.power, second.power, full.stalled, full.idle)
    mean = serving_power(board, work.total, point.time.total, is_multi) / mean_power(full, time)
    drawn = jnp.minimum(mean * mean_power(power, slower), jnp.minimum(cap, board.cap))
    rate = point.output_rate * point.time.total / slower.total
    return CappedPoint(
        prefill_clock=first.clock,
        decode_clock=second.clock,
        prefill_slowdown=first.slowdown,
        decode_slowdown=second.slowdown,
        tpot=slower.decode + point.others * slower.prefill,
        output_rate=rate,
        power=power,
        board_power=jnp.maximum(drawn, board.stalled),
        joules_per_token=drawn * deployment.layout.n_accelerators / rate,
    )


class _Capped(eqx.Module):
    clock: Scalar
    slowdown: Scalar
    power: Scalar


def _phase(clocks: Clocks, board: BoardPower, cap: Scalar, full: Scalar, bound: Bound) -> _Capped:
    clock = clock_under_cap(clocks, full, board.stalled, cap)
    slowdown = stretched(clocks, bound, clock) / stretched(clocks, bound, jnp.ones_like(clock))
    return _Capped(clock, slowdown, clocked_power(clocks, full, board.stalled, clock))


def _bounds(served: Served) -> tuple[Bound, Bound]:
    """What bounds a prefill chunk and a decode iteration."""
    deployment, load = served.deployment, served.load
    none = jnp.zeros_like(served.point.batch)
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    alone, _ = iteration(deployment, Tokens(none, chunk, load.context, load.prefill_context))
    return _bound(alone), _bound(served.point.step)


def _bound(step: StepTime) -> Bound:
    parts = (step.dense, step.experts, step.head, step.attention)
    return Bound(
        arithmetic=sum((part.arithmetic for part in parts), step.prefill_attention),
        traffic=sum((part.traffic for part in parts), jnp.zeros_like(step.host)),
        other=step.communication.total + step.launch + step.host,
    )


def usd_per_token(capped: CappedPoint, price: CapPrice, n_accelerators: Scalar) -> Scalar:
    """Cost of an output token (USD): time of the accelerators, capacity for their watts, and their energy.

    c = n (fixed + (per_watt + electricity) overhead P) / rate. With `per_watt` the shadow price of a site's
    power limit, the cap that minimises it is the best cap under that limit.
    """
    watts = price.overhead * capped.board_power
    return n_accelerators * (price.fixed + (price.per_watt + price.electricity) * watts) / capped.output_rate


def cap_sweep(served: Served, board: BoardPower, clocks: Clocks, caps: Caps) -> CappedPoint:
    """`under_cap` at each of `caps` (W); a struct of arrays to take the best of."""
    return jax.vmap(lambda cap: under_cap(served, board, clocks, cap))(caps)


def tokens_under_site_limit(capped: CappedPoint, limit: Scalar, overhead: Scalar, n: Scalar) -> Scalar:
    """Output tokens/s of a site whose power `limit` (W) is filled with replicas of `n` accelerators."""
    return limit / (overhead * n * capped.board_power) * capped.output_rate
