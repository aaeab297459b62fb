"""What a block is made of: norm, rotary positions, and attention of prompts and of single tokens."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

_ROTARY_BASE = 500_000.0  # Llama 3
_EPSILON = 1e-5
_SCORES = 1 << 30  # of one attention, held at once


def rms_scale(x: Array) -> Array:
    """One over the root mean square of each row, in float32 [.. 1]; gains lie in the matrix that follows.

    It multiplies what comes out of that matrix, which need not wait for it and is read by fewer kernels.
    [Zhang & Sennrich 2019; gains in matrices: Ashkboos et al. 2024, SliceGPT]
    """
    wide = x.astype(jnp.float32)
    return jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + _EPSILON)


def scaled(x: Array, scale: Array | float) -> Array:
    """Rows times their scale, in float32 and back."""
    return (x.astype(jnp.float32) * scale).astype(x.dtype)


def rotation(positions: Array, size: int) -> tuple[Array, Array]:
    """Cosine and sine by which heads at `positions` [sequence, token] are turned [Su et al. 2021, RoFormer]."""
    half = size // 2
    rate = _ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions[..., None, None].astype(jnp.float32) * rate[None, None, None, :]
    return jnp.cos(angle), jnp.sin(angle)


def rotary(x: Array, turn: tuple[Array, Array]) -> Array:
    """Turn pairs of x [sequence, token, head, dim]: dimension i with i + dim/2."""
    (cos, sin), half = turn, x.shape[-1] // 2
    first, second = x[..., :half].astype(jnp.float32), x[..., half:].astype(jnp.float32)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)


def prefill_attention(query: Array, key: Array, value: Array) -> Array:
    """Causal attention of prompts [sequence, token, head, dim] over themselves; query heads share key-value heads.

    One fused kernel where the accelerator has it. Elsewhere scores are written out, a sequence at a time where
    those of all would be too many.
    """
    batch, tokens, heads, size = query.shape
    if has_fused_attention(heads, key.shape[2], size, jnp.dtype(query.dtype).name):
        return jax.nn.dot_product_attention(query, key, value, is_causal=True, implementation="cudnn")
    if batch * heads * tokens**2 > _SCORES:
        return jax.lax.map(lambda one: _written_out(*one), (query, key, value), batch_size=1)
    return _written_out(query, key, value)


def _written_out(query: Array, key: Array, value: Array) -> Array:
    return jax.nn.dot_product_attention(query, key, value, is_causal=True, implementation="xla")


@functools.cache
def has_fused_attention(heads: int, kv_heads: int, size: int, dtype: str) -> bool:
    """Whether this backend compiles cuDNN's attention for such heads; asked once, of a prompt of a few tokens."""
    if jax.default_backend() != "gpu":
        return False
    head = lambda n: jax.ShapeDtypeStruct((1, 64, n, size), dtype)
    fused = jax.jit(functools.partial(jax.nn.dot_product_attention, is_causal=True, implementation="cudnn"))
    try:
        fused.lower(head(heads), head(kv_heads), head(kv_heads)).compile()
    except (jax.errors.JaxRuntimeError, NotImplementedError, RuntimeError, ValueError):
        return False
    return True


def decode_attention(query: Array, key: Array, value: Array, lengths: Array) -> Array:
    """Attention of one new token over the `lengths` tokens that its sequence holds [sequence, kv head, slot, dim].

    The query heads that share a key-value head are the rows of one product, so the cache is read once and as it lies.
    """
    batch, _, heads, size = query.shape
    grouped = query.reshape(batch, key.shape[1], heads // key.shape[1], size)
    scores = jnp.einsum("bkgd,bktd->bkgt", grouped, key, preferred_element_type=jnp.float32)
    unseen = jnp.arange(key.shape[2], dtype=lengths.dtype)[None, :] >= lengths[:, None]
    scores = jnp.where(unseen[:, None, None, :], -jnp.inf, scores * size**-0.5)
    share = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    mixed = jnp.einsum("bkgt,bktd->bkgd", share, value, preferred_element_type=jnp.float32)
    return mixed.reshape(query.shape).astype(query.dtype)
