"""What the kernels compute on: immutable pytrees of SI floats.

Each field is declared once, with its unit and its meaning; configs write the same names with units. Fields
are scalars; `stack` makes batches of them and `jax.vmap` consumes those. Nothing here has a name: names
live in `catalog.Entry`. A field that is zero by default is a capability that may be absent (no FP4
arithmetic, no scale-up link); NaN stands for a number nobody has published, with which nothing is computed.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from clustermodel._types import Scalar

Spec = TypeVar("Spec", bound=eqx.Module)
Tree = TypeVar("Tree")

MAX_TIERS = 4
"""Length of every memory hierarchy, so that unlike systems stack; missing tiers have no capacity."""


def strong_float(value: Any) -> Array:
    """Any number as a float array: of its own precision where it is one already, else of the default one."""
    kept = isinstance(value, Array) and jnp.issubdtype(value.dtype, jnp.floating) and not value.weak_type
    return (
        value if kept else jnp.asarray(value, dtype=float)
    )  # a bare asarray leaves weak types: a second jit entry


def quantity(
    unit: str,
    doc: str,
    default: float | None = None,
    *,
    least: float = 0.0,
    most: float = float("inf"),
    whole: bool = False,
) -> Any:
    """A field held in SI, written in configs in any unit of the same dimension as `unit`.

    Args:
        unit: what configs and `--set` must be convertible to; "" for a plain number.
        doc: the meaning, shown by `catalog show`.
        default: value when the config is silent; None makes the field required.
        least: smallest value that makes sense.
        most: largest one; 1 for shares.
        whole: whether only whole numbers do.
    """
    metadata = {"unit": unit, "doc": doc, "least": least, "most": most, "whole": whole}
    if default is None:
        return eqx.field(converter=strong_float, metadata=metadata)
    return eqx.field(converter=strong_float, default=default, metadata=metadata)


class MemoryTier(eqx.Module):
    """One level of a memory hierarchy, per accelerator; nearest first when stacked."""

    capacity: Scalar = quantity("B", "bytes that software can address")
    bandwidth: Scalar = quantity("B/s", "peak read bandwidth")
    standing_power: Scalar = quantity("W/B", "power per byte kept, refresh included", 0.0)
    access_energy: Scalar = quantity("J/B", "energy per byte read", 0.0)
    price: Scalar = quantity("USD/B", "purchase price per byte", 0.0)
    efficiency: Scalar = quantity(
        "", "share of the peak that the hardware delivers", 1.0, least=1e-6, most=1.0
    )
    latency: Scalar = quantity("s", "wait for the first byte where nothing is fetched ahead", 0.0)
    direct: Scalar = quantity(
        "", "1 where running data may live here, beyond the nearest tier", 0.0, most=1.0
    )
    overlap: Scalar = quantity("", "share of its reads that run beside those of nearer tiers", 0.0, most=1.0)


class Accelerator(eqx.Module):
    """One accelerator package, CPU socket or wafer. FLOP rates are dense; links count one direction."""

    memory: MemoryTier
    tdp: Scalar = quantity("W", "board or module power limit")
    flops_bf16: Scalar = quantity("FLOP/s", "dense BF16 rate", 0.0)
    flops_fp16: Scalar = quantity("FLOP/s", "dense FP16 rate", 0.0)
    flops_fp8: Scalar = quantity("FLOP/s", "dense FP8 rate", 0.0)
    flops_int8: Scalar = quantity("FLOP/s", "dense INT8 rate", 0.0)
    flops_fp4: Scalar = quantity("FLOP/s", "dense 4-bit float rate", 0.0)
    flops_fp6: Scalar = quantity("FLOP/s", "dense FP6 rate", 0.0)
    flops_tf32: Scalar = quantity("FLOP/s", "dense TF32 rate", 0.0)
    flops_fp64: Scalar = quantity("FLOP/s", "FP64 vector rate", 0.0)
    sram: Scalar = quantity("B", "on-chip SRAM or last-level cache", 0.0)
    scaleup_bandwidth: Scalar = quantity("B/s", "scale-up link, one direction", 0.0)
    hostlink_bandwidth: Scalar = quantity("B/s", "host link, one direction", 0.0)
    scaleout_bandwidth: Scalar = quantity("B/s", "network, one direction", 0.0)
    idle_power: Scalar = quantity("W", "board power without work", 0.0)
    provisioned_power: Scalar = quantity("W", "all-in planning power, facility overhead included", 0.0)
    provisioned_pue: Scalar = quantity("", "PUE inside the planning power", 1.0, least=1.0)
    price: Scalar = quantity("USD", "purchase price of the part", 0.0)

    @property
    def hbm_capacity(self) -> Scalar:
        """Bytes of the nearest tier, where weights and cache live."""
        return self.memory.capacity[..., 0]

    @property
    def hbm_bandwidth(self) -> Scalar:
        """Peak bandwidth of the nearest tier (B/s)."""
        return self.memory.bandwidth[..., 0]

    @property
    def link_bandwidth(self) -> Scalar:
        """Bandwidth between accelerators of one system: the scale-up link, or the host link without one."""
        return jnp.where(self.scaleup_bandwidth > 0, self.scaleup_bandwidth, self.hostlink_bandwidth)


class Chassis(eqx.Module):
    """What a server draws besides its accelerators; all zero where nobody has described it."""

    accelerators: Scalar = quantity("", "accelerators in the chassis", 0.0)
    fixed_power: Scalar = quantity("W", "CPUs, DRAM, NICs, drives and boards", 0.0)
    network_power: Scalar = quantity("W", "share of network switches and optics", 0.0)
    fan_power: Scalar = quantity("W", "fan power at full speed", 0.0)
    full_load: Scalar = quantity("W", "load before fans and supplies at which fans run fastest", 0.0)
    psu_capacity: Scalar = quantity("W", "capacity shared by the power supplies", 0.0)
    psu_efficiency_5: Scalar = quantity(
        "", "efficiency of the supplies at 5 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_10: Scalar = quantity(
        "", "efficiency of the supplies at 10 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_20: Scalar = quantity(
        "", "efficiency of the supplies at 20 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_50: Scalar = quantity(
        "", "efficiency of the supplies at 50 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_100: Scalar = quantity(
        "", "efficiency of the supplies at full load", 1.0, least=1e-6, most=1.0
    )
    fan_duty_idle: Scalar = quantity("", "fan duty (share of full speed) without load", 0.0, most=1.0)
    fan_duty_span: Scalar = quantity("", "rise of the fan duty from no load to full load", 0.0, most=1.0)
    tray_power: Scalar = quantity("W", "CPUs and auxiliaries behind the trays' own converters", 0.0)
    tray_efficiency: Scalar = quantity(
        "", "efficiency of the trays' own converters", 1.0, least=1e-6, most=1.0
    )
    memory_inside: Scalar = quantity("W", "standing power of memory tiers that the figures above hold", 0.0)


class System(eqx.Module):
    """One server, rack or pod: `count` accelerators and everything bought with them."""

    accelerator: Accelerator
    chassis: Chassis
    count: Scalar = quantity("", "accelerators in the system", least=1.0, whole=True)
    scaleup_domain: Scalar = quantity("", "accelerators that share one scale-up fabric", 1.0, least=1.0)
    typical_power: Scalar = quantity("W", "typical power at the system inlet", 0.0)
    max_power: Scalar = quantity("W", "largest power at the system inlet", 0.0)
    price: Scalar = quantity("USD", "purchase price of the whole system", 0.0)
    memory_markup: Scalar = quantity("", "price of installed memory over its own purchase price", 1.0)
    rack_units: Scalar = quantity("", "height in rack units", 0.0)
    liquid_cooled: Scalar = quantity("", "1 where liquid takes the heat from the accelerators", 0.0, most=1.0)


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
    published_params: Scalar = quantity("", "total parameters as published", 0.0)
    published_active_params: Scalar = quantity("", "parameters active per token as published", 0.0)


class Workload(eqx.Module):
    """What one request looks like, and how requests arrive."""

    isl: Scalar = quantity("token", "mean input length", least=1.0)
    osl: Scalar = quantity("token", "mean output length", least=1.0)
    prefix_hit_rate: Scalar = quantity("", "share of input tokens found in the prefix cache", 0.0, most=1.0)
    reuse_interval: Scalar = quantity("s", "mean time a cached prefix waits for its next use", 300.0)
    peak_to_mean: Scalar = quantity("", "peak over mean request rate", 1.0, least=1.0)
    burstiness: Scalar = quantity("", "squared variation coefficient of times between arrivals", 1.0)
    input_variation: Scalar = quantity("", "squared variation coefficient of input lengths", 1.0)
    adapters: Scalar = quantity("", "low-rank adapters (LoRA) kept in memory", 0.0)
    adapter_size: Scalar = quantity("B", "bytes of one adapter", 0.0)
    adapter_share: Scalar = quantity("", "share of the requests that use an adapter", 1.0, most=1.0)


class Engine(eqx.Module):
    """Settings of a serving engine that the model needs."""

    chunk: Scalar = quantity("token", "most prefill tokens in one iteration", least=1.0)
    memory_fraction: Scalar = quantity(
        "", "share of the free memory given to the cache", least=1e-6, most=1.0
    )
    usable_fraction: Scalar = quantity(
        "", "share of the memory left by driver and context", least=1e-6, most=1.0
    )
    workspace: Scalar = quantity("B", "activations, graphs and communication buffers")
    draft_acceptance: Scalar = quantity("", "chance that a drafted token is accepted", 0.7, most=1.0)
    transfer_overlap: Scalar = quantity(
        "", "share of a cache transfer hidden behind its prefill", 0.0, most=1.0
    )
    max_num_seqs: Scalar = quantity("", "most running sequences per attention rank", 1024.0, least=1.0)
    workspace_share: Scalar = quantity(
        "", "most of an accelerator's memory that workspace takes", 1.0, most=1.0
    )
    offload: Scalar = quantity(
        "", "1 to keep running data in all tiers, even where the nearest would do", 0.0
    )


class Site(eqx.Module):
    """Where systems stand: energy, cooling and the building."""

    electricity: Scalar = quantity("USD/J", "delivered energy price")
    pue: Scalar = quantity("", "facility power over IT power", least=1.0)
    facility_capex: Scalar = quantity("USD/W", "building, power and cooling per W of IT power")
    facility_life: Scalar = quantity("s", "economic life of the building", least=1.0)
    facility_rate: Scalar = quantity("", "annual cost of capital of the building", most=1.0)
    liquid_capex: Scalar = quantity("USD/W", "what liquid cooling adds to facility_capex", 0.0)
    carbon: Scalar = quantity("kg/J", "grid carbon per energy", 0.0)
    water: Scalar = quantity("L/J", "site water per IT energy", 0.0)
    grid_water: Scalar = quantity("L/J", "water of the power stations per energy at the meter", 0.0)
    fixed_overhead: Scalar = quantity("", "cooling and losses without load over IT capacity", 0.0)
    capacity: Scalar = quantity("W", "power that the site or source can deliver; 0 where not stated", 0.0)
    lead_time: Scalar = quantity("s", "from today to its first power", 0.0)
    success: Scalar = quantity("", "probability that the power comes at all", 1.0, most=1.0)


class Terms(eqx.Module):
    """How an owner finances and runs a system."""

    wacc: Scalar = quantity("", "annual weighted average cost of capital", most=1.0)
    life: Scalar = quantity("s", "economic life of the system", least=1.0)
    residual_fraction: Scalar = quantity("", "resale value over purchase price", 0.0, most=1.0)
    price_factor: Scalar = quantity("", "volume price paid over the catalogue price", 1.0, least=1e-9)
    memory_factor: Scalar = quantity("", "price of memory now over that in the catalogue's prices", 1.0)
    network_fraction: Scalar = quantity("", "scale-out network over system price", 0.0)
    maintenance_fraction: Scalar = quantity("", "annual maintenance over purchase price", 0.0)
    staff: Scalar = quantity("USD/W/s", "operations staff per W of IT power and second", 0.0)
    utilisation: Scalar = quantity("", "share of installed hours that earn", 1.0, least=1e-6, most=1.0)
    availability: Scalar = quantity("", "share of hours in working order", 1.0, least=1e-6, most=1.0)
    tax: Scalar = quantity("", "corporate tax rate; at 0 costs are before tax", 0.0, most=0.99)
    tax_life: Scalar = quantity("s", "time over which tax law writes the system off; 0 for its life", 0.0)


def tiers(rows: Sequence[MemoryTier]) -> MemoryTier:
    """Stack a memory hierarchy, nearest first, padded with empty tiers to `MAX_TIERS`.

    Empty tiers hold nothing and read at 1 B/s, so that no division by zero enters a gradient.
    """
    if len(rows) > MAX_TIERS:
        raise ValueError(f"a memory hierarchy has at most {MAX_TIERS} tiers, got {len(rows)}")
    empty = MemoryTier(capacity=jnp.zeros(()), bandwidth=jnp.ones(()))
    return stack([*rows, *[empty] * (MAX_TIERS - len(rows))])


def stack(specs: Sequence[Spec]) -> Spec:
    """Many like specs become one whose leaves have a leading axis, ready for `jax.vmap`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *specs)


def spread(tree: Tree, rows: int) -> Tree:
    """The same in every row, without copies: leaves with a leading axis (numpy)."""
    wide = lambda leaf: np.broadcast_to(leaf, (rows, *leaf.shape))
    return jax.tree.map(lambda leaf: wide(np.asarray(leaf)), tree)


def gather(trees: Sequence[Tree]) -> Tree:
    """`stack` of trees that share most of their leaves, which are not copied (numpy)."""

    def joined(*leaves: Any) -> Any:
        shared = all(leaf is leaves[0] for leaf in leaves)
        return spread(leaves[0], len(leaves)) if shared else np.stack([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(joined, *trees)


def fields(kind: type[eqx.Module]) -> dict[str, dataclasses.Field]:
    """The `quantity` fields of a spec by name, without its nested specs."""
    return {f.name: f for f in dataclasses.fields(kind) if "unit" in f.metadata}
