"""In which formats a checkpoint stores its weights, from the `quantization_config` of its config.json."""

from collections.abc import Mapping

from clustermodel.catalog._hf_config import Config
from clustermodel.catalog._kinds import TENSORS

_WIDE = {"float16": "fp16", "half": "fp16"}
_WIDE_EXCEPT_EXPERTS = ("deepseek", "kimi", "glm", "qwen3_5", "minimax", "gpt_oss")
"""Families whose published 4-bit checkpoints keep everything but the routed experts in 16 bits."""


def native_formats(config: Config) -> dict[str, str]:
    """Formats of attention, FFN and experts in the checkpoint itself."""
    wide = _WIDE.get(config.word("torch_dtype") or config.word("dtype"), "bf16")
    narrow, ignored = _quantized(config.part("quantization_config"))
    formats: dict[str, str] = dict.fromkeys(TENSORS, narrow or wide)
    if narrow == "mxfp4":  # in published checkpoints a format of routed experts only
        formats |= {"attention": wide, "ffn": wide}
    if any("attn" in pattern or "attention" in pattern for pattern in ignored):
        formats["attention"] = wide
    if any("mlp" in pattern or "shared" in pattern for pattern in ignored):
        formats["ffn"] = wide
    if config.word("expert_dtype") == "fp4":
        formats["experts"] = "fp4"
    return formats


def _quantized(part: Config) -> tuple[str, list[str]]:
    """The narrow format of a quantized checkpoint and the patterns of what it leaves wide."""
    method = part.word("quant_method").lower()
    ignored = [*map(str, part.rows("ignore")), *map(str, part.rows("modules_to_not_convert"))]
    if method in ("fp8", "mxfp4"):
        return method, ignored if method == "fp8" else []
    if method in ("awq", "gptq"):
        return "int4", []
    algorithm = part.word("quant_algo").lower()
    if "nvfp4" in algorithm or "fp8" in algorithm:
        return "nvfp4" if "nvfp4" in algorithm else "fp8", ignored
    if method == "compressed-tensors":
        return _compressed_tensors(part), ignored
    return "", []


def _compressed_tensors(part: Config) -> str:
    weights = part.part("config_groups").part("group_0").part("weights")
    bits, kind = weights.number("num_bits", default=0.0), weights.word("type")
    formats: Mapping[tuple[float, str], str] = {
        (4.0, "int"): "int4",
        (8.0, "int"): "int8",
        (8.0, "float"): "fp8",
        (4.0, "float"): "nvfp4",
    }
    return formats.get((bits, kind), "")


def four_bit_formats(config: Config) -> dict[str, str]:
    """Formats of a 4-bit checkpoint of this family."""
    family = config.model_type
    if family.startswith("deepseek_v4"):
        return {"attention": "fp8", "ffn": "fp8", "experts": "fp4"}
    wide = family.startswith(_WIDE_EXCEPT_EXPERTS)
    other = "bf16" if wide else "fp4"
    return {"attention": other, "ffn": other, "experts": "fp4"}
