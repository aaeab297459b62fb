"""Parameters and cache elements of one layer: softmax attention in its variants, and recurrent layers.

d is the width of the residual stream; norms and biases are left out, below 0.1 % of any model in the catalogue.
"""

import dataclasses

_CONVOLUTION = 4  # taps of the short convolutions before recurrent layers, in every model here


@dataclasses.dataclass(frozen=True)
class Attention:
    """Layers of softmax attention that look alike.

    `growth` is cache entries per token of context: 1 for full attention, 0 for a window, 1/r where r tokens
    are compressed into one entry. `window` is entries kept besides. `kv_rank` > 0 makes it latent attention
    (MLA), `out_rank` > 0 the shared-key attention of DeepSeek-V4, `index_heads` > 0 adds a sparse-attention
    indexer.
    """

    layers: float
    heads: float
    kv_heads: float
    head_dim: float
    v_head_dim: float
    growth: float = 1.0
    window: float = 0.0
    gated: bool = False
    value_is_key: bool = False
    q_rank: float = 0.0
    kv_rank: float = 0.0
    nope_dim: float = 0.0
    rope_dim: float = 0.0
    out_rank: float = 0.0
    out_groups: float = 0.0
    index_heads: float = 0.0
    index_dim: float = 0.0
    index_bytes: float = 0.0

    def parameters(self, d: float) -> float:
        """Projections of one layer.

        GQA: d (h + h_kv) d_k + d h_kv d_v + h d_v d. MLA: queries and key-values through their latent widths,
        d r_q + r_q h (d_n + d_r) + d (r_kv + d_r) + r_kv h (d_n + d_v) + h d_v d [arXiv 2405.04434, 2.1].
        """
        query = self.heads * self.head_dim
        query = d * self.q_rank + self.q_rank * query if self.q_rank else d * query
        values = self.heads * self.v_head_dim
        gate = d * values if self.gated else 0.0
        return query + self._key_values(d) + self._output(d, values) + gate + self._index(d)

    def _key_values(self, d: float) -> float:
        if self.kv_rank:
            latent = d * (self.kv_rank + self.rope_dim)
            return latent + self.kv_rank * self.heads * (self.nope_dim + self.v_head_dim)
        keys = d * self.kv_heads * self.head_dim
        values = 0.0 if self.value_is_key else d * self.kv_heads * self.v_head_dim
        return keys + values + 2 * d * self._overlap * self.head_dim

    @property
    def _overlap(self) -> float:
        """Windows that a compressor looks at: 2 where few tokens make an entry, 0 without compression."""
        if not 0 < self.growth < 1:
            return 0.0
        return 2.0 if self.index_heads else 1.0

    def _output(self, d: float, values: float) -> float:
        if self.out_rank:  # heads in groups, each through its own latent width
            return values * self.out_rank + self.out_groups * self.out_rank * d
        return values * d

    def _index(self, d: float) -> float:
        if not self.index_heads:
            return 0.0
        queries = (self.q_rank or d) * self.index_heads * self.index_dim
        keys = d * self.index_dim * (2 * self._overlap or 1.0)
        weights = d * self.index_heads if self.q_rank else 0.0
        return queries + keys + weights

    @property
    def entry(self) -> float:
        """Elements of one cache entry of one layer."""
        if self.kv_rank:
            return self.kv_rank + self.rope_dim
        if self.out_rank:
            return self.head_dim
        return self.kv_heads * (self.head_dim + self.v_head_dim)


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """Layers with a state of constant size: widths of their projections and elements of the state."""

    layers: float
    keys: float  # width of queries, and of keys
    values: float
    gate: float
    scalars: float  # per-token scalars such as decay and step size
    low_rank: float  # inner width of a low-rank gate over the keys
    state: float

    def parameters(self, d: float) -> float:
        """Projections in and out, short convolutions and low-rank gate of one layer."""
        mixed = 2 * self.keys + self.values
        inward = d * (mixed + self.gate + self.scalars + self.low_rank)
        return inward + self.values * d + _CONVOLUTION * mixed + self.low_rank * self.keys


def gated_delta(
    layers: float, key_heads: float, key_dim: float, value_heads: float, value_dim: float
) -> Recurrent:
    """Gated DeltaNet [arXiv 2412.06464], as in Qwen3-Next."""
    values = value_heads * value_dim
    state = values * key_dim
    return Recurrent(layers, key_heads * key_dim, values, values, 2 * value_heads, 0.0, state)


def mamba2(layers: float, heads: float, head_dim: float, state: float, groups: float = 8.0) -> Recurrent:
    """Mamba-2 [arXiv 2405.21060]: the roles of key and query are played by B and C, shared in groups."""
    inner = heads * head_dim
    return Recurrent(layers, groups * state, inner, inner, heads, 0.0, inner * state)


def kimi_delta(layers: float, heads: float, head_dim: float) -> Recurrent:
    """Kimi Delta Attention [arXiv 2510.26692] with a full-rank output gate, as in Kimi-K3."""
    width = heads * head_dim
    return Recurrent(layers, width, width, width, heads, head_dim, width * head_dim)


def lightning(layers: float, heads: float, head_dim: float) -> Recurrent:
    """Lightning attention with an output gate [arXiv 2501.08313]; a convolution it lacks is negligible."""
    width = heads * head_dim
    return Recurrent(layers, width, width, width, 0.0, 0.0, width * head_dim)


RECURRENT = {
    "gated-delta": (gated_delta, ("key_heads", "key_dim", "value_heads", "value_dim")),
    "mamba2": (mamba2, ("heads", "head_dim", "state", "groups")),
    "kimi-delta": (kimi_delta, ("heads", "head_dim")),
    "lightning": (lightning, ("heads", "head_dim")),
}
"""Kinds of recurrent layer by the name that configs use, with the numbers each needs."""
