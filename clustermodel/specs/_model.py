"""What is served: the shapes of a language model."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.specs._quantity import quantity


class Model(eqx.Module):
    """One transformer (or hybrid) language model: shapes as its authors publish them."""

    layers: Scalar = quantity("", "transformer blocks", least=1.0)
    d_model: Scalar = quantity("", "width of the residual stream", least=1.0)
    heads: Scalar = quantity("", "query heads", least=1.0)
    kv_heads: Scalar = quantity("", "key-value heads", least=1.0)
    head_dim: Scalar = quantity("", "query-key head size", least=1.0)
    v_head_dim: Scalar = quantity("", "value head size", least=1.0)
    vocab: Scalar = quantity("", "vocabulary", least=1.0)
    context: Scalar = quantity("token", "longest context", least=1.0)
    total_params: Scalar = quantity("", "all parameters, counted from the shapes", least=1.0)
    ffn_dim: Scalar = quantity("", "hidden width of the dense FFN layers", 0.0)
    ffn_matrices: Scalar = quantity("", "matrices of one FFN: 3 gated, 2 plain", 3.0, least=2.0)
    dense_ffn_layers: Scalar = quantity("", "layers with a dense FFN", 0.0)
    moe_layers: Scalar = quantity("", "layers with routed experts", 0.0)
    n_experts: Scalar = quantity("", "routed experts per layer", 0.0)
    top_k: Scalar = quantity("", "routed experts per token", 0.0)
    moe_ffn_dim: Scalar = quantity("", "hidden width of a routed expert", 0.0)
    shared_ffn_dim: Scalar = quantity("", "hidden width of all shared experts together", 0.0)
    moe_latent_dim: Scalar = quantity("", "width in which experts work; 0 means d_model", 0.0)
    q_lora_rank: Scalar = quantity("", "latent width of queries (MLA)", 0.0)
    kv_lora_rank: Scalar = quantity("", "latent width of keys and values (MLA)", 0.0)
    qk_nope_dim: Scalar = quantity("", "query-key head size without rotary part (MLA)", 0.0)
    qk_rope_dim: Scalar = quantity("", "rotary query-key head size (MLA)", 0.0)
    full_attn_layers: Scalar = quantity("", "layers whose attention sees the whole context", 0.0)
    sliding_layers: Scalar = quantity("", "layers with a sliding window", 0.0)
    sliding_window: Scalar = quantity("token", "length of that window", 0.0)
    linear_layers: Scalar = quantity("", "layers with a constant-size state", 0.0)
    sparse_topk: Scalar = quantity("token", "cached tokens read per query; 0 means all", 0.0)
    kv_elems: Scalar = quantity("1/token", "cache elements per token, full-attention layers", 0.0)
    index_bytes: Scalar = quantity("B/token", "index keys of sparse attention", 0.0)
    swa_kv_elems: Scalar = quantity("", "cache elements of the full sliding windows of one sequence", 0.0)
    linear_state_elems: Scalar = quantity("", "recurrent state elements of one sequence", 0.0)
    replicated_cache: Scalar = quantity("", "1 where the cache is one shared head (MLA, MQA)", 0.0, most=1.0)
    tied_embeddings: Scalar = quantity("", "1 where input and output embedding are one matrix", 0.0, most=1.0)
    mtp_layers: Scalar = quantity("", "multi-token-prediction layers, outside the totals", 0.0)
    published_params: Scalar = quantity("", "total parameters as published", 0.0, noted=True)
    published_active_params: Scalar = quantity(
        "", "parameters active per token as published", 0.0, noted=True
    )
