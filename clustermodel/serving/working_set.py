"""How much of the input a prefix cache of a given size finds again, and how long keeping a prefix pays."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs import quantity

_BISECTIONS = 60  # halvings of [0, 1]: exact to rounding


class Reuse(eqx.Module):
    """How the prefixes of a workload come back."""

    most: Scalar = quantity("", "share of the input that an endless cache finds")
    interval: Scalar = quantity("s", "mean time until a prefix that comes back is used again", least=1e-9)


def prefix_hit_rate(reuse: Reuse, capacity: Scalar, inflow: Scalar) -> Scalar:
    """Share of the input found in a least-recently-used cache: the working-set curve.

    The cache keeps what was written in its characteristic time T; uses that come back after exponential times
    of mean tau are found with h = h_inf (1 - exp(-T / tau)). Only what is not found is written, so
    T = C / (inflow (1 - h)), which makes h the root of a monotone equation.
    [P. Denning 1968, The working set model; H. Che, Y. Tung & Z. Wang 2002, the characteristic time]

    Args:
        reuse: of the workload.
        capacity: bytes that idle prefixes may take.
        inflow: cache bytes of all input tokens a second, found or not (B/s).
    """

    def excess(hit: Scalar) -> Scalar:
        kept = capacity / (inflow * (1 - hit))
        return hit + reuse.most * jnp.expm1(-kept / reuse.interval)

    # the least root: on [0, most] the excess starts at or below 0, and more hits keep prefixes longer
    low, high = jnp.zeros_like(reuse.most), reuse.most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = jnp.where(above, low, middle), jnp.where(above, middle, high)
    root = (low + high) / 2
    return _with_derivative(reuse, capacity, inflow, root)


def _with_derivative(reuse: Reuse, capacity: Scalar, inflow: Scalar, root: Scalar) -> Scalar:
    """The same root as a differentiable function: one Newton step on the equation, its slope held."""
    hit = jax.lax.stop_gradient(root)
    kept = capacity / (inflow * (1 - hit))
    missed = jnp.exp(-kept / reuse.interval)
    excess = hit - reuse.most * (1 - missed)
    slope = jax.lax.stop_gradient(1 - reuse.most * missed * kept / reuse.interval / (1 - hit))
    return hit - excess / slope


def working_set(reuse: Reuse, inflow: Scalar, share: Scalar) -> Scalar:
    """Bytes of cache that find `share` of what an endless cache would: the inverse of the curve.

    C = -tau ln(1 - share) inflow (1 - share h_inf)
    """
    return -reuse.interval * jnp.log1p(-share) * inflow * (1 - share * reuse.most)


def reload_saves(token_bytes: Scalar, tier_rate: Scalar, recompute_time: Scalar) -> Scalar:
    """How many times faster a token comes back from a tier than from prefilling it again."""
    return recompute_time * tier_rate / token_bytes
