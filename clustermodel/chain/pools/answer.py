"""`cost` of a disaggregated deployment: both pools, what joins them, and the price of each class of tokens."""

import dataclasses
import functools
import math
from typing import Any

import jax.numpy as jnp

from clustermodel import __version__
from clustermodel.calibration.intervals import Interval
from clustermodel.catalog import Catalog
from clustermodel.chain.fields import GB, MS, memory_fields, prefix_fields, speed, step_ms
from clustermodel.chain.input_ranges import Asked, price_range
from clustermodel.chain.pools.bill import (
    Both,
    hour_parts,
    money_fields,
    power_fields,
    power_parts,
    watts,
)
from clustermodel.chain.pools.choose import PoolsChoice, choose_pools, n_systems, systems_if
from clustermodel.chain.pools.evaluate import pool_rates
from clustermodel.chain.pools.priced import pools_numbers, priced
from clustermodel.chain.pools.search import laid_out, shape_of
from clustermodel.chain.pools.setup import PoolsSetup, set_up_pools
from clustermodel.chain.pools.sizing import NAMES
from clustermodel.chain.provenance import assumptions, inputs, sources
from clustermodel.chain.question import Question
from clustermodel.chain.uncertainty import ranges, uncertainty
from clustermodel.serving.phases import Phases
from clustermodel.serving.pools import handed_over
from clustermodel.serving.resources import owed
from clustermodel.units import SECONDS_PER_HOUR

SCHEMA = 1
_AXES = ("tp", "pp", "dp", "ep")


def cost(catalog: Catalog, question: Question) -> dict[str, Any]:
    """Tokens, watts and dollars of two pools; the fields of `cost`, those of each pool under `pools`.

    Numbers per accelerator are means over both pools, per accelerator that is paid for; memory, batch and the
    parts of a step are those of the decode pool.
    """
    setup = set_up_pools(catalog, question)
    return answer(catalog, Both(setup, choose_pools(setup)))


def answer(catalog: Catalog, both: Both) -> dict[str, Any]:
    """The answer object of the pools chosen."""
    setup, choice = both.setup, both.choice
    decode, point = setup.decode, choice.evaluation.point
    views = (decode, setup.prefill)
    found = {
        "kind": "cost",
        "schema": SCHEMA,
        "version": __version__,
        "system": decode.system.slug,
        "prefill_system": setup.prefill.system.slug,
        "model": decode.model.slug,
        "engine": decode.engine.slug,
        "precision": decode.precision.label,
        "kv_precision": decode.precision.cache,
        "compute_precision": decode.precision.widest_arithmetic,
        "layout": layout(choice),
        "n_accelerators": choice.n_accelerators,
        "n_systems": n_systems(setup, choice) if choice.arrivals else None,
        "concurrency": choice.concurrency,
        **speed(decode, point, choice.latency, choice.n_accelerators),
        **money_fields(both),
        **power_fields(both),
        "memory": memory_fields(decode, point.memory, float(point.batch / choice.plan.decode_workers))
        | _prefixes(both),
        "binding_limit": binding_limit(both),
        "bounds": _bounds(choice),
        "breakdown": {
            "usd_per_accelerator_hour": hour_parts(both),
            "step_ms": step_ms(point.step, point.tpot),
            "power_w": power_parts(both),
        },
        "roofline": None,
        "pools": {name: pool_fields(both, name) for name in NAMES},
        "transfer": _transfer(both),
        "seen": all(each.measured for each in views),
        "points_searched": choice.searched,
        "inputs": inputs(*views),
        "assumptions": assumptions(*views),
        "sources": sources(catalog, *views),
    }
    needed = functools.partial(systems_if, setup, choice)
    spread = uncertainty(found, _ranges(catalog, setup), needed)
    asked = Asked(setup, list(pools_numbers(setup)), functools.partial(priced, choice))
    price = price_range(asked, found["usd_per_mtok_total"], spread["usd_per_mtok_total"])
    return found | {"uncertainty": spread} | price


def _ranges(catalog: Catalog, setup: PoolsSetup) -> dict[str, Interval]:
    """TTFT as the prefill pool's system is known, TPOT as the decode pool's, throughput as the less known one."""
    first, second = (ranges(catalog, each) for each in (setup.prefill, setup.decode))
    width = lambda interval: interval.high / interval.low
    widest = {name: max(first[name], second[name], key=width) for name in first}
    return widest | {"ttft_ms": first["ttft_ms"], "tpot_ms": second["tpot_ms"]}


def layout(choice: PoolsChoice) -> dict[str, dict[str, int]]:
    """Axes of a worker of each pool, and how many workers there are."""
    plan = choice.plan
    shapes = {"prefill": shape_of(plan.prefill), "decode": shape_of(plan.decode)}
    counts = {"prefill": plan.prefill_workers, "decode": plan.decode_workers}
    return {
        name: {**dict(zip(_AXES, shape, strict=True)), "workers": int(counts[name])}
        for name, shape in shapes.items()
    }


def _prefixes(both: Both) -> dict[str, float | None]:
    """How long the prefill pool keeps the prefixes that it caches."""
    setup, choice = both.setup, both.choice
    cached = pool_rates(choice.evaluation.point, setup.prefill.load(choice.concurrency)).cached
    return prefix_fields(setup.prefill, choice.plan.prefill, cached, choice.evaluation.prefill.carried)


def _bounds(choice: PoolsChoice) -> dict[str, float]:
    bounds = choice.evaluation.point.bounds
    return {
        "tpot_ms": float(bounds.tpot) * MS,
        "ttft_ms": float(bounds.ttft) * MS,
        "output_tok_s_per_accelerator": float(bounds.output_rate) / choice.n_accelerators,
    }


def pool_fields(both: Both, name: str) -> dict[str, Any]:
    """One pool's own numbers."""
    setup, bill, point = both.view(name), both.bill(name), both.choice.evaluation.point
    shape = layout(both.choice)[name]
    memory = point.memory if name == "decode" else point.prefill_memory
    busy = {"prefill": point.prefill_utilisation, "decode": point.batch / point.room}
    return {
        "system": setup.system.slug,
        "compute_precision": setup.precision.widest_arithmetic,
        "n_accelerators": math.prod(shape[axis] for axis in ("tp", "pp", "dp", "workers")),
        "accelerators_paid_for": float(bill.carried),
        "utilisation": float(busy[name]),
        "usd_per_accelerator_hour": float(bill.hour.total) * SECONDS_PER_HOUR,
        "bill_share": float(bill.bill / both.choice.evaluation.bill),
        "busy_w_per_accelerator": float(bill.power.busy),
        **watts(setup, bill),
        "weights_gb": float(memory.weights) / GB,
        "capacity_gb": float(memory.capacity) / GB,
        "seen": setup.measured,
    }


def _transfer(both: Both) -> dict[str, float]:
    """The cache that a request takes from pool to pool, and how long that lasts."""
    point, load = both.choice.evaluation.point, both.setup.decode.load(jnp.ones(()))
    return {
        "gb_per_request": float(handed_over(laid_out(both.setup.template, both.choice.plan), load)) / GB,
        "ms": float(point.transfer) * MS,
        "exposed_ms": float(point.exposed) * MS,
    }


def binding_limit(both: Both) -> str:
    """The active objective, else demand where one system of each pool is enough, else capacity where memory limits.

    Else what most of the money waits for. The prefill pool's whole bill counts as `prefill`; the decode pool's is
    split like its iteration.
    """
    choice, point = both.choice, both.choice.evaluation.point
    if choice.active:
        return choice.active
    if choice.arrivals and n_systems(both.setup, choice) == 1 + both.setup.apart:
        return "demand"
    held = float(point.memory.sequences) * choice.plan.decode_workers
    if held < 1.1 * min(choice.concurrency, float(point.room)):
        return "capacity"
    none = jnp.zeros_like(point.tpot)
    split = owed(point.step, point.memory.placement, Phases(none, none, point.tpot))
    per_second = float(choice.evaluation.decode.bill / point.tpot)
    money = {f.name: float(getattr(split, f.name)) * per_second for f in dataclasses.fields(split)}
    money["prefill"] = float(choice.evaluation.prefill.bill)
    return max(money, key=lambda name: money[name])
