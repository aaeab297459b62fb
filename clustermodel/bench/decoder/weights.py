"""Random weights of a decoder, alike layers stacked so that one compiled body serves them all."""

import functools
import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.decoder.shape import Shape

_MATRICES = 7  # of one layer at most
_GENERATOR = "rbg"  # the device's own: quick to compile and to run, not the same numbers on every device


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

    qkv: Array  # [width, (heads + 2 kv heads) head]
    output: Array  # [heads head, width]
    ffn: Gated | None
    experts: Experts | None


class Decoder(eqx.Module):
    """All weights; `groups` are runs of alike layers, each stacked along a leading axis."""

    embedding: Array
    groups: tuple[Layer, ...]
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
    """Uniform weights of variance 1 / inputs, made on the device by its own generator.

    Args:
        shape: of the decoder.
        dtype: of its weights.
        seed: of the random numbers.
        group: most layers that one compiled body scans over; None for all alike ones, 1 unrolls the layers:
            longer to compile, and no slice of stacked weights is ever taken.
    """
    seeds = itertools.count(seed * (2 + shape.layers) * _MATRICES, _MATRICES)
    dense = [(run, False) for run in _runs(shape.dense_layers, group)]
    mixture = [(run, True) for run in _runs(shape.moe_layers, group)]
    size = (shape.vocab, shape.d_model)
    return Decoder(
        embedding=_uniform(next(seeds), size, shape.d_model, dtype),
        groups=tuple(_layers(shape, dtype, next(seeds), *run) for run in dense + mixture),
        head=None if shape.tied else _uniform(next(seeds), size, shape.d_model, dtype),
        shape=shape,
    )


def _runs(layers: int, most: int | None) -> list[int]:
    most = most or max(layers, 1)
    return [min(most, layers - start) for start in range(0, layers, most)]


@functools.partial(jax.jit, static_argnums=(0, 1, 3, 4))
def _layers(shape: Shape, dtype: Any, seed: Array, count: int, moe: bool) -> Layer:
    """`count` alike layers, stacked."""
    seeds = itertools.count()
    width, inner = shape.d_model, shape.heads * shape.head_dim
    projected = inner + 2 * shape.kv_heads * shape.head_dim
    make = lambda inputs, *size: _uniform(seed + next(seeds), (count, *size), inputs, dtype)

    def gated(hidden: int, *leading: int) -> Gated:
        return Gated(make(width, *leading, width, 2 * hidden), make(hidden, *leading, hidden, width))

    hidden = shape.shared_dim if moe else shape.ffn_dim
    experts = None
    if moe:
        experts = Experts(make(width, width, shape.n_experts), gated(shape.expert_dim, shape.n_experts))
    return Layer(
        qkv=make(width, width, projected),
        output=make(inner, inner, width),
        ffn=gated(hidden) if hidden else None,
        experts=experts,
    )


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _uniform(seed: Array, shape: tuple[int, ...], inputs: int, dtype: Any) -> Array:
    """Numbers of variance 1 / inputs; a uniform number between -1 and 1 has a variance of 1/3."""
    drawn = jax.random.uniform(jax.random.key(seed, impl=_GENERATOR), shape, dtype, -1, 1)
    return drawn * jnp.asarray((3 / inputs) ** 0.5, dtype)
