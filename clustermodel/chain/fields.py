"""Parts that several answers share: speed, where a step's time goes, memory in use, percentiles of latency."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.chain.evaluate import kept_for
from clustermodel.chain.setup import Setup, limits
from clustermodel.kept import Kept
from clustermodel.physics.deployment import Layout
from clustermodel.physics.step import StepTime
from clustermodel.serving.memory import MemoryUse
from clustermodel.serving.open_loop import Latency, attained
from clustermodel.serving.pools import PoolsPoint
from clustermodel.serving.steady import ServingPoint

GB, MS = 1e9, 1e3
_SUMS, _LINKS, _REST = (
    ("dense", "experts", "head", "attention"),
    ("all_reduce", "all_to_all", "pipeline"),
    ("launch", "host"),
)


def speed(
    setup: Setup, point: ServingPoint | PoolsPoint, latency: Latency | None, n: float
) -> dict[str, Any]:
    """Lengths, latencies and rates of an operating point on `n` accelerators; means under arrivals, if there are."""
    ttft = float(point.ttft if latency is None else latency.ttft.mean)
    tpot = float(point.tpot if latency is None else latency.tpot.mean)
    return {
        "batch": float(point.batch),
        "isl": setup.isl,
        "osl": setup.osl,
        "prefix_hit_rate": setup.prefix_hit_rate,
        "ttft_ms": ttft * MS,
        "tpot_ms": tpot * MS,
        "interactivity_tok_s_user": 1 / tpot,
        "latency": None if latency is None else _percentiles(latency, setup),
        "output_tok_s_per_accelerator": float(point.output_rate) / n,
        "total_tok_s_per_accelerator": float(point.request_rate) * (setup.isl + setup.osl) / n,
    }


def _percentiles(latency: Latency, setup: Setup) -> dict[str, Any]:
    """Latency when requests arrive on their own at the peak rate (ms), and how many keep the objectives.

    Goodput is the rate of requests that keep both objectives, one independent of the other, over a replica's own.
    """
    named = {"ttft_ms": latency.ttft, "tpot_ms": latency.tpot}
    table: dict[str, Any] = {
        name: {f.name: float(getattr(q, f.name)) * MS for f in dataclasses.fields(q)}
        for name, q in named.items()
    }
    kept = [attained(q, jnp.asarray(most)) for q, most in zip(named.values(), limits(setup), strict=True)]
    return table | {
        "utilisation": float(latency.utilisation),
        "waiting": float(latency.waiting),
        "ttft_attained": float(kept[0]),
        "tpot_attained": float(kept[1]),
        "goodput_share": float(kept[0] * kept[1]),
    }


def step_ms(step: StepTime, decode: Any) -> dict[str, float]:
    """Where `decode` seconds of iterations go (ms), operation by operation; sums to them."""
    parts, total = _operations(step)
    share = float(decode / total)
    return {name: float(parts[name]) * share * MS for name in (*_SUMS, *_LINKS, *_REST)}


@Kept
def _operations(step: StepTime) -> tuple[dict[str, Scalar], Scalar]:
    """Seconds of each operation of an iteration, and of all of it."""
    sums = {name: getattr(step, name).total for name in _SUMS}
    sums |= {name: getattr(step.communication, name) for name in _LINKS}
    return sums | {name: getattr(step, name) for name in _REST}, step.total


def memory_fields(setup: Setup, memory: MemoryUse, sequences: float) -> dict[str, Any]:
    """Bytes of one accelerator by use with `sequences` running on its replica, and its hierarchy (GB)."""
    tiers = setup.system.spec.accelerator.memory
    present = [i for i in range(len(tiers.capacity)) if float(tiers.capacity[i]) > 0]
    room = max(float(memory.cache_room), 0.0)
    return {
        "weights_gb": float(memory.weights) / GB,
        "kv_gb": min(sequences / max(float(memory.sequences), 1e-30), 1.0) * room / GB,
        "workspace_gb": float(memory.workspace) / GB,
        "capacity_gb": float(memory.capacity) / GB,
        "kv_room_gb": float(memory.cache_room) / GB,
        "sequences_that_fit": float(memory.sequences),
        "tiers": [
            {
                "kind": setup.system.words["tiers"][i],
                "capacity_gb": float(tiers.capacity[i]) / GB,
                "bandwidth_gb_s": float(tiers.bandwidth[i]) / GB,
                **_in_tier(memory, i),
            }
            for i in present
        ],
    }


def prefix_fields(setup: Setup, layout: Layout, rate: Scalar, carried: Scalar) -> dict[str, float | None]:
    """Seconds that cached prefixes wait for their next use, and for which they are kept; None where none are cached.

    Args:
        setup: question whose replica caches them.
        layout: of that replica.
        rate: cached tokens per second.
        carried: accelerators whose memory the replica pays for.
    """
    if float(rate) <= 0:
        return {"prefix_interval_s": None, "prefix_kept_s": None}
    interval = setup.money.reuse_interval
    kept = kept_for(setup.deployment(layout), interval, rate, carried)
    return {"prefix_interval_s": float(interval), "prefix_kept_s": float(kept)}


def _in_tier(memory: MemoryUse, tier: int) -> dict[str, float | None]:
    """Running data of one tier (GB) and the share of it that a decode step reads; only where it is placed."""
    if memory.placement is None:
        return {}
    stored, read = float(memory.placement.stored[tier]), float(memory.placement.read[tier])
    return {"running_gb": stored / GB, "touched_fraction": read / stored if stored > 0 else None}
