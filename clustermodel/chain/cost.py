"""`cost`: one deployment, from the question to the answer with its working and its sources."""

import dataclasses
from typing import Any

import numpy as np

from clustermodel import __version__
from clustermodel.calibration.intervals import load_intervals
from clustermodel.catalog import Catalog
from clustermodel.chain.choose import Choice, choose
from clustermodel.chain.money import hour_parts, money_fields
from clustermodel.chain.provenance import assumptions, inputs, sources
from clustermodel.chain.question import Question
from clustermodel.chain.roofline import roofline
from clustermodel.chain.setup import Setup, set_up
from clustermodel.chain.uncertainty import uncertainty
from clustermodel.chain.watts import power_fields, power_parts
from clustermodel.serving.memory import MemoryUse
from clustermodel.serving.open_loop import Latency
from clustermodel.serving.resources import resources
from clustermodel.serving.steady import ServingPoint

SCHEMA = 1
_GB, _MS = 1e9, 1e3


def cost(catalog: Catalog, question: Question) -> dict[str, Any]:
    """Tokens, watts and dollars of one deployment.

    Returns:
        The fields of the design's `cost` object, numbers as plain floats, null where not defined.

    Raises:
        ConfigError: the question is wrong.
        InfeasibleError: it has no answer; the text names the binding limit and the nearest feasible value.
    """
    setup = set_up(catalog, question)
    return answer(catalog, setup, choose(setup))


def answer(catalog: Catalog, setup: Setup, choice: Choice) -> dict[str, Any]:
    """The answer object of a chosen point."""
    point = choice.evaluation.point
    n = int(np.prod(choice.shape[:3]))
    owed = resources(point)
    resource_time = {f.name: float(getattr(owed, f.name)) for f in dataclasses.fields(owed)}
    found = {
        "kind": "cost",
        "schema": SCHEMA,
        "version": __version__,
        "system": setup.system.slug,
        "model": setup.model.slug,
        "engine": setup.engine.slug,
        "precision": setup.precision.label,
        "kv_precision": setup.precision.cache,
        "compute_precision": setup.precision.widest_arithmetic,
        "layout": dict(zip(("tp", "pp", "dp", "ep"), choice.shape, strict=True)),
        "n_accelerators": n,
        "n_systems": choice.n_systems,
        "concurrency": choice.concurrency,
        **_speed(setup, choice, n),
        **money_fields(setup, choice),
        **power_fields(setup, choice),
        "memory": memory_fields(setup, point.memory, point),
        "binding_limit": binding_limit(setup, choice, resource_time),
        "bounds": {
            "tpot_ms": float(point.bounds.tpot) * _MS,
            "ttft_ms": float(point.bounds.ttft) * _MS,
            "output_tok_s_per_accelerator": float(point.bounds.output_rate) / n,
        },
        "breakdown": {
            "usd_per_accelerator_hour": hour_parts(choice),
            "step_ms": step_ms(point),
            "power_w": power_parts(setup, choice),
        },
        "roofline": roofline(setup, choice),
        "seen": setup.measured,
        "points_searched": choice.searched,
        "inputs": inputs(setup),
        "assumptions": assumptions(setup),
        "sources": sources(catalog, setup),
    }
    error = uncertainty(found, load_intervals(catalog, setup.measured and setup.question.effects == "full"))
    return found | {"uncertainty": error}


def _speed(setup: Setup, choice: Choice, n: int) -> dict[str, Any]:
    point, tokens, latency = choice.evaluation.point, setup.isl + setup.osl, choice.latency
    ttft = float(point.ttft if latency is None else latency.ttft.mean)
    tpot = float(point.tpot if latency is None else latency.tpot.mean)
    return {
        "batch": float(point.batch),
        "isl": setup.isl,
        "osl": setup.osl,
        "prefix_hit_rate": setup.prefix_hit_rate,
        "ttft_ms": ttft * _MS,
        "tpot_ms": tpot * _MS,
        "interactivity_tok_s_user": 1 / tpot,
        "latency": None if latency is None else _percentiles(latency),
        "output_tok_s_per_accelerator": float(point.output_rate) / n,
        "total_tok_s_per_accelerator": float(point.request_rate) * tokens / n,
    }


def _percentiles(latency: Latency) -> dict[str, Any]:
    """Latency when requests arrive on their own at the peak rate (ms)."""
    named = {"ttft_ms": latency.ttft, "tpot_ms": latency.tpot}
    table: dict[str, Any] = {
        name: {f.name: float(getattr(q, f.name)) * _MS for f in dataclasses.fields(q)}
        for name, q in named.items()
    }
    return table | {"utilisation": float(latency.utilisation), "waiting": float(latency.waiting)}


def step_ms(point: ServingPoint) -> dict[str, float]:
    """Where the mean time per output token goes (ms); sums to TPOT."""
    step, decode = point.step, float(point.time.decode / point.step.total)
    parts = {
        "dense": step.dense.total,
        "experts": step.experts.total,
        "head": step.head.total,
        "attention": step.attention.total,
        "all_reduce": step.communication.all_reduce,
        "all_to_all": step.communication.all_to_all,
        "pipeline": step.communication.pipeline,
        "launch": step.launch,
        "host": step.host,
    }
    scaled = {name: float(part) * decode * _MS for name, part in parts.items()}
    return {**scaled, "prefill": float(point.time.prefill) * _MS, "reload": float(point.time.reload) * _MS}


def memory_fields(setup: Setup, memory: MemoryUse, point: ServingPoint) -> dict[str, Any]:
    """Bytes of one accelerator by use, and its hierarchy (GB)."""
    tiers = setup.system.spec.accelerator.memory
    present = [i for i in range(len(tiers.capacity)) if float(tiers.capacity[i]) > 0]
    running = (
        float(point.batch)
        * float(memory.per_sequence)
        / max(float(memory.sequences) * float(memory.per_sequence), 1e-30)
    )
    return {
        "weights_gb": float(memory.weights) / _GB,
        "kv_gb": min(running, 1.0) * max(float(memory.cache_room), 0.0) / _GB,
        "workspace_gb": float(memory.workspace) / _GB,
        "capacity_gb": float(memory.capacity) / _GB,
        "kv_room_gb": float(memory.cache_room) / _GB,
        "sequences_that_fit": float(memory.sequences),
        "tiers": [
            {
                "kind": setup.system.words["tiers"][i],
                "capacity_gb": float(tiers.capacity[i]) / _GB,
                "bandwidth_gb_s": float(tiers.bandwidth[i]) / _GB,
                **_in_tier(memory, i),
            }
            for i in present
        ],
    }


def _in_tier(memory: MemoryUse, tier: int) -> dict[str, float | None]:
    """Running data of one tier (GB) and the share of it that a decode step reads; only where it is placed."""
    if memory.placement is None:
        return {}
    stored, read = float(memory.placement.stored[tier]), float(memory.placement.read[tier])
    return {"running_gb": stored / _GB, "touched_fraction": read / stored if stored > 0 else None}


def binding_limit(setup: Setup, choice: Choice, resource_time: dict[str, float]) -> str:
    """The active objective, else capacity where memory limits the batch, else the largest resource."""
    if choice.active:
        return choice.active
    wanted = min(choice.concurrency, float(setup.engine.spec.max_num_seqs) * choice.shape[2])
    if float(choice.evaluation.point.memory.sequences) < 1.1 * wanted:
        return "capacity"
    return max(resource_time, key=lambda name: resource_time[name])
