"""What whole layers of the benchmark's decoder reach: times of programs that differ in one thing, over what differs.

A product alone on the machine is faster than the same product inside a model: there its matrix is sliced out of a
stack, norms, rotations and activations stand beside it, and attention writes its scores. The chain's terms mean
all of that, so their shares of the peaks are measured on layers at the widths that are served.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel.bench.decoder import (
    Shape,
    decode_steps,
    empty_cache,
    prefill,
    random_decoder,
    scaled,
)
from clustermodel.bench.machine import seconds
from clustermodel.bench.rates import KINDS, Measured, Sizes
from clustermodel.bench.startup import Startup

_FEW, _MANY = 2, 6  # layers
_STEPS = 16  # decoded in one program
_SHORTER = 4  # times, of the two prompts
_WORTH = 0.97  # of the time: bodies of their own take longer to compile and must gain something
_PARAMETERS_ON_CPU = 3e7  # a processor runs a model of about so many parameters in milliseconds


def default_scale(shape: Shape) -> int:
    """1 on an accelerator; on a processor the least scale that leaves a small model."""
    if jax.default_backend() != "cpu":
        return 1
    most = math.ceil((shape.parameters / _PARAMETERS_ON_CPU) ** 0.5)
    return next(
        f for f in range(1, most + 1) if f == most or scaled(shape, f).parameters <= _PARAMETERS_ON_CPU
    )


class Stack:
    """A decoder of some layers with random weights, timed; `group` of them share a compiled body."""

    def __init__(self, shape: Shape, dtype: Any, repeats: int, group: int | None = None):
        self.shape, self.repeats = shape, repeats
        self._decoder = random_decoder(shape, dtype, group=group)

    def _cache(self, batch: int, slots: int) -> Any:
        return empty_cache(self._decoder.counts, self.shape, (batch, slots), self._decoder.dtype)

    def decode(self, batch: int, context: int) -> float:
        """Seconds of one decode step, the attention reading `context` slots of each sequence."""
        token, held = jnp.asarray(np.zeros(batch, np.int32)), [self._cache(batch, context)]
        start = np.full(batch, context - _STEPS, np.int32)

        def run() -> jax.Array:
            cache = dataclasses.replace(held.pop(), lengths=jnp.array(start))
            tokens, filled = decode_steps(self._decoder, token, cache, _STEPS)
            held.append(filled)
            return tokens

        return seconds(run, self.repeats) / _STEPS

    def prefill(self, prompt: int) -> float:
        """Seconds of one prompt, into a cache that each call hands to the next."""
        tokens, held = jnp.asarray(np.zeros((1, prompt), np.int32)), [self._cache(1, prompt)]
        none = np.zeros(1, np.int32)

        def run() -> jax.Array:
            first, filled = prefill(self._decoder, tokens, held.pop())
            held.append(dataclasses.replace(filled, lengths=jnp.array(none)))
            return first

        return seconds(run, self.repeats)


def faster_group(shape: Shape, dtype: Any, repeats: int) -> int | None:
    """1 where layers decode faster each with a body of its own, None where all may share one.

    A shared body takes its weights out of a stack; an accelerator whose products cannot read them there copies every
    matrix first. On a processor the products read them where they lie.
    """
    if jax.default_backend() == "cpu":
        return None
    apart, together = (
        Stack(dense(shape, _MANY), dtype, repeats, group).decode(1, 2 * _STEPS) for group in (1, None)
    )
    return 1 if apart < _WORTH * together else None


def dense(shape: Shape, count: int) -> Shape:
    """`count` dense layers at the widths of a shape; where all layers route, as wide as the experts of one token."""
    width = shape.ffn_dim if shape.dense_layers else shape.top_k * shape.expert_dim + shape.shared_dim
    none = dict.fromkeys(("moe_layers", "n_experts", "top_k", "expert_dim", "shared_dim"), 0)
    return dataclasses.replace(shape, dense_layers=count, ffn_dim=width, **none)


def layers(
    shape: Shape, sizes: Sizes, dtype: Any, start: Startup, group: int | None = None
) -> Iterator[Measured]:
    """Reads of weights and cache in decode, arithmetic of products and attention in prefill.

    Figures that drown in the noise of the clock are left out.
    """
    kind, item = KINDS[jnp.dtype(dtype).name], jnp.dtype(dtype).itemsize
    few, many = (Stack(dense(shape, n), dtype, 2 * sizes.repeats, group) for n in (_FEW, _MANY))
    short, long = 2 * _STEPS, sizes.context
    step = many.decode(1, short)
    weights = _weights(shape, start, (few.decode(1, short), step))
    yield from _rate("model_read", kind, 1, (weights[0] * item, weights[1]), "B/s")
    held = many.shape.cache_elements * item * sizes.batch * (long - short)
    taken = many.decode(sizes.batch, long) - many.decode(sizes.batch, short)
    yield from _rate("layer_cache_read", kind, long, (held, taken), "B/s")
    part = sizes.prompt // _SHORTER
    prompts = [
        (many.prefill(t) - few.prefill(t)) / (_MANY - _FEW) - start.layer for t in (part, sizes.prompt)
    ]
    products, attention = _prefill_parts(prompts[0], prompts[1])
    yield from _rate("layer_product", kind, part, (2 * part * _per_layer(shape), products), "FLOP/s")
    pairs = part**2 / 2  # of causal attention, in two products of 2 FLOP
    yield from _rate(
        "layer_attention", kind, part, (4 * shape.heads * shape.head_dim * pairs, attention), "FLOP/s"
    )


def _per_layer(shape: Shape) -> int:
    return dense(shape, 1).parameters - dense(shape, 0).parameters


def _weights(shape: Shape, start: Startup, steps: tuple[float, float]) -> tuple[float, float]:
    """Weights of a decode step of the whole model (layers and output head), and the seconds that reading them takes.

    A stack of n layers takes  host + head + n (launch + read);  two stacks give read and head.
    """
    layer = (steps[1] - steps[0]) / (_MANY - _FEW)
    head = max(steps[0] - _FEW * layer - start.iteration, 0.0)
    elements = shape.layers * _per_layer(shape) + shape.vocab * shape.d_model
    return elements, shape.layers * (layer - start.layer) + head


def _prefill_parts(short: float, long: float) -> tuple[float, float]:
    """Seconds of products and of attention in the short of two prompts: a T + b T^2 at T and at r T, solved."""
    attention = max((long - _SHORTER * short) / (_SHORTER**2 - _SHORTER), 0.0)
    return short - attention, attention


def _rate(
    name: str, kind: str, size: int, work_and_time: tuple[float, float], unit: str
) -> Iterator[Measured]:
    work, taken = work_and_time
    if taken > 0:
        yield Measured(name, kind, size, work / taken, unit)
