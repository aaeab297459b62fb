"""What has to fit: weights, workspace and the cache of the running sequences."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.work import cache_shards
from clustermodel.serving.load import Load


class MemoryUse(eqx.Module):
    """Bytes of one accelerator by use, and how many sequences the rest can hold."""

    weights: Scalar
    workspace: Scalar
    cache_room: Scalar  # what is left for the cache; negative where the weights do not fit
    per_sequence: Scalar  # cache of one running sequence
    sequences: Scalar  # of the whole replica
    capacity: Scalar  # of the accelerator's nearest tier
    fits: Scalar  # 1 where at least one sequence fits, else 0


def weight_bytes(deployment: Deployment) -> Scalar:
    """Weights on one accelerator (B): dense tensors split over tp, experts over the stage, both over stages."""
    count, f, layout = transformer.weights(deployment.model), deployment.formats, deployment.layout
    vocabulary = (count.head + count.embedding) * f.head_bytes
    dense = count.attention * f.attention_bytes + count.ffn * f.ffn_bytes + vocabulary
    return (dense / layout.tp + count.experts * f.expert_bytes / layout.stage) / layout.pp


def memory_use(deployment: Deployment, load: Load) -> MemoryUse:
    """Memory accounting of one accelerator of a replica under `load`.

    room = fraction (usable capacity - weights - workspace);  a running sequence holds its input and a mean
    share of its output. Sequences are spread over the attention ranks and stages of the replica.
    """
    f, layout, engine = deployment.formats, deployment.layout, deployment.engine
    held = load.isl + deployment.coefficients.held_output * load.osl
    cache = transformer.stored_cache(deployment.model, held, f.cache_bytes, f.state_bytes).total
    per_sequence = cache / cache_shards(deployment) / layout.pp
    weights, capacity = weight_bytes(deployment), deployment.accelerator.hbm_capacity
    room = engine.memory_fraction * (engine.usable_fraction * capacity - weights - engine.workspace)
    sequences = jnp.maximum(room, 0.0) / jnp.maximum(per_sequence, 1.0) * layout.dp
    fits = jnp.where((room > 0) & (sequences >= 1), jnp.ones_like(room), 0.0)
    return MemoryUse(weights, engine.workspace, room, per_sequence, sequences, capacity, fits)
