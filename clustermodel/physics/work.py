"""What one iteration has to do at the least: seconds of memory traffic and of arithmetic at peak rates."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics import transformer
from clustermodel.physics.deployment import Deployment
from clustermodel.specs import quantity


class Tokens(eqx.Module):
    """What one iteration of a replica processes."""

    decode: Scalar = quantity("", "decoding sequences")
    prefill: Scalar = quantity("token", "prefill tokens")
    context: Scalar = quantity("token", "mean context of a decoding sequence")
    prefill_context: Scalar = quantity("token", "mean tokens a prefill token attends to")
    verified: Scalar = quantity("token", "tokens per decoding sequence: 1, and the drafted ones", 1.0)
    adapters: Scalar = quantity("", "low-rank adapters that sequences choose from", 0.0)
    adapter_bytes: Scalar = quantity("B", "of one adapter", 0.0)
    adapter_share: Scalar = quantity("", "share of the sequences that use one", 1.0)


class Demand(eqx.Module):
    """Seconds of one operation on its accelerator at peak bandwidth and at peak arithmetic rate."""

    traffic: Scalar
    arithmetic: Scalar

    def __add__(self, other: "Demand") -> "Demand":
        return Demand(self.traffic + other.traffic, self.arithmetic + other.arithmetic)

    def scaled(self, factor: Scalar) -> "Demand":
        """Both parts times `factor`."""
        return Demand(self.traffic * factor, self.arithmetic * factor)

    @property
    def bound(self) -> Scalar:
        """Least time: the slower of the two, fully overlapped (s)."""
        return jnp.maximum(self.traffic, self.arithmetic)


class Work(eqx.Module):
    """The demands of one iteration of one pipeline pass, per accelerator."""

    dense: Demand  # attention projections, dense FFN, shared experts
    experts: Demand
    head: Demand
    attention: Demand  # decode attention over the cache
    prefill_attention: Demand

    @property
    def total(self) -> Demand:
        """All operations together."""
        return self.dense + self.experts + self.head + self.attention + self.prefill_attention


def sequences(tokens: Tokens, shares: Scalar) -> Scalar:
    """Decoding sequences of one of `shares` equal parts of a batch: no part that decodes has less than one."""
    return jnp.where(tokens.decode > 0, jnp.maximum(tokens.decode / shares, 1.0), 0.0)


def rank_tokens(deployment: Deployment, tokens: Tokens) -> Scalar:
    """Tokens that pass one pipeline stage in an iteration: those of a part of the batch, and prefill."""
    return sequences(tokens, deployment.layout.pp) * tokens.verified + tokens.prefill


def _rank_sequences(d: Deployment, tokens: Tokens) -> Scalar:
    """Decoding sequences of the busiest attention rank in one pass."""
    return sequences(tokens, d.layout.pp * d.layout.dp)


def cache_shards(deployment: Deployment) -> Scalar:
    """Accelerators that share one sequence's cache: 1 where it is replicated, else up to the KV heads."""
    layout, model = deployment.layout, deployment.model
    return jnp.where(model.replicated_cache > 0, 1.0, jnp.minimum(layout.tp, model.kv_heads))


def work(deployment: Deployment, tokens: Tokens) -> Work:
    """Traffic and arithmetic of one iteration [roofline: bytes / bandwidth, FLOP / rate, per operation]."""
    return Work(
        dense=_dense(deployment, tokens),
        experts=_experts(deployment, tokens),
        head=_head(deployment, tokens),
        attention=_attention(deployment, tokens),
        prefill_attention=_prefill_attention(deployment, tokens),
    )


def _dense(d: Deployment, tokens: Tokens) -> Demand:
    count, f = transformer.weights(d.model), d.formats
    per_rank = _rank_sequences(d, tokens) * tokens.verified + tokens.prefill / d.layout.dp
    stored = count.attention * f.attention_bytes + count.ffn * f.ffn_bytes + adapter_reads(d, tokens)
    arithmetic = 2 * per_rank * (count.attention / f.attention_rate + count.ffn / f.ffn_rate)
    return Demand(stored / d.layout.tp / d.read_rate("dense"), arithmetic / d.layout.tp)


def adapter_reads(d: Deployment, tokens: Tokens) -> Scalar:
    """Bytes of the distinct adapters that the sequences of one attention rank use: A (1 - (1 - 1/A)^n) each.

    Uses are spread evenly; a step with prompts has at least one more sequence. [S-LoRA, arXiv:2311.03285, batches
    sequences of different adapters in one step and reads each adapter once.]
    """
    prompts = jnp.where(tokens.prefill > 0, 1.0, 0.0)
    using = tokens.adapter_share * (_rank_sequences(d, tokens) + prompts)
    several = jnp.maximum(tokens.adapters, 2.0)
    distinct = jnp.where(
        tokens.adapters > 1, several * (1 - (1 - 1 / several) ** using), jnp.minimum(using, 1.0)
    )
    return jnp.minimum(distinct, tokens.adapters) * tokens.adapter_bytes


def _experts(d: Deployment, tokens: Tokens) -> Demand:
    count, routed = transformer.weights(d.model).experts, rank_tokens(d, tokens)
    touched = transformer.expert_coverage(d.model, routed, d.coefficients.coverage_skew)
    active = count * transformer.routed_share(d.model)
    return Demand(
        count * touched * d.formats.expert_bytes / d.layout.stage / d.read_rate("experts"),
        2 * routed * active / d.layout.stage / d.formats.expert_rate,
    )


def _head(d: Deployment, tokens: Tokens) -> Demand:
    shard = transformer.weights(d.model).head / d.layout.tp
    outputs = _rank_sequences(d, tokens) * tokens.verified
    used = jnp.where(tokens.decode > 0, 1.0, 0.0)
    return Demand(
        used * shard * d.formats.head_bytes / d.read_rate("head"),
        2 * outputs * shard / d.formats.wide_rate,
    )


def _attention(d: Deployment, tokens: Tokens) -> Demand:
    running = _rank_sequences(d, tokens)
    read = transformer.read_cache(d.model, tokens.context, d.formats.cache_bytes, d.formats.state_bytes)
    per_head = transformer.attended(d.model, tokens.context) * transformer.decode_attention_flops(d.model)
    heads = transformer.full_layers(d.model) * d.model.heads / d.layout.tp
    return Demand(
        running * read.total / cache_shards(d) / d.read_rate("cache"),
        running * tokens.verified * heads * per_head / d.formats.wide_rate,
    )


def _prefill_attention(d: Deployment, tokens: Tokens) -> Demand:
    heads = transformer.full_layers(d.model) * d.model.heads / d.layout.tp
    per_head = transformer.attended(d.model, tokens.prefill_context) * transformer.head_flops(d.model)
    arithmetic = tokens.prefill / d.layout.dp * heads * per_head / d.formats.wide_rate
    return Demand(jnp.zeros_like(arithmetic), arithmetic)
