"""Exact routing to experts, no row dropped: three ways to the same sum, for few rows, for some and for many.

A processor skips what is not chosen at no cost. An accelerator waits for every such decision, so it decides
nothing as it runs: a handful of rows read their own experts' weights, up to a block of rows go through every expert.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.decoder import parts
from clustermodel.bench.decoder.weights import Experts, Gated

_ROWS_PER_BLOCK = 128  # rows of one expert multiplied at once


def gated(x: Array, weights: Gated, scale: Array | float = 1.0) -> Array:
    """SwiGLU of x s: (silu(x A s) * x B s) C [Shazeer 2020, arXiv:2002.05202]; leading axes of weights go with x's."""
    gate, up = jnp.split(parts.scaled(x @ weights.gate_up, scale), 2, axis=-1)
    return (jax.nn.silu(gate) * up) @ weights.down


def routed(x: Array, layer: Experts, top_k: int) -> Array:
    """Each row of x [row, width] through its `top_k` experts, weighted."""
    scores, chosen = jax.lax.top_k((x @ layer.router).astype(jnp.float32), top_k)
    share = jax.nn.softmax(scores, axis=-1).astype(x.dtype)
    if jax.default_backend() == "cpu" or x.shape[0] > _ROWS_PER_BLOCK:
        return by_blocks(x, layer, chosen, share)
    few = chosen.size < layer.router.shape[1]
    return (by_rows if few else by_experts)(x, layer, chosen, share)


def by_rows(x: Array, layer: Experts, chosen: Array, share: Array) -> Array:
    """Every choice reads the weights of its expert, once and where they lie."""
    gate, up = jnp.split(_chosen_product(x[:, None], layer.experts.gate_up, chosen), 2, axis=-1)
    done = _chosen_product(jax.nn.silu(gate) * up, layer.experts.down, chosen)
    return jnp.sum(done * share[..., None], axis=1)


def _chosen_product(x: Array, weights: Array, chosen: Array) -> Array:
    """Rows x [row, choice or 1, width] times the matrix of each choice; [row, choice, outputs].

    A sum of products, for a GPU's compiler takes the choice into a sum; for a product it copies each matrix first.
    """
    own = weights.at[chosen].get(mode="promise_in_bounds")
    products = x[..., None].astype(jnp.float32) * own.astype(jnp.float32)
    return jnp.sum(products, axis=-2).astype(x.dtype)


def by_experts(x: Array, layer: Experts, chosen: Array, share: Array) -> Array:
    """All rows through every expert, with share 0 where it was not chosen: all weights are read once."""
    n_experts = layer.router.shape[1]
    is_chosen = chosen[..., None] == jnp.arange(n_experts, dtype=chosen.dtype)[None, None, :]
    shares = jnp.sum(jnp.where(is_chosen, share[..., None], 0), axis=1)  # [row, expert]
    done = gated(jnp.broadcast_to(x[None], (n_experts, *x.shape)), layer.experts)
    return jnp.einsum("erw,re->rw", done, shares)


def by_blocks(x: Array, layer: Experts, chosen: Array, share: Array) -> Array:
    """Rows sorted by expert into blocks of one expert each; a block reads its weights once, an empty one none."""
    top_k = chosen.shape[1]
    slot, owner, used = _blocks(chosen.reshape(-1), layer.router.shape[1])
    size, rows = min(_ROWS_PER_BLOCK, chosen.size), jnp.repeat(x, top_k, axis=0)
    padded = jnp.zeros((owner.size * size, x.shape[1]), x.dtype).at[slot].set(rows, unique_indices=True)

    def block(args: tuple[Array, Array, Array]) -> Array:
        part, expert, some = args
        own = lambda: gated(part, jax.tree.map(lambda w: w[expert], layer.experts))
        return jax.lax.cond(some, own, lambda: jnp.zeros_like(part))

    done = jax.lax.map(block, (padded.reshape(owner.size, size, -1), owner, used))
    back = done.reshape(-1, x.shape[1])[slot].reshape(*chosen.shape, -1)
    return jnp.sum(back * share[..., None], axis=1)


def _blocks(chosen: Array, n_experts: int) -> tuple[Array, Array, Array]:
    """Place of every row in blocks of one expert each, the expert of each block, and whether it is used."""
    rows = chosen.size
    size = min(_ROWS_PER_BLOCK, rows)
    most = rows // size + min(n_experts, rows)
    counts = jnp.bincount(chosen, length=n_experts)
    ends = jnp.cumsum(-(-counts // size))
    order = jnp.argsort(chosen, stable=True)
    within = jnp.arange(rows) - (jnp.cumsum(counts) - counts)[chosen[order]]
    first = (ends - -(-counts // size))[chosen[order]]
    slot = jnp.zeros(rows, within.dtype).at[order].set(first * size + within)
    index = jnp.arange(most)
    owner = jnp.minimum(jnp.searchsorted(ends, index, side="right"), n_experts - 1)
    return slot, owner, index < ends[-1]
