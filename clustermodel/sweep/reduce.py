"""What is kept of a sweep: in each narrow band of speed, the cheapest point of each system.

Bands are equal steps of log TPOT; the lower envelope over the bands is the frontier to within one band. Keeping the
least price, and of equals the least number, is associative: chunks, accelerators and hosts may be merged in any order.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

BANDS = 2048
_FASTEST, _SLOWEST = 1e-4, 10.0  # s per token; what lies beyond falls into the outermost bands
NOTHING = -1


class Best(eqx.Module):
    """Least price (USD per token) and its point, by system and band of speed; infinite and -1 where there is none."""

    price: Float[Array, "system band"]
    index: Int[Array, "system band"]


def nothing(systems: int) -> Best:
    """No point yet."""
    shape = (systems, BANDS)
    return Best(jnp.full(shape, jnp.inf, dtype=float), jnp.full(shape, NOTHING, dtype=int))


def merged(a: Best, b: Best) -> Best:
    """The better of two, band by band."""
    b_wins = (b.price < a.price) | (
        (b.price == a.price) & (b.index >= 0) & ((b.index < a.index) | (a.index < 0))
    )
    return Best(jnp.where(b_wins, b.price, a.price), jnp.where(b_wins, b.index, a.index))


def reduced(systems: int, group: Array, tpot: Array, price: Array, index: Array) -> Best:
    """The best of a chunk; points that may not count have an infinite price."""
    way = (jnp.log(tpot) - jnp.log(_FASTEST)) / (jnp.log(_SLOWEST) - jnp.log(_FASTEST))
    band = jnp.clip(jnp.floor(jnp.nan_to_num(way) * BANDS), 0, BANDS - 1).astype(group.dtype)
    slot, slots = group * BANDS + band, systems * BANDS
    least = jnp.full(slots, jnp.inf, price.dtype).at[slot].min(price)
    counts = jnp.isfinite(price) & (price == least[slot])
    last = jnp.iinfo(index.dtype).max
    first = jnp.full(slots, last, index.dtype).at[slot].min(jnp.where(counts, index, last))
    kept = jnp.where(first == last, NOTHING, first)
    return Best(least.reshape(systems, BANDS), kept.reshape(systems, BANDS))
