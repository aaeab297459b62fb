"""From the name of a precision to bytes per weight and the arithmetic that the hardware has for it."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp

from clustermodel.catalog import ConfigError, Entry, did_you_mean
from clustermodel.physics.deployment import Formats
from clustermodel.specs import Accelerator, Model, System

BYTES = {
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 9 / 16,
    "nvfp4": 9 / 16,  # 4 bits and an 8-bit scale per 16 weights
    "int4": 9 / 16,  # 4 bits and a 16-bit scale and zero point per group of 64
    "q4_k_m": 4.85 / 8,  # llama.cpp: 4- and 6-bit blocks, 4.8 to 4.9 bits a weight [its quantize README]
    "mxfp4": 17 / 32,  # 4 bits and an 8-bit scale per 32 weights [OCP Microscaling 1.0]
}
"""Bytes per stored number, block scales included."""

WIDER = {
    "fp4": ("fp4", "fp8", "bf16", "fp16"),
    "nvfp4": ("fp4", "fp8", "bf16", "fp16"),
    "mxfp4": ("fp8", "bf16", "fp16", "fp4"),  # native checkpoints keep 8-bit or wider activations
    "int4": ("int8", "bf16", "fp16", "fp8"),
    "q4_k_m": ("int8", "bf16", "fp16", "fp8"),
    "int8": ("int8", "bf16", "fp16", "fp8"),
    "fp8": ("fp8", "bf16", "fp16", "fp4"),
    "fp16": ("fp16", "bf16", "fp8", "fp4"),
    "bf16": ("bf16", "fp16", "fp8", "fp4"),
}
"""Arithmetic to look for, in order: the format's own, the next wider, and the widest there is."""

WHOLE_MODEL = ("q4_k_m",)
"""Narrow formats that every matrix is written in, whatever 4-bit checkpoints of the model keep wider."""

KINDS = ("attention", "ffn", "experts")
_ACTIVATION, _STATE = "bf16", 4.0  # recurrent states are kept in fp32


@dataclasses.dataclass(frozen=True)
class Precision:
    """The format of every kind of tensor, by name."""

    label: str
    attention: str
    ffn: str
    experts: str
    cache: str
    arithmetic: Mapping[str, str]  # kind of tensor -> format it is multiplied in

    @property
    def widest_arithmetic(self) -> str:
        """`compute_precision` of the answer: how the bulk of the weights is multiplied."""
        return self.arithmetic["bulk"]


def known(name: str, option: str) -> str:
    """`name` in lower case if it is a precision; else a sentence that says which there are."""
    if name.lower() not in BYTES:
        raise ConfigError(f"{option} {name!r}: write one of {', '.join(BYTES)}{did_you_mean(name, BYTES)}")
    return name.lower()


def weight_formats(model: Entry[Model], precision: str | None) -> dict[str, str]:
    """Formats of attention, FFN and expert weights: the checkpoint's own, or what was asked for.

    A 4-bit request takes the formats of published 4-bit checkpoints, except `q4_k_m`, which narrows all;
    expert formats that are natively narrower than asked are kept.
    """
    stated: Mapping[str, str] = model.words.get("native", {})
    native = {kind: stated.get(kind, "bf16") for kind in KINDS}
    if precision is None:
        return native
    if BYTES[precision] < 1 and precision not in WHOLE_MODEL:
        four_bit: Mapping[str, str] = model.words.get("four_bit", {})
        usual = {kind: four_bit.get(kind, "fp4") for kind in KINDS}
        asked = {kind: precision if usual[kind] == "fp4" else usual[kind] for kind in KINDS}
    else:
        asked = {kind: precision for kind in KINDS}
    if BYTES[native["experts"]] < BYTES[asked["experts"]]:
        asked["experts"] = native["experts"]
    return asked


def rate(accelerator: Accelerator, weight_format: str) -> tuple[float, str]:
    """FLOP/s at which weights of a format are multiplied, and the format of that arithmetic.

    Block-scaled formats need block-scaled arithmetic: MXFP4 weights meet 8-bit activations only on hardware
    that has 4-bit arithmetic of its own, elsewhere 16-bit ones [vLLM, TensorRT-LLM: gpt-oss on Hopper].
    """
    block_scaled = weight_format != "mxfp4" or float(accelerator.flops_fp4) > 0
    for arithmetic in WIDER[weight_format if block_scaled else "bf16"]:
        flops = float(getattr(accelerator, f"flops_{arithmetic}"))
        if flops > 0:
            return flops, arithmetic
    raise ConfigError(
        "no arithmetic rate of this accelerator is known in any format; set one, e.g. "
        "--set accelerator.flops_bf16='500 TFLOP/s'"
    )


def resolve_formats(
    system: Entry[System], model: Entry[Model], precision: str | None, cache: str | None
) -> tuple[Precision, Formats]:
    """Formats of a deployment from the options of a question; None means the model's native formats."""
    asked = None if precision is None else known(precision, "--precision")
    weights = weight_formats(model, asked)
    accelerator = system.spec.accelerator
    bulk = weights["experts"] if float(model.spec.n_experts) > 0 else weights["ffn"]
    label = asked or bulk
    narrow = BYTES[label] <= 1 and float(accelerator.flops_fp8) > 0
    stored = known(cache, "--kv-precision") if cache else ("fp8" if narrow else "bf16")
    rates = {kind: rate(accelerator, weights[kind]) for kind in KINDS}
    wide, wide_format = rate(accelerator, _ACTIVATION)
    arithmetic = {kind: found for kind, (_, found) in rates.items()}
    arithmetic |= {"bulk": rate(accelerator, bulk)[1], "wide": wide_format}
    formats = Formats(
        attention_bytes=jnp.asarray(BYTES[weights["attention"]]),
        ffn_bytes=jnp.asarray(BYTES[weights["ffn"]]),
        expert_bytes=jnp.asarray(BYTES[weights["experts"]]),
        head_bytes=jnp.asarray(BYTES[_ACTIVATION]),
        cache_bytes=jnp.asarray(BYTES[stored]),
        state_bytes=jnp.asarray(_STATE),
        activation_bytes=jnp.asarray(BYTES[_ACTIVATION]),
        attention_rate=jnp.asarray(rates["attention"][0]),
        ffn_rate=jnp.asarray(rates["ffn"][0]),
        expert_rate=jnp.asarray(rates["experts"][0]),
        wide_rate=jnp.asarray(wide),
    )
    return Precision(label, *(weights[kind] for kind in KINDS), cache=stored, arithmetic=arithmetic), formats
