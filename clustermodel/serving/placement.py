"""Where weights, experts and running caches of a replica live when the nearest memory cannot hold them."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import tiers, transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.tiers import Kinds, Placement, ReadRate, Tiers
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse, kept_cache, memory_use

KINDS = ("dense", "head", "cache", "experts", "embedding")
"""Kinds of running data, in the order in which equally dense ones are placed."""


def in_tiers(deployment: Deployment) -> Deployment:
    """The same replica, its running data free to live in farther tiers; `placed` then says where."""
    rate = deployment.accelerator.hbm_bandwidth
    near = ReadRate(rate, jnp.zeros_like(rate), jnp.ones_like(rate))
    none = jnp.zeros_like(deployment.accelerator.memory.capacity)
    placement = Placement(near, near, near, near, jnp.zeros_like(rate), none, none)
    return eqx.tree_at(lambda d: d.placement, deployment, placement, is_leaf=lambda leaf: leaf is None)


def placed(deployment: Deployment, load: Load) -> Deployment:
    """The replica with its running data placed for `load`; unchanged where farther tiers are not in question.

    Farther tiers are used where the nearest cannot hold the weights and one sequence, or where the engine
    offloads by choice. The densest kinds come nearest; what overlaps is read side by side.
    """
    if deployment.placement is None:
        return deployment
    near = memory_use(eqx.tree_at(lambda d: d.placement.beyond, deployment, jnp.zeros_like(load.isl)), load)
    farther = _farther(deployment)
    wanted = (near.fits < 1) | (deployment.engine.offload > 0)
    beyond = jnp.where(wanted, jnp.sum(farther), 0.0)
    pooled = eqx.tree_at(lambda d: d.placement.beyond, deployment, beyond)
    use = memory_use(pooled, load)
    own = deployment.engine.usable_fraction * near.capacity - near.workspace
    capacity = jnp.where(wanted, farther, 0.0).at[0].set(jnp.maximum(own, 0.0))
    return eqx.tree_at(lambda d: d.placement, deployment, _placement(pooled, load, use, capacity))


def placed_for(deployment: Deployment, load: Load, sequences: Scalar) -> Deployment:
    """The replica with its running data placed for so many running sequences, whatever `load.concurrency` is."""
    return placed(deployment, eqx.tree_at(lambda each: each.concurrency, load, sequences))


def _farther(deployment: Deployment) -> Tiers:
    """Bytes of each tier beyond the nearest that running data may use."""
    memory, engine = deployment.accelerator.memory, deployment.engine
    allowed = jnp.maximum(memory.direct, engine.offload)
    return (engine.usable_fraction * memory.capacity * allowed).at[0].set(0.0)


def running(deployment: Deployment, load: Load, use: MemoryUse) -> Scalar:
    """Sequences that run at the most: as many as are asked for and fit."""
    asked = jnp.minimum(load.concurrency, deployment.engine.max_num_seqs * deployment.layout.dp)
    return jnp.minimum(asked, use.sequences)


def full_batch(deployment: Deployment, load: Load) -> Scalar:
    """Requests that run at once at the most, at least 1: what memory holds and the engine allows; more only wait."""
    slots = deployment.engine.max_num_seqs * deployment.layout.dp
    full = eqx.tree_at(lambda each: each.concurrency, load, slots)
    replica = placed(deployment, full)
    return jnp.maximum(running(replica, full, memory_use(replica, full)), 1.0)


def touched_share(deployment: Deployment, load: Load, sequences: Scalar) -> Kinds:
    """Share of the stored bytes of each of `KINDS` that one decode step reads.

    All of the dense weights and the head, the attended share of the caches, the experts that the tokens of a
    step are routed to, one embedding row a token.
    """
    d, f, one = deployment, deployment.formats, jnp.ones_like(sequences)
    held = load.isl + d.coefficients.held_output * load.osl
    kept = transformer.stored_cache(d.model, held, f.cache_bytes, f.state_bytes).total
    read = transformer.read_cache(d.model, load.context, f.cache_bytes, f.state_bytes).total
    tokens = sequences * (1 + load.draft_tokens) / d.layout.pp
    coverage = transformer.expert_coverage(d.model, tokens, d.coefficients.coverage_skew)
    rows = jnp.minimum(tokens / d.model.vocab, 1.0)
    return jnp.stack([one, one, jnp.minimum(read / jnp.maximum(kept, 1.0), 1.0), coverage, rows])


def stored_bytes(deployment: Deployment, load: Load, sequences: Scalar) -> Kinds:
    """Bytes of each of `KINDS` on one accelerator."""
    count, f, layout = transformer.weights(deployment.model), deployment.formats, deployment.layout
    shard = layout.tp * layout.pp
    cache = sequences / layout.dp * kept_cache(deployment, load)
    return jnp.stack(
        [
            (count.attention * f.attention_bytes + count.ffn * f.ffn_bytes) / shard,
            count.head * f.head_bytes / shard,
            cache,
            count.experts * f.expert_bytes / layout.stage / layout.pp,
            count.embedding * f.head_bytes / shard,
        ]
    )


def _placement(deployment: Deployment, load: Load, use: MemoryUse, capacity: Tiers) -> Placement:
    sequences = running(deployment, load, use)
    stored = stored_bytes(deployment, load, sequences)
    density = touched_share(deployment, load, sequences)
    memory = deployment.accelerator.memory
    rate, bytes_in = tiers.read_rate(memory), tiers.densest_first(stored, density, capacity)
    reads = jnp.sum(bytes_in * density[:, None], axis=0)
    layers = deployment.model.layers / deployment.layout.pp
    swept = tiers.swept_time(stored, density, capacity, memory, layers)
    stretch = swept / jnp.maximum(tiers.serial_time(reads, rate), 1e-30)
    spilled = jnp.sum(bytes_in[:, 1:]) > 0

    def reading(kind: str) -> ReadRate:
        row = bytes_in[KINDS.index(kind)]
        spent, some = row / rate, jnp.sum(row) > 0
        total = jnp.where(some, jnp.sum(spent), 1.0)
        own = jnp.where(some, jnp.sum(row) / total / stretch, rate[0])
        far = jnp.where(some, jnp.sum(spent[1:]) / total, 0.0)
        near = jnp.where(some, row[0] / jnp.where(some, jnp.sum(row), 1.0), 1.0)
        return ReadRate(
            jnp.where(spilled, own, rate[0]), jnp.where(spilled, far, 0.0), jnp.where(spilled, near, 1.0)
        )

    dense, experts, head, cache = (reading(kind) for kind in ("dense", "experts", "head", "cache"))
    beyond = jnp.sum(capacity[1:])
    return Placement(dense, experts, head, cache, beyond, jnp.sum(bytes_in, axis=0), reads)
