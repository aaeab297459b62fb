"""Frequency and power caps: how time stretches and power falls when the compute clock is lowered."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs import quantity


class Clocks(eqx.Module):
    """How boards of a kind answer to their compute clock; frequencies are relative to the full clock."""

    voltage_knee: Scalar = quantity("", "clock below which the voltage no longer falls")
    memory_knee: Scalar = quantity("", "clock below which memory traffic slows")
    least: Scalar = quantity("", "lowest clock that can be set", least=1e-6)


class Bound(eqx.Module):
    """Seconds of one phase at the full clock by what bounds it; arithmetic and traffic overlap."""

    arithmetic: Scalar
    traffic: Scalar
    other: Scalar  # communication, launches, host: not on the compute clock


def stretched(clocks: Clocks, bound: Bound, clock: Scalar) -> Scalar:
    """Time of a phase at a relative clock (s).

    T(f) = ((A / f)^3 + (M / min(1, f / f_m))^3)^(1/3) + O: arithmetic follows the clock, traffic only below
    the memory knee, the rest not at all.
    """
    slower = jnp.minimum(clock / clocks.memory_knee, 1.0)
    tiny = 1e-12  # s; keeps the gradient of the norm finite where both are 0
    return (
        jnp.cbrt((bound.arithmetic / clock + tiny) ** 3 + (bound.traffic / slower + tiny) ** 3) + bound.other
    )


def dynamic_scale(clocks: Clocks, clock: Scalar) -> Scalar:
    """Dynamic power at a relative clock over that at the full clock: f max(f, f_t)^2.

    f V^2, with the voltage proportional to the clock above the knee f_t and flat below it.
    """
    return clock * jnp.maximum(clock, clocks.voltage_knee) ** 2


def clocked_power(clocks: Clocks, full_power: Scalar, floor: Scalar, clock: Scalar) -> Scalar:
    """Board power (W) at a relative clock of a phase that draws `full_power` at the full clock."""
    return floor + (full_power - floor) * dynamic_scale(clocks, clock)


def clock_under_cap(clocks: Clocks, full_power: Scalar, floor: Scalar, cap: Scalar) -> Scalar:
    """Highest relative clock at which a phase draws no more than `cap` (W).

    The inverse of `clocked_power`, in closed form; 1 where the cap does not bind, the lowest clock where even
    that draws more.
    """
    left = jnp.maximum((cap - floor) / jnp.maximum(full_power - floor, 1e-9), 1e-12)
    knee = clocks.voltage_knee
    clock = jnp.where(left > knee**3, jnp.cbrt(left), left / knee**2)
    return jnp.where(full_power <= cap, 1.0, jnp.clip(clock, clocks.least, 1.0))
