"""A vendor's claims about a large-memory server, one by one: what each comes to, and under which workload it holds."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from clustermodel import __version__
from clustermodel.catalog import Catalog, Entry, InfeasibleError, quotes
from clustermodel.chain.choose import choose
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.question import Question, named
from clustermodel.chain.setup import Setup, find, model_entry, set_up
from clustermodel.specs import System, strong_float
from clustermodel.units import MILLION

BASIS = "vendor_claim"

WORKLOADS = (
    ("chat-1k", 1.0),
    ("long-context-128k", 1.0),
    ("long-context-1m", 1.0),
    ("long-context-1m", 0.01),
)
"""Workloads that claims are held against, and the share of the context that a token touches."""

_BENCHMARK = "hgx-b300"  # the claim about fast memory names this server
_SERVERS, _RACKS, _FAST, _CAPITAL, _POWER = range(5)


class _Served(NamedTuple):
    """A cheapest point per output token a second: purchase price and power at the meter."""

    usd: float
    watts: float
    usd_per_mtok: float


def claims(catalog: Catalog, question: Question, candidate: str, reference: str) -> dict[str, Any]:
    """Each claim of the vendor as a factor, against `reference`, for stored bytes, read bytes and served tokens.

    Claims about cost and power say "10 to 50 times, depending on workload": a row for each of `WORKLOADS` divides
    what a token a second takes on the reference by what it takes on the candidate, both at their cheapest point of
    the question. A claim holds where the factor reaches the claimed one.
    """
    ours, theirs = (find(catalog, "systems", name) for name in (candidate, reference))
    rows = [*_of_bytes(catalog, ours, theirs), *_of_tokens(catalog, question, (ours, theirs))]
    return {
        "kind": "design_claims",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "candidate": named(candidate),
            "reference": named(reference),
            "model": named(question.model),
            "max_tpot_ms": question.max_tpot_ms,
        },
        "claims": rows,
    }


def _claimed(catalog: Catalog) -> list[float]:
    """The claims in the order of `_SERVERS` to `_POWER`."""
    said = {quote.item: quote.si for quote in quotes(catalog) if quote.basis == BASIS}
    order = ("servers per rack", "racks", "fast memory", "capital", "power")
    return [next(value for item, value in said.items() if words in item) for words in order]


def _row(claim: str, workload: str, against: str, claimed: float, found: float) -> dict[str, Any]:
    holds = "yes" if found >= claimed * 0.95 else "no"  # claims are round numbers
    return {
        "claim": claim,
        "workload": workload,
        "against": against,
        "claimed": claimed,
        "found": found,
        "holds": holds,
    }


def _fast(entry: Entry[System]) -> tuple[float, float]:
    """Bytes of a system's largest directly read memory, and its bandwidth (B/s)."""
    memory = entry.spec.accelerator.memory
    direct = np.asarray(memory.direct) + np.eye(len(np.asarray(memory.direct)))[0] > 0
    tier = int(np.argmax(np.where(direct, np.asarray(memory.capacity), 0.0)))
    tier = 0 if float(memory.bandwidth[0]) > 2 * float(memory.bandwidth[tier]) else tier
    count = float(entry.spec.count)
    return float(memory.capacity[tier]) * count, float(memory.bandwidth[tier]) * count


def _of_bytes(catalog: Catalog, ours: Entry[System], theirs: Entry[System]) -> Iterator[dict[str, Any]]:
    claimed = _claimed(catalog)
    (stored, read), (their_bytes, their_reads) = _fast(ours), _fast(theirs)
    rack, benchmark = claimed[_SERVERS], find(catalog, "systems", _BENCHMARK)
    yield _row(
        "one rack holds 25 racks", "bytes stored", theirs.slug, claimed[_RACKS], rack * stored / their_bytes
    )
    yield _row(
        "one rack holds 25 racks", "bytes read", theirs.slug, claimed[_RACKS], rack * read / their_reads
    )
    yield _row("fast memory", "bytes stored", _BENCHMARK, claimed[_FAST], stored / _fast(benchmark)[0])
    yield _row("fast memory", "bytes read", _BENCHMARK, claimed[_FAST], read / _fast(benchmark)[1])
    price = float(theirs.spec.price / ours.spec.price)
    power = float(theirs.spec.max_power / ours.spec.max_power)
    for words, factor in (("stored", stored / their_bytes), ("read", read / their_reads)):
        yield _row("capital cost", f"bytes {words}", theirs.slug, claimed[_CAPITAL], price * factor)
        yield _row("power", f"bytes {words}", theirs.slug, claimed[_POWER], power * factor)


def _of_tokens(
    catalog: Catalog, question: Question, systems: tuple[Entry[System], Entry[System]]
) -> Iterator[dict[str, Any]]:
    claimed = _claimed(catalog)
    for workload, touched in WORKLOADS:
        asked = dataclasses.replace(
            question, workload=workload, model=_touching(catalog, question, workload, touched)
        )
        served = [_served(catalog, dataclasses.replace(asked, system=system)) for system in systems]
        words = workload if touched == 1 else f"{workload}, {touched:.0%} touched"
        if served[0] is None or served[1] is None:
            continue
        ours, theirs = served[0], served[1]
        for claim, which, factor in (
            ("capital cost", _CAPITAL, theirs.usd / ours.usd),
            ("power", _POWER, theirs.watts / ours.watts),
        ):
            row = _row(claim, words, systems[1].slug, claimed[which], factor)
            yield row | {
                "usd_per_mtok": ours.usd_per_mtok,
                "reference_usd_per_mtok": theirs.usd_per_mtok,
            }


def _touching(catalog: Catalog, question: Question, workload: str, touched: float) -> Any:
    """The question's model, its attention reading only a share of a full context of the workload."""
    entry = model_entry(catalog, question.model)
    if touched == 1:
        return entry
    shape = find(catalog, "workloads", workload).spec
    read = strong_float(touched * (shape.isl + shape.osl))
    return dataclasses.replace(entry, spec=eqx.tree_at(lambda m: m.sparse_topk, entry.spec, read))


def _served(catalog: Catalog, question: Question) -> _Served | None:
    """Per output token a second at the cheapest point; None where the question has no answer."""
    setup: Setup = set_up(catalog, question)
    try:
        choice = choose(setup)
    except InfeasibleError:
        return None
    found, system = choice.evaluation, setup.system.spec
    per_rate = float(found.carried / found.point.output_rate)
    return _Served(
        usd=float(system.price / system.count) * per_rate,
        watts=float(found.inlet.total * setup.site.spec.pue) * per_rate,
        usd_per_mtok=float(found.unit.blended) * MILLION,
    )
