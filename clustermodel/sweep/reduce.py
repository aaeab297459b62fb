"""What is kept of a sweep: in each narrow band of speed, the cheapest point of each system.

Bands are equal steps of log TPOT; the lower envelope over the bands is the frontier to within one band. Keeping the
least price, and of equals the least number, is associative: chunks, accelerators and hosts may be merged in any order.
So are the least latencies, which say what can be asked for where nothing meets the objectives.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar

BANDS = 2048
_FASTEST, _SLOWEST = 1e-4, 10.0  # s per token; what lies beyond falls into the outermost bands
NOTHING = -1


class Nearest(eqx.Module):
    """Least latencies (s) of the points that fit; infinite where there is none."""

    ttft: Scalar
    tpot: Scalar
    ttft_within: Scalar  # of those whose TPOT keeps its limit
    tpot_within: Scalar  # of those whose TTFT keeps its limit


class Best(eqx.Module):
    """Least price (USD per token) and its point, by system and band of speed; infinite and -1 where there is none."""

    price: Float[Array, "system band"]
    index: Int[Array, "system band"]
    nearest: Nearest


def nothing(systems: int) -> Best:
    """No point yet."""
    shape = (systems, BANDS)
    none = jnp.full((), jnp.inf, dtype=float)
    nearest = Nearest(none, none, none, none)
    return Best(jnp.full(shape, jnp.inf, dtype=float), jnp.full(shape, NOTHING, dtype=int), nearest)


def merged(a: Best, b: Best) -> Best:
    """The better of two, band by band."""
    b_wins = (b.price < a.price) | (
        (b.price == a.price) & (b.index >= 0) & ((b.index < a.index) | (a.index < 0))
    )
    nearest = jax.tree.map(jnp.minimum, a.nearest, b.nearest)
    return Best(jnp.where(b_wins, b.price, a.price), jnp.where(b_wins, b.index, a.index), nearest)


def nearest_of(ttft: Array, tpot: Array, limits: Array) -> Nearest:
    """The least latencies of a chunk, under limits on TTFT and TPOT; points that do not fit have infinite ones."""
    least = lambda times, counts: jnp.min(jnp.where(counts, times, jnp.inf))
    every = jnp.ones_like(ttft, dtype=bool)
    return Nearest(
        ttft=least(ttft, every),
        tpot=least(tpot, every),
        ttft_within=least(ttft, tpot <= limits[1]),
        tpot_within=least(tpot, ttft <= limits[0]),
    )


class Chunk(NamedTuple):
    """Points as they were evaluated; those that may not count have an infinite price."""

    group: Array  # number of the system
    tpot: Array
    price: Array
    point: Array  # its number


def reduced(systems: int, chunk: Chunk, nearest: Nearest) -> Best:
    """The best of a chunk."""
    group, tpot, price, index = chunk
    way = (jnp.log(tpot) - jnp.log(_FASTEST)) / (jnp.log(_SLOWEST) - jnp.log(_FASTEST))
    band = jnp.clip(jnp.floor(jnp.nan_to_num(way) * BANDS), 0, BANDS - 1).astype(group.dtype)
    slot, slots = group * BANDS + band, systems * BANDS
    least = jnp.full(slots, jnp.inf, price.dtype).at[slot].min(price)
    counts = jnp.isfinite(price) & (price == least[slot])
    last = jnp.iinfo(index.dtype).max
    first = jnp.full(slots, last, index.dtype).at[slot].min(jnp.where(counts, index, last))
    kept = jnp.where(first == last, NOTHING, first)
    return Best(least.reshape(systems, BANDS), kept.reshape(systems, BANDS), nearest)
