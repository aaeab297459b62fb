"""The shape of a decoder: whole numbers that fix its program, taken from a catalogue model or scaled down."""

import dataclasses

import jax.numpy as jnp

from clustermodel.catalog import ConfigError, Entry
from clustermodel.specs import Model

_UNLIKE = {
    "kv_lora_rank": "latent attention",
    "linear_layers": "recurrent layers",
    "sliding_layers": "sliding windows",
    "sparse_topk": "sparse attention",
    "moe_latent_dim": "experts of latent width",
}
_GATED = 3  # matrices of a SwiGLU network
_HEAD_STEP = 8  # widths stay multiples of this when scaled


@dataclasses.dataclass(frozen=True)
class Shape:
    """Whole numbers of one decoder: grouped-query attention, gated networks, and experts in its last layers."""

    dense_layers: int
    moe_layers: int
    d_model: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_dim: int
    vocab: int
    n_experts: int = 0
    top_k: int = 0
    expert_dim: int = 0
    shared_dim: int = 0  # of the shared experts together
    tied: bool = False

    @property
    def layers(self) -> int:
        """Layers of both kinds."""
        return self.dense_layers + self.moe_layers

    @property
    def cache_elements(self) -> int:
        """Cache elements per token: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """All parameters, routers included; the gains of norms lie in the matrices."""
        width, head = self.d_model, self.head_dim
        attention = width * head * (self.heads + 2 * self.kv_heads) + self.heads * head * width
        gated = _GATED * width
        routed = self.n_experts * (gated * self.expert_dim + width) + gated * self.shared_dim
        networks = self.dense_layers * gated * self.ffn_dim + self.moe_layers * routed
        vocabularies = (1 if self.tied else 2) * self.vocab * width
        return self.layers * attention + networks + vocabularies


def shape_of(model: Entry[Model]) -> Shape:
    """The shape of a catalogue model; `ConfigError` for one that this decoder is not."""
    spec = model.spec
    for field, words in _UNLIKE.items():
        if float(getattr(spec, field)) > 0:
            raise ConfigError(
                f"{model.slug} has {words}, which the benchmark's decoder lacks; "
                "take a model with plain grouped-query attention, such as llama-3.1-8b or mixtral-8x7b"
            )
    if int(spec.ffn_matrices) != _GATED:
        raise ConfigError(
            f"{model.slug} has plain feed-forward networks; the benchmark's decoder gates its own"
        )
    whole = {name: int(getattr(spec, name)) for name in ("d_model", "heads", "kv_heads", "head_dim", "vocab")}
    return Shape(
        dense_layers=int(spec.dense_ffn_layers),
        moe_layers=int(spec.moe_layers),
        ffn_dim=int(spec.ffn_dim),
        n_experts=int(spec.n_experts),
        top_k=int(spec.top_k),
        expert_dim=int(spec.moe_ffn_dim),
        shared_dim=int(spec.shared_ffn_dim),
        tied=bool(spec.tied_embeddings),
        **whole,
    )


def scaled(shape: Shape, factor: int) -> Shape:
    """About 1/factor in depth and in every width; experts, chosen experts and group sizes keep their kinds."""
    if factor < 1:
        raise ConfigError(f"--scale {factor}: write a whole number of at least 1")
    shorter = lambda n: max(1, round(n / factor)) if n else 0
    narrower = lambda n: max(_HEAD_STEP, round(n / factor / _HEAD_STEP) * _HEAD_STEP) if n else 0
    group = max(shape.heads // shape.kv_heads, 1)
    kv_heads = shorter(shape.kv_heads)
    return dataclasses.replace(
        shape,
        dense_layers=shorter(shape.dense_layers),
        moe_layers=shorter(shape.moe_layers),
        d_model=narrower(shape.d_model),
        heads=kv_heads * group,
        kv_heads=kv_heads,
        ffn_dim=narrower(shape.ffn_dim),
        vocab=narrower(shape.vocab),
        expert_dim=narrower(shape.expert_dim),
        shared_dim=narrower(shape.shared_dim),
    )


def spec_of(shape: Shape, context: int) -> Model:
    """The same decoder as the chain's kernels see a model."""
    fields = {
        "layers": shape.layers,
        "d_model": shape.d_model,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "v_head_dim": shape.head_dim,
        "vocab": shape.vocab,
        "context": context,
        "total_params": shape.parameters,
        "ffn_dim": shape.ffn_dim,
        "dense_ffn_layers": shape.dense_layers,
        "moe_layers": shape.moe_layers,
        "n_experts": shape.n_experts,
        "top_k": shape.top_k,
        "moe_ffn_dim": shape.expert_dim,
        "shared_ffn_dim": shape.shared_dim,
        "full_attn_layers": shape.layers,
        "kv_elems": shape.cache_elements,
        "tied_embeddings": float(shape.tied),
    }
    return Model(**{name: jnp.asarray(float(value)) for name, value in fields.items()})
