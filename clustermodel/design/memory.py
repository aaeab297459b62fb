"""`design memory`: what memory is of a system's price, what its price does to tokens, and what it keeps for whom."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from clustermodel import __version__
from clustermodel.catalog import Catalog, ConfigError, quotes
from clustermodel.chain.choose import Choice, choose
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.question import Question
from clustermodel.chain.setup import MILLISECONDS, Setup, set_up
from clustermodel.design.asked import refuse
from clustermodel.design.offload import KeptToken, kept_token
from clustermodel.design.sensitivity import chain_of, knobs
from clustermodel.economics.levelized import memory_prices, price_with_memory
from clustermodel.physics.deployment import Layout
from clustermodel.serving.placement import placed
from clustermodel.units import MILLION, SECONDS_PER_HOUR

SERIES = "contract_per_gb"
"""Basis of the quotes that make the dated series of memory prices."""

_GB = 1e9
_DEARER = 1.5  # the rise that every answer shows


def memory(catalog: Catalog, question: Question) -> dict[str, Any]:
    """A system's memory as money, at the cheapest point of a question.

    `tiers` has for every memory its part of the price, what a cached token costs to hold there and to read back,
    and how long holding is cheaper than prefilling again; `dearer` what memory at half as much again does;
    `series` the dated prices per GB.
    """
    refuse(
        question,
        dated="what memory costs is inside it",
        shared="what keeping a token saves is the time of its prefill, whoever pays for that",
    )
    setup = set_up(catalog, question)
    choice = choose(setup)
    kept = _kept(setup, choice)
    system, factor = setup.system.spec, setup.terms.spec.memory_factor
    _refuse_a_price_below_its_memory(setup)
    parts, price = np.asarray(memory_prices(system) * factor), float(price_with_memory(system, factor))
    return {
        "kind": "design_memory",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {"system": setup.system.slug, "model": setup.model.slug, "workload": setup.workload.slug},
        "layout": dict(zip(("tp", "pp", "dp", "ep"), choice.shape, strict=True)),
        "concurrency": choice.concurrency,
        "price_usd": price,
        "rest_usd": price - float(parts.sum()),
        "memory_share": float(parts.sum()) / price,
        "usd_per_mtok_total": float(choice.evaluation.unit.blended) * MILLION,
        "usd_per_mtok_input": float(kept.recompute_cost) * MILLION,
        "cache_kb_per_token": float(kept.size) / 1e3,
        "recompute_us_per_token": float(kept.recompute) * MILLISECONDS * 1e3,
        "tiers": list(_tiers(setup, kept, parts, price)),
        "dearer": [_dearer(setup, choice, factor) for factor in (1.0, _DEARER)],
        "series": memory_series(catalog),
    }


def _refuse_a_price_below_its_memory(setup: Setup) -> None:
    system = setup.system.spec
    inside, price = float(jnp.sum(memory_prices(system))), float(system.price)
    if inside > price:
        raise ConfigError(
            f"system.price {price:g} USD is less than the {inside:g} USD of memory inside {setup.system.name}; raise "
            "it, or set what its memory costs (system.memory[0].price, accelerator.memory[0].price)"
        )


def memory_series(catalog: Catalog) -> list[dict[str, Any]]:
    """Dated contract prices of DRAM and HBM (USD/GB), oldest first, with the rise over the quote before."""
    rows, before = [], {}
    for quote in quotes(catalog):
        if quote.basis == SERIES:
            value, (low, high) = quote.si * _GB, (end * _GB for end in quote.range_si)
            rise = value / before[quote.item] - 1 if quote.item in before else None
            before[quote.item] = value
            rows.append(
                {
                    "memory": quote.item,
                    "date": quote.date,
                    "usd_per_gb": value,
                    "low": low,
                    "high": high,
                    "rise": rise,
                    "confidence": quote.number.confidence,
                    "source": quote.number.source,
                }
            )
    return sorted(rows, key=lambda row: (row["memory"], row["date"]))


def _kept(setup: Setup, choice: Choice) -> KeptToken:
    layout = Layout(*(jnp.asarray(float(each)) for each in choice.shape))
    load = setup.load(jnp.asarray(choice.concurrency))
    return kept_token(placed(setup.deployment(layout), load), load, choice.evaluation, setup.terms.spec)


def _tiers(setup: Setup, kept: KeptToken, parts: np.ndarray, price: float) -> Iterator[dict[str, Any]]:
    tiers, interval = setup.system.spec.accelerator.memory, setup.workload.spec.reuse_interval
    cached = kept.cached_price(interval)
    for i, kind in enumerate(setup.system.words["tiers"]):
        if float(tiers.capacity[i]) > 0:
            held = bool(parts[i] > 0)
            yield {
                "memory": kind,
                "capacity_gb": float(tiers.capacity[i]) * float(setup.system.spec.count) / _GB,
                "price_usd": float(parts[i]) if held else None,
                "share": float(parts[i]) / price if held else None,
                "usd_per_mtok_hour": float(kept.holding[i]) * SECONDS_PER_HOUR * MILLION if held else None,
                "reload_us_per_token": float(kept.reload[i]) * MILLISECONDS * 1e3,
                "faster_than_prefill": float(kept.recompute / kept.reload[i]),
                "pays_for_hours": float(kept.pays_for[i]) / SECONDS_PER_HOUR if held else None,
                "usd_per_mtok_cached_input": float(cached[i]) * MILLION,
            }


def _dearer(setup: Setup, choice: Choice, factor: float) -> dict[str, Any]:
    """Price of the system and of its tokens at the same point with memory at `factor` times its price."""
    at = knobs(setup)
    moved = eqx.tree_at(lambda k: k.terms.memory_factor, at, at.terms.memory_factor * factor)
    found = chain_of(setup, choice)(moved)
    system = price_with_memory(at.system, moved.terms.memory_factor)
    return {
        "memory_factor": float(moved.terms.memory_factor),
        "price_usd": float(system),
        "usd_per_accelerator_hour": float(found.hour.total) * SECONDS_PER_HOUR,
        "usd_per_mtok_total": float(found.unit.blended) * MILLION,
    }
