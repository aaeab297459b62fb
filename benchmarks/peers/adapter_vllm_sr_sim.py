"""Ask vllm-sr-sim for the time of a decode iteration: its time per output token."""

from collections.abc import Hashable
from importlib.metadata import version
from typing import Any

from adapter import Evaluate, Peer, Row, Unanswered, serve

HARDWARE = {
    "a100-sxm": "a100_sxm",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "b200-sxm": "b200_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l40s": "l40s",
}
MODELS = (
    "llama-3.1-8b",
    "llama-3.1-70b",
    "llama-3.1-405b",
    "mistral-7b",
    "mixtral-8x7b",
    "qwen3-8b",
    "qwen3-30b-a3b",
    "qwen3-32b",
    "qwen3-235b-a22b",
    "deepseek-v3",
)
"""The models that the peer knows by name; its names are ours."""
BYTES = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5, "int4": 0.5}
"""Bytes of a weight; the peer gives the cache the same format."""


def checked(row: Row) -> Row:
    """The row, which raises where the peer has no word for it."""
    if row["accelerator"] not in HARDWARE:
        raise Unanswered("hardware not in its catalogue")
    if row["model"] not in MODELS or row["precision"] not in BYTES:
        raise Unanswered("model or precision not in its catalogue")
    if row["dp"] > 1 or row["pp"] > 1:
        raise Unanswered("it has no data or pipeline parallelism")
    return row


def profile(row: Row) -> Any:
    """The peer's physics profile of a row's hardware, model and layout."""
    from fleet_sim.gpu_profiles import ProfileBuilder, ServingConfig
    from fleet_sim.hardware import get_hardware
    from fleet_sim.models import get_model

    layout = {"tp": int(row["tp"]), "ep": int(row["ep"]), "dtype_bytes": BYTES[row["precision"]]}
    hardware, model = get_hardware(HARDWARE[row["accelerator"]]), get_model(row["model"])
    return ProfileBuilder().build(hardware, model, ServingConfig(**layout))


def iteration_ms(of: Any, row: Row) -> float:
    """One decode iteration with all requests in flight at whole length, as the peer's own simulator takes it."""
    return of.iter_latency(row["concurrency"], row["isl"] + row["osl"]) * 1e3


def prepared(row: Row) -> Evaluate:
    """The iteration of a profile that is at hand."""
    of = profile(checked(row))
    return lambda: iteration_ms(of, row)


def from_names(row: Row) -> Evaluate:
    """Profile and iteration together."""
    return lambda: iteration_ms(profile(row), row)


def shared(row: Row) -> Hashable:
    """What rows share that the peer builds together."""
    return row["accelerator"], row["model"], row["precision"], row["tp"]


def peer() -> Peer:
    """The peer, imported."""
    import fleet_sim.gpu_profiles  # noqa: F401  part of the set-up, not of the first answer

    return Peer(version("vllm-sr-sim"), shared, prepared, from_names, {})


if __name__ == "__main__":
    serve(peer)
