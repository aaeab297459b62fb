"""What a block is made of: norm, rotary positions, attention, the gated network and exact routing to experts."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.decoder.weights import Experts, Gated

_ROTARY_BASE = 500_000.0  # Llama 3
_EPSILON = 1e-5
_ROWS_PER_BLOCK = 128  # rows of one expert multiplied at once


def rms_norm(x: Array, weight: Array) -> Array:
    """Divide by the root mean square and scale by `weight`; the mean in float32 [Zhang & Sennrich 2019]."""
    wide = x.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + _EPSILON)
    return (wide * scale).astype(x.dtype) * jnp.expand_dims(weight, tuple(range(x.ndim - 1)))


def rotary(x: Array, positions: Array) -> Array:
    """Rotate pairs of x [sequence, token, head, dim] by their position [Su et al. 2021, RoFormer]."""
    half = x.shape[-1] // 2
    rate = _ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions[..., None].astype(jnp.float32)[..., None, :] * rate[None, None, None, :]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second = x[..., :half].astype(jnp.float32), x[..., half:].astype(jnp.float32)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)


def prefill_attention(query: Array, key: Array, value: Array) -> Array:
    """Causal attention of a prompt over itself; query heads share key-value heads in groups."""
    return _attention(query, key, value, is_causal=True)


def decode_attention(query: Array, key: Array, value: Array, lengths: Array) -> Array:
    """Attention of one new token over the `lengths` tokens that its sequence holds."""
    batch, _, heads, size = query.shape
    grouped = query.reshape(batch, key.shape[2], heads // key.shape[2], size)
    scores = jnp.einsum("bkgd,btkd->bkgt", grouped, key, preferred_element_type=jnp.float32)
    unseen = jnp.arange(key.shape[1], dtype=lengths.dtype)[None, :] >= lengths[:, None]
    scores = jnp.where(unseen[:, None, None, :], -jnp.inf, scores * size**-0.5)
    share = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    mixed = jnp.einsum("bkgt,btkd->bkgd", share, value, preferred_element_type=jnp.float32)
    return mixed.reshape(query.shape).astype(query.dtype)


def _attention(query: Array, key: Array, value: Array, is_causal: bool) -> Array:
    fused = jax.default_backend() == "gpu" and query.dtype in (jnp.bfloat16, jnp.float16)
    return jax.nn.dot_product_attention(
        query, key, value, is_causal=is_causal, implementation="cudnn" if fused else "xla"
    )


def gated(x: Array, weights: Gated) -> Array:
    """SwiGLU: (silu(x A) * x B) C [Shazeer 2020, arXiv:2002.05202]."""
    gate, up = jnp.split(x @ weights.gate_up, 2, axis=-1)
    return (jax.nn.silu(gate) * up) @ weights.down


def routed(x: Array, layer: Experts, top_k: int) -> Array:
    """Each row of x [row, width] through its `top_k` experts, weighted; no row is dropped.

    Rows are sorted by expert into blocks of one expert each; a block reads that expert's weights once, and
    empty blocks read none.
    """
    scores, chosen = jax.lax.top_k((x @ layer.router).astype(jnp.float32), top_k)
    share = jax.nn.softmax(scores, axis=-1).astype(x.dtype)
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
