"""Keys and values of what has been read so far: one stretch per sequence, or pages of a common pool."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from clustermodel.bench.decoder.shape import Shape

_SEED = 0


class Cache(eqx.Module):
    """Cache of a group of layers each; the tokens of a head stand together, as attention reads them.

    A page table makes it paged: sequence b keeps its tokens p*n ... in page `pages[b, p]` of the pool. Without
    one each sequence has its own stretch.
    """

    keys: tuple[Array, ...]  # per group [layer, sequence or page, kv head, slot, head]
    values: tuple[Array, ...]
    lengths: Array  # tokens held by each sequence
    pages: Array | None  # [sequence, page of it]

    @property
    def bytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(each.nbytes for each in (*self.keys, *self.values))


def empty_cache(
    groups: tuple[int, ...], shape: Shape, room: tuple[int, int], dtype: Any, page: int = 0
) -> Cache:
    """Room for sequences of a length: `room` is (sequences, slots of each).

    `groups` are the layers of each group of the decoder; `page` > 0 gives pages of so many slots, scattered
    over the pool at random as they would be after hours of serving.
    """
    sequences, slots = room
    rows, pages = sequences, None
    if page:
        each = -(-slots // page)
        order = np.random.default_rng(_SEED).permutation(sequences * each)
        rows, slots = sequences * each, page
        pages = jnp.asarray(order.reshape(sequences, each), jnp.int32)
    make = lambda: tuple(jnp.zeros((n, rows, shape.kv_heads, slots, shape.head_dim), dtype) for n in groups)
    return Cache(make(), make(), jnp.asarray(np.zeros(sequences, np.int32)), pages)


def fill(stack: Array, layer: Array, new: Array, pages: Array | None) -> Array:
    """Put the first tokens of all sequences, `new` [sequence, token, kv head, head], into one layer."""
    if pages is not None:
        return write(stack, layer, new, jnp.zeros(new.shape[0], jnp.int32), pages)
    block = jnp.swapaxes(new, 1, 2)[None]
    zero = jnp.zeros_like(layer)
    return jax.lax.dynamic_update_slice(stack, block, (layer, zero, zero, zero, zero))


def write(stack: Array, layer: Array, new: Array, start: Array, pages: Array | None) -> Array:
    """Put `new` [sequence, token, kv head, head] of one layer at slots `start` ... of each sequence.

    Every leading axis of the stack is indexed, for only then is a scatter done in its place.
    """
    sequences, count, heads = new.shape[:3]
    slots = start[:, None] + jnp.arange(count, dtype=start.dtype)[None, :]
    rows = jnp.broadcast_to(jnp.arange(sequences, dtype=start.dtype)[:, None], slots.shape)
    if pages is not None:
        size = stack.shape[3]
        rows, slots = jnp.take_along_axis(pages, slots // size, axis=1), slots % size
    head = jnp.arange(heads, dtype=start.dtype)[None, None, :]
    place = stack.at[layer, rows[..., None], head, slots[..., None]]
    return place.set(new, mode="drop", unique_indices=True)


def held(stack: Array, layer: Array, pages: Array | None) -> Array:
    """What one layer keeps, [sequence, kv head, slot, head]; pages are gathered in order."""
    rows = stack[layer]
    if pages is None:
        return rows
    gathered = jnp.moveaxis(rows[pages], 2, 1)  # [sequence, kv head, page, slot, head]
    return gathered.reshape(*gathered.shape[:2], -1, gathered.shape[-1])
