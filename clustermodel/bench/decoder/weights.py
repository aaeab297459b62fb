"""Random weights of a decoder, alike layers stacked so that one compiled body serves them all."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from clustermodel.bench.decoder.shape import Shape


class Gated(eqx.Module):
    """A SwiGLU network; with experts every matrix has a leading axis of them."""

    gate_up: Array  # [.. width, 2 hidden]
    down: Array  # [.. hidden, width]


class Experts(eqx.Module):
    """Routed experts of one layer."""

    router: Array  # [width, expert]
    experts: Gated


class Layer(eqx.Module):
    """One block: attention, then a dense network, or routed experts with or without a shared one."""

    attention_norm: Array
    qkv: Array  # [width, (heads + 2 kv heads) head]
    output: Array  # [heads head, width]
    ffn_norm: Array
    ffn: Gated | None
    experts: Experts | None


class Decoder(eqx.Module):
    """All weights; `groups` are runs of alike layers, each stacked along a leading axis."""

    embedding: Array
    groups: tuple[Layer, ...]
    norm: Array
    head: Array | None  # None: the embedding is the head as well
    shape: Shape = eqx.field(static=True)

    @property
    def dtype(self) -> Any:
        """Type of the weights and of the cache."""
        return self.embedding.dtype

    @property
    def counts(self) -> tuple[int, ...]:
        """Layers of each group."""
        return tuple(group.qkv.shape[0] for group in self.groups)

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self))


def random_decoder(shape: Shape, dtype: Any, seed: int = 0, group: int | None = None) -> Decoder:
    """Normal weights with variance 1 / inputs, made on the device.

    Args:
        shape: of the decoder.
        dtype: of its weights.
        seed: of the random numbers.
        group: most layers that one compiled body scans over; None for all alike ones, 1 unrolls the layers:
            longer to compile, and no slice of stacked weights is ever taken.
    """
    keys = iter(jax.random.split(jax.random.key(seed), 2 + shape.layers))
    dense = _runs(shape.dense_layers, group)
    mixture = _runs(shape.moe_layers, group)
    stacks = [_stacked(shape, dtype, next(keys), run, moe=False) for run in dense]
    stacks += [_stacked(shape, dtype, next(keys), run, moe=True) for run in mixture]
    matrix = jax.jit(lambda key: _normal(key, (shape.vocab, shape.d_model), shape.d_model, dtype))
    return Decoder(
        embedding=matrix(next(keys)),
        groups=tuple(stacks),
        norm=jnp.ones(shape.d_model, dtype),
        head=None if shape.tied else matrix(next(keys)),
        shape=shape,
    )


def _runs(layers: int, most: int | None) -> list[int]:
    most = most or max(layers, 1)
    return [min(most, layers - start) for start in range(0, layers, most)]


def _stacked(shape: Shape, dtype: Any, key: PRNGKeyArray, layers: int, moe: bool) -> Layer:
    return jax.jit(lambda keys: jax.vmap(lambda k: _layer(shape, dtype, k, moe))(keys))(
        jax.random.split(key, layers)
    )


def _layer(shape: Shape, dtype: Any, key: PRNGKeyArray, moe: bool) -> Layer:
    keys = iter(jax.random.split(key, 7))
    width, inner = shape.d_model, shape.heads * shape.head_dim
    projected = inner + 2 * shape.kv_heads * shape.head_dim

    def gated(hidden: int, *leading: int) -> Gated:
        wide = _normal(next(keys), (*leading, width, 2 * hidden), width, dtype)
        return Gated(wide, _normal(next(keys), (*leading, hidden, width), hidden, dtype))

    hidden = shape.shared_dim if moe else shape.ffn_dim
    experts = None
    if moe:
        router = _normal(next(keys), (width, shape.n_experts), width, dtype)
        experts = Experts(router, gated(shape.expert_dim, shape.n_experts))
    return Layer(
        attention_norm=jnp.ones(width, dtype),
        qkv=_normal(next(keys), (width, projected), width, dtype),
        output=_normal(next(keys), (inner, width), inner, dtype),
        ffn_norm=jnp.ones(width, dtype),
        ffn=gated(hidden) if hidden else None,
        experts=experts,
    )


def _normal(key: PRNGKeyArray, shape: tuple[int, ...], inputs: int, dtype: Any) -> Array:
    return jax.random.normal(key, shape, dtype) * jnp.asarray(inputs**-0.5, dtype)
