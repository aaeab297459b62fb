"""In which formats a checkpoint stores its weights, from the `quantization_config` of its config.json."""

from collections.abc import Mapping

from clustermodel.catalog._hf_config import Config
from clustermodel.catalog._kinds import TENSORS

_WIDE = {"float16": "fp16", "half": "fp16"}
_WIDE_EXCEPT_EXPERTS = ("deepseek", "kimi", "glm", "qwen3_5", "minimax", "gpt_oss")
"""Families whose published 4-bit checkpoints keep everything but the routed experts in 16 bits."""
_ROUNDED = ("awq", "gptq", "auto-round")
_INTEGERS = {f"{method} of {bits} bits": f"int{bits}" for method in _ROUNDED for bits in (4, 8)}
_COMPRESSED = {
    "int of 4 bits": "int4",
    "int of 8 bits": "int8",
    "float of 8 bits": "fp8",
    "float of 4 bits": "nvfp4",
}


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
    method, algorithm = part.word("quant_method").lower(), part.word("quant_algo").lower()
    ignored = [*map(str, part.rows("ignore")), *map(str, part.rows("modules_to_not_convert"))]
    if method == "mxfp4":
        return method, []
    if method in _ROUNDED:
        return _known(part, f"{method} of {part.number('bits', default=4.0):g} bits", _INTEGERS), []
    if method == "bitsandbytes":
        return _bitsandbytes(part), []
    if method == "compressed-tensors":
        return _known(part, _compressed_tensors(part), _COMPRESSED), ignored
    narrow = next((name for name in ("nvfp4", "fp8") if name in (algorithm or method)), "")
    return narrow or _known(part, method or algorithm, {"": ""}), ignored


def _known(part: Config, stored: str, formats: Mapping[str, str]) -> str:
    """The format that `stored` stands for, or a problem: read as wide weights they would be too many bytes."""
    if stored not in formats:
        part.problems.append(
            f"quantization_config: {stored!r:.60} is no way to store weights that is known here; "
            "take quantization_config out and name the format with --precision"
        )
    return formats.get(stored, "")


def _compressed_tensors(part: Config) -> str:
    weights = part.part("config_groups").part("group_0").part("weights")
    return f"{weights.word('type')} of {weights.number('num_bits', default=0.0):g} bits"


def _bitsandbytes(part: Config) -> str:
    """Rounded when it is loaded, to what the config says; else as wide as before."""
    flags = {"int4": "load_in_4bit", "int8": "load_in_8bit"}
    return next((name for name, flag in flags.items() if part.flag(flag, f"_{flag}")), "")


def four_bit_formats(config: Config) -> dict[str, str]:
    """Formats of a 4-bit checkpoint of this family."""
    family = config.model_type
    if family.startswith("deepseek_v4"):
        return {"attention": "fp8", "ffn": "fp8", "experts": "fp4"}
    wide = family.startswith(_WIDE_EXCEPT_EXPERTS)
    other = "bf16" if wide else "fp4"
    return {"attention": other, "ffn": other, "experts": "fp4"}
