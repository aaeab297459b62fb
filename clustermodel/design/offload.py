"""Keep a cached token or prefill it again: what holding costs by the hour in each memory, and until when it pays."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.chain.evaluate import Evaluation
from clustermodel.economics.levelized import holding_price
from clustermodel.economics.tokens import break_even_holding_time
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.tiers import Tiers
from clustermodel.physics.work import cache_shards
from clustermodel.serving.load import Load
from clustermodel.serving.mixed import mixed_share
from clustermodel.serving.prefix import cached_token_time, token_cache_bytes
from clustermodel.specs import MemoryTier, Terms


class KeptToken(eqx.Module):
    """One token of context whose cache waits in a tier of memory; the arrays run over the tiers."""

    size: Scalar  # B/token
    recompute: Scalar  # s of the replica to prefill it again
    recompute_cost: Scalar  # USD to prefill it again
    reload: Tiers  # s of the replica to read it back
    reload_cost: Tiers  # USD to read it back, and for the attention of new tokens to it
    holding: Tiers  # USD/s to keep it
    pays_for: Tiers  # s after which prefilling again is cheaper; 0 where reading back is dearer at once

    def cached_price(self, interval: Scalar) -> Tiers:
        """Price at cost of a cached input token that is used every `interval` seconds (USD)."""
        return self.reload_cost + self.holding * interval


def kept_token(deployment: Deployment, load: Load, evaluation: Evaluation, terms: Terms) -> KeptToken:
    """What keeping a token's cache costs in each tier against prefilling it again, at an operating point.

    Reading back takes bytes / (ranks x rate of the tier); the nearest tier reads at the rate that engines reach
    on caches, others over a link. Time costs what it costs the replica; a byte held costs its share of the
    system's capital. T* = (c_prefill - c_reload) / (bytes h).  [economics.tokens.break_even_holding_time]
    """
    memory, c, layout = deployment.accelerator.memory, deployment.coefficients, deployment.layout
    size, ranks = token_cache_bytes(deployment), cache_shards(deployment) * layout.pp * layout.dp
    attention = cached_token_time(deployment, load).attention * mixed_share(deployment, load)
    spent, recompute = evaluation.point.token_time.prefill, evaluation.unit.input

    def in_tier(tier: MemoryTier, share: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
        reload = size / ranks / (tier.bandwidth * share)
        reload_cost = recompute / spent * (reload + attention)
        price, saved = holding_price(tier, terms), jnp.maximum(recompute - reload_cost, 0.0)
        free = price <= 0  # a tier without a price of its own is paid for with the accelerator
        pays_for = break_even_holding_time(saved, jnp.where(free, 1.0, price), size)
        return reload, reload_cost, price * size, jnp.where(free, jnp.inf, pays_for)

    share = jnp.full_like(memory.bandwidth, c.link_share).at[0].set(c.cache_read)
    reload, reload_cost, holding, pays_for = jax.vmap(in_tier)(memory, share)
    return KeptToken(size, spent, recompute, reload, reload_cost, holding, pays_for)
