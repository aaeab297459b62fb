"""Small systems, models and coefficients for tests: round numbers, so that limits can be checked by hand."""

import dataclasses

import jax
import jax.numpy as jnp

from clustermodel.physics.coefficients import Coefficients
from clustermodel.physics.deployment import Deployment, Formats, Layout
from clustermodel.serving.load import Load
from clustermodel.specs import Accelerator, Chassis, Engine, MemoryTier, Model, System, tiers


def accelerator(**changes):
    """1 PFLOP/s at 16 bit, 100 GB at 4 TB/s, 400 GB/s links."""
    memory = tiers(
        [MemoryTier(capacity=changes.pop("capacity", 100e9), bandwidth=changes.pop("bandwidth", 4e12))]
    )
    given = {
        "flops_bf16": 1e15,
        "flops_fp8": 2e15,
        "scaleup_bandwidth": 400e9,
        "hostlink_bandwidth": 50e9,
        "scaleout_bandwidth": 50e9,
        "tdp": 700.0,
    }
    return Accelerator(memory=memory, **(given | changes))


def system(count=8.0, **changes):
    return System(
        accelerator=accelerator(**changes), chassis=Chassis(), count=count, scaleup_domain=count, price=300e3
    )


def dense_model(**changes):
    """70e9 parameters, 80 layers, 8 KV heads: 320 kB of 16-bit cache per token."""
    given = {
        "layers": 80.0,
        "d_model": 8192.0,
        "heads": 64.0,
        "kv_heads": 8.0,
        "head_dim": 128.0,
        "v_head_dim": 128.0,
        "ffn_dim": 28672.0,
        "dense_ffn_layers": 80.0,
        "vocab": 128256.0,
        "context": 131072.0,
        "full_attn_layers": 80.0,
        "kv_elems": 163840.0,
        "total_params": 70.55e9,
    }
    return Model(**(given | changes))


def moe_model(**changes):
    """671e9 parameters, 256 experts of which 8 per token, latent attention."""
    given = {
        "layers": 61.0,
        "d_model": 7168.0,
        "heads": 128.0,
        "kv_heads": 128.0,
        "head_dim": 192.0,
        "v_head_dim": 128.0,
        "ffn_dim": 18432.0,
        "dense_ffn_layers": 3.0,
        "moe_layers": 58.0,
        "n_experts": 256.0,
        "top_k": 8.0,
        "moe_ffn_dim": 2048.0,
        "shared_ffn_dim": 2048.0,
        "kv_lora_rank": 512.0,
        "qk_rope_dim": 64.0,
        "vocab": 129280.0,
        "context": 163840.0,
        "full_attn_layers": 61.0,
        "kv_elems": 35136.0,
        "replicated_cache": 1.0,
        "total_params": 671e9,
    }
    return Model(**(given | changes))


def formats(weight=1.0, cache=1.0, rate=2e15, wide=1e15):
    return Formats(
        attention_bytes=weight,
        ffn_bytes=weight,
        expert_bytes=weight,
        head_bytes=2.0,
        cache_bytes=cache,
        state_bytes=4.0,
        activation_bytes=2.0,
        attention_rate=rate,
        ffn_rate=rate,
        expert_rate=rate,
        wide_rate=wide,
    )


PERFECT = {
    "logit": 1.0,
    "log": 0.0,
    "identity": 0.0,
}
_NEUTRAL_ONE = ("launch_scale", "mixing", "synchronised", "slow_link_excess", "dispatch_excess", "ttft_scale")


def perfect():
    """An engine that loses nothing: every share 1, every launch and wait 0."""
    values = {
        field.name: 1.0 if field.name in _NEUTRAL_ONE else PERFECT[field.metadata["link"]]
        for field in dataclasses.fields(Coefficients)
    }
    values |= {"slow_link": 1.0, "ttft_prefill": 1.0, "burst_exponent": 1.0, "collective_exponent": 0.0}
    return Coefficients(**values)


def typical():
    """Values near the shipped globals."""
    values = {
        "weight_read": 0.82, "expert_read": 0.63, "cache_read": 0.67, "dense_math": 0.58, "expert_math": 0.39,
        "attention_math": 0.33, "link_share": 0.56, "coverage_skew": 0.84, "expert_imbalance": 0.29,
        "expert_width": 3.5e3, "expert_slice": 1e6, "expert_padding": 24.0, "quantise_launch": 5e-6,
        "layer_launch": 29e-6, "moe_launch": 24e-6, "latent_launch": 33e-6,
        "launch_scale": 1.0, "iteration_host": 430e-6, "sequence_host": 8.8e-6, "mixed_launch": 75e-6,
        "mixing": 1.14, "synchronised": 0.7, "collective_latency": 7.9e-6, "collective_exponent": 0.54,
        "dispatch_excess": 1.5, "slow_link": 1e11, "slow_link_excess": 3.0, "held_output": 0.55,
        "offline_sequences": 2900.0, "ttft_host": 18e-3, "ttft_iterations": 2.8, "ttft_prefill": 1.7,
        "ttft_scale": 1.0, "ttft_request": 0.8e-3, "burst_floor": 0.013, "burst_slope": 0.095,
        "burst_exponent": 1.0, "burst_equal": 0.63,
    }  # fmt: skip
    return Coefficients(**values)


def engine(**changes):
    given = {"max_num_seqs": 1024.0, "chunk": 8192.0, "memory_fraction": 0.9, "usable_fraction": 0.97}
    return Engine(**({"workspace": 5e9} | given | changes))


def deployment(model=None, layout=None, **changes):
    given = {
        "system": system(),
        "model": dense_model() if model is None else model,
        "formats": formats(),
        "layout": Layout(tp=4.0) if layout is None else layout,
        "engine": engine(),
        "coefficients": typical(),
    }
    return Deployment(**(given | changes))


def load(concurrency=64.0, isl=1024.0, osl=1024.0, **more):
    return Load(concurrency=concurrency, isl=isl, osl=osl, **more)


def scalar(value):
    return jnp.asarray(value, dtype=float)


def batched(build, draws):
    """`build` over rows of draws, as one batched pytree."""
    return jax.vmap(build)(jnp.asarray(draws))
