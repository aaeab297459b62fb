"""What the layers of a Hugging Face config.json are: full, sliding or recurrent, and their attention's shape."""

import dataclasses
import math
from collections import Counter
from typing import Any

from clustermodel.catalog._hf_config import Config, finite

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
WIDTH = ("hidden_size", "n_embd", "d_model")
_WINDOW = ("sliding_window", "sliding_window_size", "attention_chunk_size")

_FULL = ("full_attention", "attention", "minimax_m3_sparse", "deepseek_sparse_attention")
_SLIDING = ("sliding_attention", "chunked_attention")
_LINEAR = ("linear_attention", "mamba", "mamba2", "kda")
_OTHER = ("mlp", "moe")
_BLOCKS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}  # letters of Nemotron-H's pattern

_FULL_EVERY = {"gemma2": 2.0, "gpt_oss": 2.0, "gemma3": 6.0, "gemma3_text": 6.0}
"""One layer in so many sees the whole context where the config is silent [transformers 5.23, defaults]."""
_NOPE_EVERY = 4.0  # Llama-4: one layer in four has no rotary embedding and no chunks
_SLIDING_FAMILIES = ("mistral", "mixtral", "phi3", "starcoder2")
_GATED_FAMILIES = ("qwen3_next", "qwen3_5", "kimi_k3")
_INDEXED_RATIO = 4  # DeepSeek-V4: entries of four tokens are chosen by an index
_SCALE_BYTES = 4.0  # an 8-bit index key carries one 32-bit scale
_WIDE_KEY = 2.0  # bytes per element of a 16-bit index key


@dataclasses.dataclass(frozen=True)
class Layers:
    """Numbers of layers by what they do; `blocks` names each where a block does one thing only."""

    total: float
    full: float
    sliding: float
    linear: float
    window: float
    blocks: tuple[str, ...] = ()


def read_layers(config: Config) -> Layers:
    """Count the layers of each kind; every one sees the whole context unless the config says otherwise."""
    blocks = _blocks(config)
    total = float(len(blocks)) if blocks else config.whole(*LAYERS, least=1.0)
    kinds = Counter(blocks) or _named(config, total)
    for kind in kinds.keys() - {*_FULL, *_SLIDING, *_LINEAR, *_OTHER}:
        config.problems.append(f"layer_types: {kind!r:.40} is no kind of layer that can be counted")
    if not kinds:
        return _periodic(config, total)
    full, sliding, linear = (
        float(sum(kinds[kind] for kind in known)) for known in (_FULL, _SLIDING, _LINEAR)
    )
    return Layers(total, full, sliding, linear, config.number(*_WINDOW) if sliding else 0.0, blocks)


def _blocks(config: Config) -> tuple[str, ...]:
    pattern = config.word("hybrid_override_pattern")
    listed = config.rows("layers_block_type") or [_BLOCKS.get(letter, letter) for letter in pattern]
    return tuple(str(block) for block in listed)


def _named(config: Config, total: float) -> Counter[str]:
    """Kinds of layer that the config lists one by one."""
    if listed := each_layer(config, "layer_types", total):
        return Counter(map(str, listed))
    linear = config.part("linear_attn_config")
    if recurrent := linear.rows("kda_layers"):
        return Counter(_listed_by_number(config, recurrent, linear.rows("full_attn_layers"), total))
    for name, other in (
        ("attn_type_list", "linear_attention"),
        ("hybrid_layer_pattern", "sliding_attention"),
    ):
        if flags := each_layer(config, name, total):
            full = 1 if other == "linear_attention" else 0
            return Counter("attention" if flag == full else other for flag in flags)
    return Counter()


def _listed_by_number(config: Config, recurrent: list[Any], full: list[Any], total: float) -> dict[str, int]:
    if len(recurrent) + len(full) < total:
        config.problems.append(
            f"linear_attn_config: {len(recurrent)} kda_layers and {len(full)} full_attn_layers "
            f"of {total:g} layers; list every layer"
        )
    return {"kda": len(recurrent), "attention": len(full)}


def each_layer(config: Config, name: str, total: float) -> list[Any]:
    """A list with one item for each layer; more are of layers that predict further tokens."""
    listed = config.rows(name)
    if listed and len(listed) < total:
        config.problems.append(f"{name}: {len(listed)} of {total:g} layers are listed; list every layer")
    return listed[: int(total)]


def _periodic(config: Config, total: float) -> Layers:
    """Layers that repeat with a period, or are all alike."""
    if config.has("full_attention_interval") and config.has("linear_num_value_heads"):
        full = total // config.number("full_attention_interval", least=1.0)
        return Layers(total, full, 0.0, total - full, 0.0)
    window = config.number(*_WINDOW, default=0.0)
    if config.has("compress_ratios"):
        return Layers(total, total, 0.0, 0.0, window)
    sliding = _sliding(config, total) if window and config.flag("use_sliding_window", default=True) else 0.0
    return Layers(total, total - sliding, sliding, 0.0, window if sliding else 0.0)


def _sliding(config: Config, total: float) -> float:
    family = config.model_type
    default = _NOPE_EVERY if config.has("attention_chunk_size") else _FULL_EVERY.get(family, 0.0)
    every = config.number("sliding_window_pattern", "_sliding_window_pattern", default=default)
    if every >= 1:
        return total - total // every
    if config.has("max_window_layers"):
        return max(total - config.number("max_window_layers"), 0.0)
    return total if family in _SLIDING_FAMILIES else 0.0


def read_attention(config: Config, layers: Layers) -> tuple[dict[str, float], dict[str, Any]]:
    """Fields of attention, and what the `shape` word must hold besides."""
    heads = config.whole(*HEADS, least=1.0)
    fields = {"heads": heads, "full_attn_layers": layers.full, "sliding_layers": layers.sliding}
    fields |= {"linear_layers": layers.linear, "sliding_window": layers.window}
    fields["q_lora_rank"] = config.number("q_lora_rank", default=0.0)
    latent = config.number("kv_lora_rank", default=0.0) > 0
    fields |= _latent(config, heads) if latent else _grouped(config, heads)
    compressed = each_layer(config, "compress_ratios", layers.total)
    fields["replicated_cache"] = float(latent or bool(compressed))
    shape: dict[str, Any] = {}
    if config.flag("attn_output_gate", "attention_output_gate", default=_is(config, _GATED_FAMILIES)):
        shape["gated"] = True
    if compressed:
        shape |= _compression(config, compressed)
    for group, facts in (("sliding", _own_sliding(config)), ("full", _own_full(config))):
        if differing := {name: value for name, value in facts.items() if value != fields.get(name, 0.0)}:
            shape[group] = differing
    fields["sparse_topk"], index = _index(config, bool(compressed))
    return fields, shape | index


def _is(config: Config, families: tuple[str, ...]) -> bool:
    return config.model_type.startswith(families)


def _latent(config: Config, heads: float) -> dict[str, float]:
    nope, rope = config.number("qk_nope_head_dim"), config.number("qk_rope_head_dim", default=0.0)
    return {
        "kv_heads": heads,
        "head_dim": nope + rope,
        "v_head_dim": config.number("v_head_dim", default=nope),
        "kv_lora_rank": config.number("kv_lora_rank"),
        "qk_nope_dim": nope,
        "qk_rope_dim": rope,
    }


def _grouped(config: Config, heads: float) -> dict[str, float]:
    even = config.number(*WIDTH, least=1.0) / heads
    shared = 1.0 if config.flag("multi_query") and not config.has("num_kv_heads") else heads
    dim = config.number("head_dim", "kv_channels", default=even)
    kv_heads = config.whole("num_key_value_heads", "num_kv_heads", default=shared, least=1.0)
    if heads % kv_heads:
        config.problems.append(
            f"num_key_value_heads: {heads:g} query heads cannot share {kv_heads:g} key-value heads evenly; "
            "write a divisor of num_attention_heads"
        )
    return {
        "kv_heads": kv_heads,
        "head_dim": dim,
        "v_head_dim": config.number("v_head_dim", default=dim),
        "qk_rope_dim": config.number("qk_rope_head_dim", default=0.0),
    }


def _own_sliding(config: Config) -> dict[str, float]:
    names = {
        "heads": "swa_num_attention_heads",
        "kv_heads": "swa_num_key_value_heads",
        "head_dim": "swa_head_dim",
        "v_head_dim": "swa_v_head_dim",
    }
    return {field: config.number(name) for field, name in names.items() if config.has(name)}


def _own_full(config: Config) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if config.has("global_head_dim"):
        dim = config.number("global_head_dim")
        facts |= {"head_dim": dim, "v_head_dim": dim}
    if config.has("num_global_key_value_heads"):
        facts["kv_heads"] = config.number("num_global_key_value_heads")
    if config.flag("attention_k_eq_v"):
        facts["value_is_key"] = True
    return facts


def _compression(config: Config, ratios: list[Any]) -> dict[str, Any]:
    counted = Counter(map(finite, ratios))
    if not all(ratio >= 0 for ratio in counted):  # nor is NaN
        config.problems.append("compress_ratios: expected tokens per cache entry")
        return {}
    rows = [[layers, ratio, ratio == _INDEXED_RATIO] for ratio, layers in sorted(counted.items())]
    ranks = {"out_rank": config.number("o_lora_rank"), "out_groups": config.number("o_groups")}
    return {**ranks, "compression": [[float(each) for each in row] for row in rows]}


def _index(config: Config, compressed: bool) -> tuple[float, dict[str, float]]:
    """Tokens read per query (0: all), and the shape of the index that chooses them."""
    blocks = config.part("sparse_attention_config")
    if blocks.has("sparse_topk_blocks"):
        dim = blocks.number("sparse_index_dim")
        shape = {
            "index_heads": blocks.number("sparse_num_index_heads"),
            "index_dim": dim,
            "index_bytes": dim * _WIDE_KEY,
        }
        if scheduled := [each for each in blocks.rows("sparse_attention_freq") if isinstance(each, int)]:
            shape["index_layers"] = finite(sum(scheduled))
            if math.isnan(shape["index_layers"]):
                blocks.problems.append("sparse_attention_freq: expected 0 or 1 for every layer")
        return blocks.number("sparse_topk_blocks") * blocks.number("sparse_block_size"), shape
    if not config.has("index_topk"):
        return 0.0, {}
    dim = config.number("index_head_dim")
    stored = dim / 2 if compressed else dim + _SCALE_BYTES  # 4-bit keys of compressed entries, else 8-bit
    shape = {"index_heads": config.number("index_n_heads"), "index_dim": dim, "index_bytes": stored}
    return config.number("index_topk"), shape


def read_recurrent(config: Config) -> dict[str, Any]:
    """The `recurrent` part of the shape word."""
    if config.has("linear_num_value_heads"):
        return {
            "kind": "gated-delta",
            "key_heads": config.number("linear_num_key_heads"),
            "key_dim": config.number("linear_key_head_dim"),
            "value_heads": config.number("linear_num_value_heads"),
            "value_dim": config.number("linear_value_head_dim"),
        }
    if config.has("mamba_num_heads"):
        return {
            "kind": "mamba2",
            "heads": config.number("mamba_num_heads"),
            "head_dim": config.number("mamba_head_dim"),
            "state": config.number("ssm_state_size"),
            "groups": config.number("n_groups", default=1.0),
        }
    if config.has("linear_attn_config"):
        delta = config.part("linear_attn_config")
        return {
            "kind": "kimi-delta",
            "heads": delta.number("num_heads"),
            "head_dim": delta.number("head_dim"),
        }
    heads = config.number(*HEADS, least=1.0)
    even = config.number(*WIDTH, least=1.0) / heads
    return {"kind": "lightning", "heads": heads, "head_dim": config.number("head_dim", default=even)}
