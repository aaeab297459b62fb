"""A vendor's claims about a large-memory server, one by one: what each comes to, and under which workload it holds."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from clustermodel import __version__
from clustermodel.catalog import Catalog, ConfigError, Entry, InfeasibleError, quotes
from clustermodel.chain.choose import choose
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.question import Question, named, option
from clustermodel.chain.setup import Setup, find, model_entry, set_up
from clustermodel.design.asked import mistakes
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
    the question. A claim holds where the factor reaches the claimed one. `left_out` says which workloads have no rows,
    and why.
    """
    _refuse_what_claims_are_not_about(question)
    ours, theirs = (find(catalog, "systems", name) for name in (candidate, reference))
    of_tokens, left_out = _of_tokens(catalog, question, (ours, theirs))
    return {
        "kind": "design_claims",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "candidate": named(candidate),
            "reference": named(reference),
            "model": named(question.model),
            "max_tpot_ms": question.max_tpot_ms,
            "workloads": [_words(*each) for each in WORKLOADS],
        },
        "claims": [*_of_bytes(catalog, ours, theirs), *of_tokens],
        "left_out": left_out,
    }


def _refuse_what_claims_are_not_about(question: Question) -> None:
    problems = mistakes(
        question,
        dated="claims about capital are about purchase prices",
        shared="claims are about all tokens together",
        busy="claims are about systems that are always busy",
    )
    lengths = {"workload": question.workload != Question.workload, "isl": question.isl, "osl": question.osl}
    if given := [option(name) for name, value in lengths.items() if value]:
        own = ", ".join(dict.fromkeys(name for name, _ in WORKLOADS))
        problems.append(
            f"{', '.join(given)}: claims are held against workloads of their own ({own}); leave it out, or ask "
            "`compare` about yours"
        )
    if problems:
        raise ConfigError("\n".join(problems))


def _words(workload: str, touched: float) -> str:
    return workload if touched == 1 else f"{workload}, {touched:.0%} touched"


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
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the workloads that both systems serve, and why the others have none."""
    rows, left_out = [], []
    for workload, touched in WORKLOADS:
        words = _words(workload, touched)
        if reason := _too_long(catalog, question, workload):
            left_out.append({"workload": words, "system": "any", "reason": reason})
            continue
        asked = dataclasses.replace(
            question, workload=workload, model=_touching(catalog, question, workload, touched)
        )
        served = [_served(catalog, dataclasses.replace(asked, system=system)) for system in systems]
        left_out += [
            {"workload": words, "system": system.slug, "reason": found}
            for system, found in zip(systems, served, strict=True)
            if isinstance(found, str)
        ]
        ours, theirs = served
        if not isinstance(ours, str) and not isinstance(theirs, str):
            rows += _of_served(catalog, (words, systems[1].slug), ours, theirs)
    return rows, left_out


def _of_served(
    catalog: Catalog, words: tuple[str, str], ours: _Served, theirs: _Served
) -> Iterator[dict[str, Any]]:
    claimed = _claimed(catalog)
    prices = {"usd_per_mtok": ours.usd_per_mtok, "reference_usd_per_mtok": theirs.usd_per_mtok}
    yield _row("capital cost", *words, claimed[_CAPITAL], theirs.usd / ours.usd) | prices
    yield _row("power", *words, claimed[_POWER], theirs.watts / ours.watts) | prices


def _too_long(catalog: Catalog, question: Question, workload: str) -> str | None:
    """Why a model cannot serve a workload on any system."""
    shape, model = find(catalog, "workloads", workload).spec, model_entry(catalog, question.model)
    tokens, context = float(shape.isl + shape.osl), float(model.spec.context)
    if tokens <= context:
        return None
    return f"a request is {tokens:,.0f} tokens long, the context of {model.name} {context:,.0f}"


def _touching(catalog: Catalog, question: Question, workload: str, touched: float) -> Any:
    """The question's model, its attention reading only a share of a full context of the workload."""
    entry = model_entry(catalog, question.model)
    if touched == 1:
        return entry
    shape = find(catalog, "workloads", workload).spec
    read = strong_float(touched * (shape.isl + shape.osl))
    return dataclasses.replace(entry, spec=eqx.tree_at(lambda m: m.sparse_topk, entry.spec, read))


def _served(catalog: Catalog, question: Question) -> _Served | str:
    """Per output token a second at the cheapest point; the reason where the question has no answer."""
    setup: Setup = set_up(catalog, question)
    try:
        choice = choose(setup)
    except InfeasibleError as error:
        return str(error)
    found, system = choice.evaluation, setup.system.spec
    per_rate = float(found.carried / found.point.output_rate)
    return _Served(
        usd=float(system.price / system.count) * per_rate,
        watts=float(found.inlet.total * setup.site.spec.pue) * per_rate,
        usd_per_mtok=float(found.unit.blended) * MILLION,
    )
