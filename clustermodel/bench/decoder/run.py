"""Run a decoder: read prompts into the cache, then produce tokens one by one from it."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.decoder import parts
from clustermodel.bench.decoder.cache import Cache, fill, held, write
from clustermodel.bench.decoder.routing import gated, routed
from clustermodel.bench.decoder.weights import Decoder, Layer

Heads = tuple[Array, Array, Array]
"""Queries, keys and values of new tokens, [sequence, token, head, size]."""
Stacks = tuple[Array, Array]
"""Keys and values of all layers of a group so far."""
Attend = Callable[[Heads, Array, Stacks], tuple[Array, Stacks]]
"""New heads, the layer's place and what is kept so far -> mixed values, and what is kept from now on."""


def forward(decoder: Decoder, tokens: Array) -> Array:
    """Logits of every position of `tokens` [sequence, token], without a cache: the reference."""

    def attend(heads: Heads, layer: Array, so_far: Stacks) -> tuple[Array, Stacks]:
        return parts.prefill_attention(*heads), so_far

    zero = jnp.zeros(tokens.shape[0], jnp.int32)
    nothing = tuple(jnp.zeros((), decoder.dtype) for _ in decoder.groups)
    x, _, _ = _through(decoder, tokens, zero, (nothing, nothing), attend)
    return _logits(decoder, x)


@functools.partial(jax.jit, donate_argnums=2)
def prefill(decoder: Decoder, tokens: Array, cache: Cache) -> tuple[Array, Cache]:
    """Read prompts [sequence, token] into an empty cache, which is given up; the next token of each."""

    def attend(heads: Heads, layer: Array, so_far: Stacks) -> tuple[Array, Stacks]:
        keys, values = (
            fill(stack, layer, new, cache.pages) for stack, new in zip(so_far, heads[1:], strict=True)
        )
        return parts.prefill_attention(*heads), (keys, values)

    x, keys, values = _through(decoder, tokens, cache.lengths, (cache.keys, cache.values), attend)
    filled = Cache(keys, values, cache.lengths + tokens.shape[1], cache.pages)
    return _likeliest(_logits(decoder, x[:, -1])), filled


def step(decoder: Decoder, token: Array, cache: Cache) -> tuple[Array, Cache]:
    """Logits after one more token of each sequence [sequence], and the cache with it."""

    def attend(heads: Heads, layer: Array, so_far: Stacks) -> tuple[Array, Stacks]:
        kept_keys, kept_values = (
            write(stack, layer, new, cache.lengths, cache.pages)
            for stack, new in zip(so_far, heads[1:], strict=True)
        )
        keys, values = (held(stack, layer, cache.pages) for stack in (kept_keys, kept_values))
        return parts.decode_attention(heads[0], keys, values, cache.lengths + 1), (kept_keys, kept_values)

    x, keys, values = _through(decoder, token[:, None], cache.lengths, (cache.keys, cache.values), attend)
    return _logits(decoder, x[:, 0]), Cache(keys, values, cache.lengths + 1, cache.pages)


@functools.partial(jax.jit, static_argnums=3, donate_argnums=2)
def decode_steps(decoder: Decoder, token: Array, cache: Cache, count: int) -> tuple[Array, Cache]:
    """Produce `count` likeliest tokens of each sequence; [step, sequence], and the cache, given up and reused."""

    def one(carry: tuple[Array, Cache], _: None) -> tuple[tuple[Array, Cache], Array]:
        logits, cache = step(decoder, *carry)
        following = _likeliest(logits)
        return (following, cache), following

    (_, filled), tokens = jax.lax.scan(one, (token, cache), length=count)
    return tokens, filled


def _likeliest(logits: Array) -> Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def _logits(decoder: Decoder, x: Array) -> Array:
    matrix = decoder.embedding if decoder.head is None else decoder.head
    return jnp.matmul(x, matrix.T, preferred_element_type=jnp.float32) * parts.rms_scale(x)


def _through(
    decoder: Decoder, tokens: Array, start: Array, so_far: tuple[tuple[Array, ...], ...], attend: Attend
) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """All layers, group by group; the caches are carried, never copied."""
    x = decoder.embedding[tokens]
    positions = start[:, None] + jnp.arange(tokens.shape[1], dtype=start.dtype)[None, :]
    turn = parts.rotation(positions, decoder.shape.head_dim)
    kept_keys, kept_values = [], []
    for group, keys, values in zip(decoder.groups, *so_far, strict=True):
        count = group.qkv.shape[0]

        def body(carry: tuple[Array, ...], layer: tuple[Layer, Array]) -> tuple[tuple[Array, ...], None]:
            return _block(decoder, layer, carry, turn, attend), None

        (x, keys, values), _ = jax.lax.scan(
            body, (x, keys, values), (group, jnp.arange(count, dtype=jnp.int32)), unroll=count == 1
        )
        kept_keys.append(keys)
        kept_values.append(values)
    return x, tuple(kept_keys), tuple(kept_values)


def _block(
    decoder: Decoder,
    indexed: tuple[Layer, Array],
    carry: tuple[Array, ...],
    turn: tuple[Array, Array],
    attend: Attend,
) -> tuple[Array, ...]:
    shape, (layer, index), (x, *so_far) = decoder.shape, indexed, carry
    heads = parts.scaled(x @ layer.qkv, parts.rms_scale(x)).reshape(*x.shape[:2], -1, shape.head_dim)
    query, key, value = jnp.split(heads, [shape.heads, shape.heads + shape.kv_heads], axis=2)
    query, key = parts.rotary(query, turn), parts.rotary(key, turn)
    mixed, kept = attend((query, key, value), index, (so_far[0], so_far[1]))
    x = x + mixed.reshape(*x.shape[:2], -1) @ layer.output
    return x + _network(layer, x, shape.top_k), *kept


def _network(layer: Layer, x: Array, top_k: int) -> Array:
    scale = parts.rms_scale(x)
    out = jnp.zeros_like(x) if layer.ffn is None else gated(x, layer.ffn, scale)
    if layer.experts is None:
        return out
    rows = parts.scaled(x, scale).reshape(-1, x.shape[-1])
    return out + routed(rows, layer.experts, top_k).reshape(x.shape)
