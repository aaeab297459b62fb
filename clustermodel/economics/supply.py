"""Who can deliver and who sets the price: marginal producers, entrants, reservations, slow ramps, scarce bits."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar

Supply = Float[Array, " source"]


def clearing_price(capacity: Supply, cost: Supply, demand: Scalar) -> Scalar:
    """Price at which sources, cheapest first, meet demand: the cost of the marginal one; infinite if none can."""
    order = jnp.argsort(cost)
    marginal = jnp.searchsorted(jnp.cumsum(capacity[order]), demand)
    return jnp.append(cost[order], jnp.inf)[marginal]


def locked_profit(price: Scalar, locked_cost: Scalar, volume: Scalar) -> Scalar:
    """Profit of supply locked at an earlier cost when the market clears at `price`: (p - c) V."""
    return (price - locked_cost) * volume


def price_with_entry(price: Scalar, decline: Scalar, time: Scalar, entrant_cost: Scalar) -> Scalar:
    """Price that falls at rate d until the long-run cost of entrants holds it: max(p e^(-d t), c)."""
    return jnp.maximum(price * jnp.exp(-decline * time), entrant_cost)


def market_impact(withdrawn: Scalar, depth: Scalar) -> Scalar:
    """Price factor when a share of the open supply is reserved: 1 + depth x share."""
    return 1 + depth * withdrawn


def matured(final: Scalar, age: Scalar, time_constant: Scalar) -> Scalar:
    """Throughput of new hardware as its software ripens: f (1 - e^(-t / tau))."""
    return final * -jnp.expm1(-age / time_constant)


def shipped(full_rate: Scalar, elapsed: Scalar, ramp: Scalar) -> Scalar:
    """Units shipped by a supplier whose rate rises linearly over its ramp: the bound on what a fleet can buy.

    N(t) = f [min(t, R)^2 / 2R + max(t - R, 0)]
    """
    rising = jnp.clip(elapsed, 0.0, ramp)
    return full_rate * (rising**2 / (2 * ramp) + jnp.maximum(elapsed - ramp, 0.0))


def memory_left(wafers: Scalar, stacked: Scalar, trade_ratio: Scalar) -> Scalar:
    """Conventional memory left when a wafer pool makes `stacked` bits, each in place of several others.

    B_ddr = max(W - k B_hbm, 0), W the bits that the pool could make without any
    """
    return jnp.maximum(wafers - trade_ratio * stacked, 0.0)


def scarcity_price(supply: Scalar, demand: Scalar, elasticity: Scalar) -> Scalar:
    """Price over today's that makes demand fit supply: (D / S)^(1/eps)."""
    return (demand / supply) ** (1 / elasticity)


def premium_for_earlier_power(hour_margin: Scalar, gained: Scalar, energy: Scalar) -> Scalar:
    """What energy may cost more if it comes earlier: margin earned meanwhile over all energy used (USD/J).

    Args:
        hour_margin: rent less ownership cost of one accelerator (USD/s).
        gained: time by which it starts earlier (s).
        energy: energy that it draws over its life (J).
    """
    return hour_margin * gained / energy


def needed_throughput(candidate_cost: Scalar, reference_cost: Scalar) -> Scalar:
    """Throughput over the reference's at which a candidate's tokens cost the same: c / c_ref."""
    return candidate_cost / reference_cost
