"""Feed-forward layers and routed experts of a Hugging Face config.json."""

from clustermodel.catalog._hf_config import Config
from clustermodel.catalog._hf_layers import WIDTH, Layers, each_layer

_EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
_TOP_K = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_top_k", "moe_k")
_MOE_DIM = ("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
_SHARED_DIM = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
)
_SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
_LATENT = ("moe_latent_size", "routed_expert_hidden_size")
_FIRST_DENSE = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
_DENSE_DIM = (
    "dense_intermediate_size",
    "intermediate_size_mlp",
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
)

_PLAIN = ("falcon", "starcoder2", "gpt2", "gpt_bigcode", "gpt_neox", "phi", "opt", "bloom", "mpt", "nemotron")
_PLAIN += ("nemotron_h", "arcee")
"""Families whose FFN has an up and a down projection and no gate."""
_FOURFOLD = ("falcon", "gpt2", "gpt_bigcode", "bloom", "mpt")
"""Families whose FFN is four times as wide as the stream where the config is silent."""


def read_ffn(config: Config, layers: Layers) -> dict[str, float]:
    """Fields of the dense FFN and of the routed experts."""
    family = config.model_type
    experts = config.number(*_EXPERTS, default=0.0)
    moe = _moe_layers(config, layers) if experts > 1 else 0.0
    parallel = config.flag("enable_moe_block")  # Gemma-4: a dense FFN beside the experts of every layer
    dense = float(layers.blocks.count("mlp")) if layers.blocks else max(layers.total - moe, 0.0)
    wide = 4 * config.number(*WIDTH, least=1.0) if family in _FOURFOLD else None
    silent = 0.0 if dense == 0 and not parallel else wide
    fields = {
        "ffn_dim": config.number(*_DENSE_DIM, default=silent),
        "ffn_matrices": 2.0 if family in _PLAIN else 3.0,
        "dense_ffn_layers": dense,
        "moe_layers": moe,
    }
    return fields | _experts(config, experts, fields["ffn_dim"] if parallel else None) if moe else fields


def _experts(config: Config, experts: float, parallel: float | None) -> dict[str, float]:
    width = config.number(*_MOE_DIM, least=1.0)
    top_k = config.number(*_TOP_K, least=1.0)
    if top_k > experts:
        config.problems.append(f"num_experts_per_tok: {top_k:g} of only {experts:g} experts")
    return {
        "n_experts": experts,
        "top_k": top_k,
        "moe_ffn_dim": width,
        "shared_ffn_dim": _shared(config, width) if parallel is None else parallel,
        "moe_latent_dim": config.number(*_LATENT, default=0.0),
    }


def _shared(config: Config, width: float) -> float:
    """Hidden width of all shared experts together."""
    if config.has(*_SHARED_DIM):
        return config.number(*_SHARED_DIM)
    always_one = 1.0 if config.model_type.startswith("llama4") else 0.0
    return width * config.number(*_SHARED, default=always_one)


def _moe_layers(config: Config, layers: Layers) -> float:
    """Layers with routed experts: listed, every so many, or all after the first few."""
    if layers.blocks:
        return float(layers.blocks.count("moe"))
    if kinds := each_layer(config, "mlp_layer_types", layers.total):
        return float(kinds.count("sparse"))
    if config.has_list("moe_layer_freq") and (schedule := each_layer(config, "moe_layer_freq", layers.total)):
        return float(sum(1 for each in schedule if each))
    if listed := config.rows("moe_layers"):
        return float(len(listed))
    every = config.number("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_freq", default=1.0)
    first = config.number(*_FIRST_DENSE, default=0.0)
    left_out = float(len(config.rows("mlp_only_layers")))
    return max((layers.total - first) // max(every, 1.0) - left_out, 0.0)
