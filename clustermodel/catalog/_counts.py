"""Count parameters and cache elements of a language model from the shapes of its layers.

One place for what the catalogue states and the Hugging Face importer derives.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from clustermodel.catalog._layers import RECURRENT, Attention, Recurrent


@dataclasses.dataclass(frozen=True)
class Counts:
    """Parameters by kind of tensor, and cache elements."""

    attention: float
    recurrent: float
    ffn: float
    experts: float
    router: float
    embedding: float
    head: float
    routed_share: float  # experts per token over experts
    kv_elems: float  # per token of context
    index_bytes: float  # per token of context
    window_elems: float
    state_elems: float

    @property
    def total(self) -> float:
        """All parameters."""
        return self._always + self.experts + self.embedding

    @property
    def active(self) -> float:
        """Parameters that one token is multiplied with; the input embedding is looked up, not multiplied."""
        return self._always + self.experts * self.routed_share

    @property
    def _always(self) -> float:
        return self.attention + self.recurrent + self.ffn + self.router + self.head


COUNTED = {
    "total_params": "total",
    "kv_elems": "kv_elems",
    "index_bytes": "index_bytes",
    "swa_kv_elems": "window_elems",
    "linear_state_elems": "state_elems",
}
"""Fields of `specs.Model` that follow from the others, and where `Counts` has them."""


def count(fields: Mapping[str, float], shape: Mapping[str, Any]) -> Counts:
    """Count a model from the fields of `specs.Model` and its `shape` word, which holds what no field does."""
    value = lambda name: fields.get(name, 0.0)
    d, matrices = fields["d_model"], fields.get("ffn_matrices", 3.0)
    layers, recurrent = attention_layers(fields, shape), recurrent_layers(fields, shape)
    latent = value("moe_latent_dim")
    per_expert = matrices * (latent or d) * value("moe_ffn_dim")
    dense = value("dense_ffn_layers") * value("ffn_dim") + value("moe_layers") * value("shared_ffn_dim")
    head = fields["vocab"] * d
    return Counts(
        attention=sum(each.layers * each.parameters(d) for each in layers),
        recurrent=sum((each.layers * each.parameters(d) for each in recurrent), 0.0),
        ffn=matrices * d * dense,
        experts=value("moe_layers") * value("n_experts") * per_expert,
        router=value("moe_layers") * d * (value("n_experts") + 2 * latent),
        embedding=0.0 if value("tied_embeddings") else head,
        head=head,
        routed_share=value("top_k") / value("n_experts") if value("n_experts") else 0.0,
        kv_elems=sum(each.layers * each.growth * each.entry for each in layers),
        index_bytes=sum(each.layers * each.growth * each.index_bytes for each in layers),
        window_elems=sum(each.layers * each.window * each.entry for each in layers),
        state_elems=sum((each.layers * each.state for each in recurrent), 0.0),
    )


_COMMON = ("gated", "value_is_key", "out_rank", "out_groups")
_INDEX = ("index_heads", "index_dim", "index_bytes")


def attention_layers(fields: Mapping[str, float], shape: Mapping[str, Any]) -> list[Attention]:
    """The groups of like attention layers of a model."""
    value = lambda name: fields.get(name, 0.0)
    base = Attention(
        layers=value("full_attn_layers"),
        heads=fields["heads"],
        kv_heads=fields["kv_heads"],
        head_dim=fields["head_dim"],
        v_head_dim=fields["v_head_dim"],
        q_rank=value("q_lora_rank"),
        kv_rank=value("kv_lora_rank"),
        nope_dim=value("qk_nope_dim"),
        rope_dim=value("qk_rope_dim"),
        **{name: shape[name] for name in _COMMON if name in shape},
    )
    index = {name: shape[name] for name in _INDEX if name in shape}
    if "compression" in shape:
        return [_compressed(base, value("sliding_window"), index, row) for row in shape["compression"]]
    full = dataclasses.replace(base, **shape.get("full", {}))
    indexed = shape.get("index_layers", full.layers) if index else 0.0
    sliding = dataclasses.replace(
        base, layers=value("sliding_layers"), growth=0.0, window=value("sliding_window")
    )
    return [
        dataclasses.replace(full, layers=indexed, **index),
        dataclasses.replace(full, layers=full.layers - indexed),
        dataclasses.replace(sliding, **shape.get("sliding", {})),
    ]


def _compressed(
    base: Attention, window: float, index: Mapping[str, float], row: Sequence[float]
) -> Attention:
    """Layers with a window, and one more entry per so many tokens (0: none), all read or chosen by an index."""
    layers, tokens, indexed = row
    growth = 1 / tokens if tokens else 0.0
    return dataclasses.replace(
        base, layers=layers, growth=growth, window=window, **(index if indexed else {})
    )


def recurrent_layers(fields: Mapping[str, float], shape: Mapping[str, Any]) -> list[Recurrent]:
    """The recurrent layers of a model."""
    if "recurrent" not in shape:
        return []
    numbers = dict(shape["recurrent"])
    build, names = RECURRENT[numbers.pop("kind")]
    return [
        build(fields.get("linear_layers", 0.0), **{name: numbers[name] for name in names if name in numbers})
    ]
