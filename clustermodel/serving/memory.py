"""What has to fit: weights, workspace and the cache of the running sequences."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.tiers import Placement
from clustermodel.physics.work import cache_shards
from clustermodel.serving.load import Load


class MemoryUse(eqx.Module):
    """Bytes of one accelerator by use, and how many sequences the rest can hold."""

    weights: Scalar  # adapters among them
    workspace: Scalar
    cache_room: Scalar  # what is left for the cache; negative where the weights do not fit
    per_sequence: Scalar  # cache of one running sequence
    sequences: Scalar  # of the whole replica
    capacity: Scalar  # of the accelerator's nearest tier
    fits: Scalar  # 1 where at least one sequence fits, else 0
    placement: Placement | None = None  # of running data over the tiers, where farther ones are in question


def weight_bytes(deployment: Deployment) -> Scalar:
    """Weights on one accelerator (B): dense tensors split over tp, experts over the stage, both over stages."""
    count, f, layout = transformer.weights(deployment.model), deployment.formats, deployment.layout
    vocabulary = (count.head + count.embedding) * f.head_bytes
    dense = count.attention * f.attention_bytes + count.ffn * f.ffn_bytes + vocabulary
    return (dense / layout.tp + count.experts * f.expert_bytes / layout.stage) / layout.pp


def workspace(deployment: Deployment) -> Scalar:
    """What the engine keeps for itself (B): its usual need, less on small memories such as SRAM."""
    engine = deployment.engine
    return jnp.minimum(engine.workspace, engine.workspace_share * deployment.accelerator.hbm_capacity)


def kept_cache(deployment: Deployment, load: Load) -> Scalar:
    """Cache of one running sequence on one accelerator (B): its input and a mean share of its output."""
    f, layout = deployment.formats, deployment.layout
    held = load.isl + deployment.coefficients.held_output * load.osl
    cache = transformer.stored_cache(deployment.model, held, f.cache_bytes, f.state_bytes).total
    return cache / cache_shards(deployment) / layout.pp


def memory_use(deployment: Deployment, load: Load) -> MemoryUse:
    """Memory accounting of one accelerator of a replica under `load`.

    room = fraction (usable capacity - weights - workspace). Capacity is that of the nearest tier, and of
    farther ones where the replica is placed over them. Sequences are spread over the attention ranks and
    stages of the replica; each attention rank keeps its share of every adapter.
    """
    layout, engine, placement = deployment.layout, deployment.engine, deployment.placement
    per_sequence = kept_cache(deployment, load)
    adapters = load.adapters * load.adapter_bytes / (layout.tp * layout.pp)
    weights, capacity = weight_bytes(deployment) + adapters, deployment.accelerator.hbm_capacity
    own = workspace(deployment)
    usable = engine.usable_fraction * capacity
    usable = usable if placement is None else usable + placement.beyond
    room = engine.memory_fraction * (usable - weights - own)
    sequences = jnp.maximum(room, 0.0) / jnp.maximum(per_sequence, 1.0) * layout.dp
    fits = jnp.where((room > 0) & (sequences >= 1), jnp.ones_like(room), 0.0)
    return MemoryUse(weights, own, room, per_sequence, sequences, capacity, fits, placement)
