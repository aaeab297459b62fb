"""What an iteration costs before any work: time per layer, per iteration and per sequence of a tiny decoder."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel.bench.decoder import Shape, decode_steps, empty_cache, random_decoder
from clustermodel.bench.machine import seconds

_TINY = Shape(dense_layers=1, moe_layers=0, d_model=16, heads=2, kv_heads=1, head_dim=8, ffn_dim=16, vocab=16)
_MIXTURE = {"n_experts": 4, "top_k": 2, "expert_dim": 8}
_FEW, _MANY = 2, 34  # layers
_SEQUENCES = 33
_STEPS, _SLOTS = 16, 32


class Startup(NamedTuple):
    """Seconds that remain when the work is next to nothing."""

    layer: float
    moe_layer: float  # extra, of a layer with routed experts
    iteration: float
    sequence: float


def startup(repeats: int, group: int | None = None) -> Startup:
    """Times of tiny decoders that differ in one count; differences over the count, never below 0."""
    step = functools.partial(_step, repeats=repeats, group=group)
    few, many = step(_TINY, _FEW, 1), step(_TINY, _MANY, 1)
    layer = max(many - few, 0.0) / (_MANY - _FEW)
    mixture = dataclasses.replace(_TINY, **_MIXTURE)
    routed = step(mixture, _MANY, 1) / _MANY
    crowded = step(_TINY, _FEW, _SEQUENCES)
    return Startup(
        layer=layer,
        moe_layer=max(routed - layer, 0.0),
        iteration=max(few - _FEW * layer, 0.0),
        sequence=max(crowded - few, 0.0) / (_SEQUENCES - 1),
    )


def _step(kind: Shape, layers: int, sequences: int, repeats: int, group: int | None) -> float:
    """Seconds of one decode step."""
    counts = (0, layers) if kind.n_experts else (layers, 0)
    shape = dataclasses.replace(kind, dense_layers=counts[0], moe_layers=counts[1])
    decoder = random_decoder(shape, jnp.float32, group=group)
    first = jnp.asarray(np.zeros(sequences, np.int32))

    def run() -> jax.Array:
        cache = empty_cache(decoder.counts, shape, (sequences, _SLOTS), jnp.float32)
        return decode_steps(decoder, first, cache, _STEPS)[0]

    return seconds(run, repeats) / _STEPS
