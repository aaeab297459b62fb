"""Ask aiconfigurator (NVIDIA) for the latencies of an aggregated deployment."""

import logging
import warnings
from collections.abc import Hashable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from adapter import Evaluate, Peer, Row, Unanswered, serve

HARDWARE = {
    "a100-sxm": "a100_sxm",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l40s": "l40s",
    "rtx-pro-6000": "rtx_pro_6000_server",
}
BLACKWELL = ("b200_sxm", "b300_sxm", "gb200", "gb300")
ENGINES = ("trtllm", "vllm", "sglang")
CHECKPOINTS = {
    ("llama-3.1-8b", "bf16"): "meta-llama/Meta-Llama-3.1-8B",
    ("llama-3.1-8b", "fp8"): "meta-llama/Meta-Llama-3.1-8B",
    ("llama-3.1-70b", "bf16"): "meta-llama/Meta-Llama-3.1-70B",
    ("llama-3.1-70b", "fp8"): "nvidia/Llama-3.1-70B-Instruct-FP8",
    ("llama-3.1-70b", "fp4"): "meta-llama/Meta-Llama-3.1-70B",
    ("qwen3-32b", "bf16"): "Qwen/Qwen3-32B",
    ("qwen3-32b", "fp8"): "Qwen/Qwen3-32B-FP8",
    ("qwen3-235b-a22b", "fp8"): "Qwen/Qwen3-235B-A22B-FP8",
    ("qwen3-235b-a22b", "fp4"): "nvidia/Qwen3-235B-A22B-NVFP4",
    ("deepseek-v3", "fp8"): "deepseek-ai/DeepSeek-V3",
    ("deepseek-v3", "fp4"): "nvidia/DeepSeek-V3.1-NVFP4",
    ("deepseek-v4-pro", "fp8"): "sgl-project/DeepSeek-V4-Pro-FP8",
    ("deepseek-v4-pro", "fp4"): "deepseek-ai/DeepSeek-V4-Pro",
    ("minimax-m2.5", "fp8"): "MiniMaxAI/MiniMax-M2.5",
    ("minimax-m2.5", "fp4"): "nvidia/MiniMax-M2.5-NVFP4",
    ("gpt-oss-120b", "fp4"): "openai/gpt-oss-120b",
}
"""Model and precision -> a checkpoint whose configuration the peer carries; formats follow from it."""

PER_TENSOR = {"gemm_quant_mode": "fp8"}
NVFP4 = {"gemm_quant_mode": "nvfp4"}
FORMATS = {("llama-3.1-8b", "fp8"): PER_TENSOR, ("llama-3.1-70b", "fp4"): NVFP4}
"""Formats where the peer carries no checkpoint of that precision."""

MIXED = {"moe_quant_mode": "w4a8_mxfp4_mxfp8"}
"""What the peer's `cli default` chooses for gpt-oss under TensorRT-LLM on Blackwell; `cli estimate` does not."""
UNBLOCKED = {"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8"}
"""Per-tensor tables for MiniMax-M2.5 FP8 on Blackwell, whose tables of the checkpoint's own block format are
slow: the errors there are +115 % at the median, with these -10 %. The doubt is the peer's to benefit from."""
REASONS = {
    "PerfDataNotAvailableError": "an operation has no measured table",
    "ValueError": "it refuses the layout for the format of the weights",
}
"""Kind of error that the peer raises on rows with a word for everything -> what it means."""


class Point(NamedTuple):
    """A row in the peer's words."""

    checkpoint: str
    system: str
    engine: str
    tp: int
    pp: int
    dp: int
    moe_tp: int
    moe_ep: int
    formats: tuple[tuple[str, str], ...]


def point(row: Row) -> Point:
    """The row in the peer's words; raises where the peer has none."""
    if row["accelerator"] not in HARDWARE:
        raise Unanswered("hardware not in its catalogue")
    if row["engine"] not in ENGINES:
        raise Unanswered("engine not in its catalogue")
    if (row["model"], row["precision"]) not in CHECKPOINTS:
        raise Unanswered("model or precision not in its catalogue")
    tp, pp, dp, ep = (int(row[axis]) for axis in ("tp", "pp", "dp", "ep"))
    return Point(
        checkpoint=CHECKPOINTS[row["model"], row["precision"]],
        system=HARDWARE[row["accelerator"]],
        engine=row["engine"],
        tp=tp,
        pp=pp,
        dp=dp,
        moe_tp=max(tp * dp // ep, 1),
        moe_ep=ep,
        formats=tuple(sorted(formats(row).items())),
    )


def formats(row: Row) -> dict[str, str]:
    """Formats that the checkpoint does not settle; the cache has the one that the row states."""
    blackwell = HARDWARE[row["accelerator"]] in BLACKWELL
    found = dict(FORMATS.get((row["model"], row["precision"]), {}))
    if blackwell and row["model"] == "gpt-oss-120b" and row["engine"] == "trtllm":
        found |= MIXED
    if blackwell and (row["model"], row["precision"]) == ("minimax-m2.5", "fp8"):
        found |= UNBLOCKED
    return found | {"kvcache_quant_mode": {"bf16": "bfloat16"}.get(row["kv_precision"], row["kv_precision"])}


def load(row: Row) -> dict[str, int]:
    """Requests in flight of one attention rank and their lengths."""
    batch = max(1, round(row["concurrency"] / row["dp"]))
    return {"batch_size": batch, "isl": round(row["isl"]), "osl": round(row["osl"])}


@cache
def database(system: str, engine: str) -> Any:
    """The newest measured tables of an engine on a system."""
    from aiconfigurator.sdk.perf_database import get_database_view, get_latest_database_version

    newest = get_latest_database_version(system=system, backend=engine)
    found = newest and get_database_view(system, engine, newest, database_mode="SILICON")
    if not found:
        raise Unanswered("no measured tables of the engine on this hardware")
    return found


@cache
def model(of: Point) -> Any:
    """The model of a point, with its formats resolved as the peer's own estimate does."""
    from aiconfigurator.sdk import models
    from aiconfigurator.sdk.config_builders import build_model_config

    moe = models.check_is_moe(of.checkpoint)
    experts = (of.moe_tp, of.moe_ep) if moe else (None, None)
    config = build_model_config(of.tp, of.pp, of.dp, *experts, **dict(of.formats))
    tables = database(of.system, of.engine)
    models.resolve_context_fmha_by_data(config, of.checkpoint, tables, of.engine, is_context_role=True)
    models.resolve_dsv4_moe_arch(config, of.checkpoint, system_name=of.system, backend_name=of.engine)
    models.resolve_nvfp4_for_system(config, of.system, of.checkpoint, backend_name=of.engine)
    return models.get_model(of.checkpoint, config, of.engine)


def prepared(row: Row) -> Evaluate:
    """One aggregated run of a model and tables at hand; a backend remembers results, so each call takes a new one."""
    from aiconfigurator.sdk.backends.factory import get_backend
    from aiconfigurator.sdk.config import RuntimeConfig
    from aiconfigurator.sdk.inference_session import InferenceSession

    of = point(row)
    asked, run, tables = load(row), model(of), database(of.system, of.engine)

    def evaluate() -> dict[str, Any]:
        session = InferenceSession(run, tables, get_backend(of.engine))
        summary = session.run_agg(RuntimeConfig(**asked), ctx_tokens=asked["isl"])
        if summary.check_oom():
            raise Unanswered("weights and cache do not fit, it says")
        return summary.get_result_dict()

    return evaluate


def times(found: Mapping[str, Any]) -> dict[str, float]:
    """Latencies of a run, which the peer says in ms."""
    return {"tpot_ms": float(found["tpot"]), "ttft_ms": float(found["ttft"])}


def from_names(row: Row) -> Evaluate:
    """The peer's documented call for one point."""
    from aiconfigurator.cli.api import cli_estimate

    of = point(row)
    layout = {"tp_size": of.tp, "pp_size": of.pp, "attention_dp_size": of.dp}
    layout |= {"moe_tp_size": of.moe_tp, "moe_ep_size": of.moe_ep}
    words = {"mode": "agg", "backend_name": of.engine, **layout, **load(row), **dict(of.formats)}
    return lambda: cli_estimate(of.checkpoint, of.system, **words).tpot


def shared(row: Row) -> Hashable:
    """What rows share that the peer loads together."""
    try:
        return point(row)
    except Unanswered as why:
        return str(why)


def peer() -> Peer:
    """The peer, imported and silent."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import aiconfigurator.cli.api  # noqa: F401  part of the set-up, not of the first answer

    return Peer(version("aiconfigurator"), shared, prepared, from_names, REASONS, times)


if __name__ == "__main__":
    serve(peer)
