"""How many weights a model has by kind, and how much cache a sequence keeps and reads."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs import Model


class Weights(eqx.Module):
    """Parameters by kind of tensor; their sum is the model's total."""

    attention: Scalar  # projections, norms, recurrent layers and everything else
    ffn: Scalar  # dense FFN and shared experts
    experts: Scalar  # all routed experts
    head: Scalar  # one vocabulary matrix
    embedding: Scalar  # the other vocabulary matrix, 0 where tied


def weights(model: Model) -> Weights:
    """Parameters of `model` by kind.

    experts = moe_layers E m D_e F_e;  ffn = dense_layers m D F + moe_layers m D F_shared;  head = V D;
    attention is the rest of the total, m the matrices of one FFN and D_e the width experts work in.
    """
    per_expert = model.ffn_matrices * expert_input(model) * model.moe_ffn_dim
    experts = model.moe_layers * model.n_experts * per_expert
    dense = model.dense_ffn_layers * model.ffn_dim + model.moe_layers * model.shared_ffn_dim
    ffn = model.ffn_matrices * model.d_model * dense
    head = model.vocab * model.d_model
    embedding = head * (1 - model.tied_embeddings)
    attention = model.total_params - experts - ffn - head - embedding
    return Weights(attention, ffn, experts, head, embedding)


def expert_input(model: Model) -> Scalar:
    """Width in which routed experts work: the model's, or a latent one."""
    return jnp.where(model.moe_latent_dim > 0, model.moe_latent_dim, model.d_model)


def routed_share(model: Model) -> Scalar:
    """Routed experts per token over routed experts, K/E; 0 for a dense model."""
    return model.top_k / jnp.maximum(model.n_experts, 1.0)


def expert_coverage(model: Model, tokens: Scalar, skew: Scalar) -> Scalar:
    """Share of the routed experts that `tokens` of one iteration touch; 0 for a dense model.

    1 - (1 - K/E)^(tokens^skew): independent uniform routing at skew 1, uneven routing below.
    """
    untouched = jnp.log1p(-jnp.minimum(routed_share(model), 0.999))  # keeps K = E finite
    effective = jnp.exp(skew * jnp.log(jnp.maximum(tokens, 1e-6)))
    return jnp.where(model.n_experts > 0, -jnp.expm1(untouched * effective), 0.0)


class CacheBytes(eqx.Module):
    """Cache of one sequence over all layers (B); bytes stored and bytes read differ."""

    growing: Scalar  # per token of context
    sliding: Scalar  # windows, as far as they are filled
    state: Scalar  # recurrent state

    @property
    def total(self) -> Scalar:
        """Everything (B)."""
        return self.growing + self.sliding + self.state


def _window_fill(model: Model, context: Scalar) -> Scalar:
    return jnp.minimum(context / jnp.maximum(model.sliding_window, 1.0), 1.0)


def _constant(
    model: Model, context: Scalar, cache_bytes: Scalar, state_bytes: Scalar
) -> tuple[Scalar, Scalar]:
    sliding = model.swa_kv_elems * _window_fill(model, context) * cache_bytes
    return sliding, model.linear_state_elems * state_bytes


def stored_cache(model: Model, context: Scalar, cache_bytes: Scalar, state_bytes: Scalar) -> CacheBytes:
    """Bytes that a sequence of `context` tokens keeps, index keys included."""
    growing = context * (model.kv_elems * cache_bytes + model.index_bytes)
    return CacheBytes(growing, *_constant(model, context, cache_bytes, state_bytes))


def read_cache(model: Model, context: Scalar, cache_bytes: Scalar, state_bytes: Scalar) -> CacheBytes:
    """Bytes that one decode step of a sequence reads; sparse attention reads `sparse_topk` tokens and all keys."""
    growing = attended(model, context) * model.kv_elems * cache_bytes + context * model.index_bytes
    return CacheBytes(growing, *_constant(model, context, cache_bytes, state_bytes))


def attended(model: Model, context: Scalar) -> Scalar:
    """Cached tokens that one query attends to in a full-attention layer."""
    return jnp.where(model.sparse_topk > 0, jnp.minimum(context, model.sparse_topk), context)


def full_layers(model: Model) -> Scalar:
    """Layers whose attention arithmetic grows with the context."""
    return jnp.where(model.full_attn_layers > 0, model.full_attn_layers, model.layers)


def decode_attention_flops(model: Model) -> Scalar:
    """FLOP per head, layer and attended token: 2 (2 r_kv + r_rope) for absorbed MLA, else those of plain heads."""
    absorbed = 2 * (2 * model.kv_lora_rank + model.qk_rope_dim)
    return jnp.where(model.kv_lora_rank > 0, absorbed, head_flops(model))


def head_flops(model: Model) -> Scalar:
    """FLOP per head, layer and attended token of plain heads: 2 d_qk for the score and 2 d_v for the value."""
    return 2 * (model.head_dim + model.v_head_dim)
