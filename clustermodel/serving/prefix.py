"""What an input token served from the prefix cache still takes: its reload, and attention to it."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.work import cache_shards
from clustermodel.serving.load import Load
from clustermodel.specs import MemoryTier


class CachedTokenTime(eqx.Module):
    """Time of the replica that one cached input token takes (s/token), and its own latency."""

    reload: Scalar  # bytes over the bandwidth of the tier that holds them
    attention: Scalar  # prefill attention of the uncached tokens to it
    latency: Scalar  # reload as the one request waits for it


def cache_tier(deployment: Deployment) -> MemoryTier:
    """The tier that holds prefixes between uses: the second where there is one, else the first."""
    tiers = deployment.accelerator.memory
    second = tiers.capacity[1] > 0
    return jax.tree.map(lambda level: jnp.where(second, level[1], level[0]), tiers)


def token_cache_bytes(deployment: Deployment) -> Scalar:
    """Cache bytes of one token of context over all layers, index keys included (B/token)."""
    model = deployment.model
    return model.kv_elems * deployment.formats.cache_bytes + model.index_bytes


def cached_token_time(deployment: Deployment, load: Load) -> CachedTokenTime:
    """Reload and attention that one more cached input token causes (s/token).

    reload = bytes / (shards pp dp rate): ranks reload different requests at the same time;  attention =
    uncached tokens x FLOP per pair / rate. Both have a limit where nothing is cached yet.
    """
    layout, model, c = deployment.layout, deployment.model, deployment.coefficients
    tier = cache_tier(deployment)
    near = deployment.accelerator.memory.capacity[1] <= 0
    rate = tier.bandwidth * jnp.where(near, c.cache_read, c.link_share)
    latency = token_cache_bytes(deployment) / (cache_shards(deployment) * layout.pp) / rate
    heads = transformer.full_layers(model) * model.heads / layout.tp
    pair = heads * 4 * model.head_dim / deployment.formats.wide_rate / c.attention_math
    attention = load.uncached / (layout.pp * layout.dp) * pair * _attended_share(deployment, load)
    return CachedTokenTime(latency / layout.dp, attention, latency)


def _attended_share(deployment: Deployment, load: Load) -> Scalar:
    """Share of a cached prefix that prefill attends to: 1, less under sparse attention."""
    model, own = deployment.model, load.uncached / 2
    added = transformer.attended(model, load.prefill_context) - transformer.attended(model, own)
    dense = (model.sparse_topk <= 0) | (own < model.sparse_topk)
    some = load.cached > 0
    return jnp.where(some, added / jnp.where(some, load.cached, 1.0), jnp.where(dense, 1.0, 0.0))
