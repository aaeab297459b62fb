"""Maps of the break-even price over two quantities at a time, every cell a search of its own."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx

from clustermodel import __version__
from clustermodel.catalog import Catalog, ConfigError, Entry, InfeasibleError, did_you_mean
from clustermodel.chain.choose import choose
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.numbers import with_price, with_system
from clustermodel.chain.question import Question, named
from clustermodel.chain.setup import Setup, set_up
from clustermodel.design.breakeven import (
    candidate_setup,
    matching_price,
    price_per_token,
    refuse_unlike_prices,
)
from clustermodel.design.tiers import main_tier
from clustermodel.specs import Model, Terms, strong_float
from clustermodel.units import MILLION

Changed = Callable[[Setup, float], Setup]


class Axis(NamedTuple):
    """A quantity of a map: how a question changes with it, and where it is looked at."""

    unit: str
    changed: Changed
    shared: bool  # it belongs to the workload, so the reference sees it too
    factors: Sequence[float]  # times the value that `start` gives
    start: Callable[[Setup], float]


def _with_memory(setup: Setup, capacity: float) -> Setup:
    """Another size of the memory where running data live; the price is what is asked for, so it does not follow."""
    spec = setup.system.spec
    resized = spec.accelerator.memory.capacity.at[main_tier(spec)].set(capacity / spec.count)
    return with_system(setup, eqx.tree_at(lambda s: s.accelerator.memory.capacity, spec, resized))


def _memory(setup: Setup) -> float:
    spec = setup.system.spec
    return float(spec.accelerator.memory.capacity[main_tier(spec)] * spec.count)


def _with_bandwidth(setup: Setup, bandwidth: float) -> Setup:
    spec = setup.system.spec
    nearest = spec.accelerator.memory.bandwidth.at[0].set(bandwidth / spec.count)
    return with_system(setup, eqx.tree_at(lambda s: s.accelerator.memory.bandwidth, spec, nearest))


def _with_touched(setup: Setup, share: float) -> Setup:
    """Sparse attention that reads `share` of a full context."""
    read = strong_float(share * (setup.isl + setup.osl))
    model: Entry[Model] = setup.model
    sparse = dataclasses.replace(model, spec=eqx.tree_at(lambda m: m.sparse_topk, model.spec, read))
    return dataclasses.replace(setup, model=sparse)


def _with_context(setup: Setup, tokens: float) -> Setup:
    return dataclasses.replace(setup, question=dataclasses.replace(setup.question, isl=tokens))


def _with_utilisation(setup: Setup, share: float) -> Setup:
    terms: Entry[Terms] = setup.terms
    used = eqx.tree_at(lambda t: t.utilisation, terms.spec, strong_float(share))
    money = eqx.tree_at(lambda m: m.terms, setup.money, used)
    return dataclasses.replace(setup, terms=dataclasses.replace(terms, spec=used), money=money)


AXES: dict[str, Axis] = {
    "bandwidth": Axis(
        "B/s",
        _with_bandwidth,
        False,
        (0.5, 1, 2, 4, 8, 12),
        lambda s: float(s.system.spec.accelerator.hbm_bandwidth * s.system.spec.count),
    ),
    "touched": Axis("", _with_touched, True, (1.0, 0.3, 0.1, 0.03, 0.01), lambda s: 1.0),
    "memory": Axis("B", _with_memory, False, (0.25, 0.5, 1, 2, 4), _memory),
    "context": Axis("token", _with_context, True, (1 / 16, 1 / 4, 1 / 2, 1), lambda s: s.isl),
    "price": Axis("USD", with_price, False, (0.25, 0.5, 1, 2, 4), lambda s: float(s.system.spec.price)),
    "utilisation": Axis("", _with_utilisation, False, (0.2, 0.4, 0.6, 0.8, 1.0), lambda s: 1.0),
}
"""What a map may run over; the second word of a map runs down, and it alone may be shared."""

MAPS = ("bandwidth-touched", "memory-context", "price-utilisation")


def breakeven_map(
    catalog: Catalog, question: Question, candidate: str, reference: str, over: str = MAPS[0]
) -> dict[str, Any]:
    """The price at which a candidate matches a reference, over a grid of two quantities.

    Layout and requests in flight of both are the best in every cell, as `breakeven` and `compare` find them. In a
    cell both see what belongs to the workload (`touched`, `context`); what belongs to a system is the
    candidate's alone. A cell that no price above 0 matches, or that does not fit, is null. In `price-utilisation`
    the price is given and a cell holds the ratio of the candidate's cost to the reference's.

    Raises:
        ConfigError: a name or an option is wrong.
        InfeasibleError: no cell has an answer.
    """
    if over not in MAPS:
        raise ConfigError(f"--over {over!r}: write one of {', '.join(MAPS)}{did_you_mean(over, MAPS)}")
    refuse_unlike_prices(question)
    name_x, name_y = over.split("-")
    axes = AXES[name_x], AXES[name_y]
    asked = dataclasses.replace(question, system=candidate)
    ours = set_up(catalog, asked) if over == MAPS[2] else candidate_setup(catalog, asked)
    theirs = set_up(catalog, dataclasses.replace(question, system=reference))
    answer = "cost_ratio" if over == MAPS[2] else "price_usd"
    cells = [
        {name_x: cell.x, name_y: cell.y, answer: cell.found, "reference_usd_per_mtok": cell.usd_per_mtok}
        for cell in _cells(ours, theirs, axes, _ratio if over == MAPS[2] else _price)
    ]
    return {
        "kind": "design_map",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "candidate": named(candidate),
            "reference": named(reference),
            "model": named(question.model),
            "over": over,
        },
        "units": {name_x: axes[0].unit, name_y: axes[1].unit},
        "cells": cells,
    }


class _Cell(NamedTuple):
    x: float
    y: float
    found: float | None
    usd_per_mtok: float | None  # of the reference


Found = Callable[[Setup, float], float]


def _cost(reference: Setup) -> float:
    return price_per_token(choose(reference))


def _price(candidate: Setup, target: float) -> float:
    return matching_price(candidate, target)[0]


def _ratio(candidate: Setup, target: float) -> float:
    return _cost(candidate) / target


def _cells(candidate: Setup, reference: Setup, axes: tuple[Axis, Axis], found: Found) -> list[_Cell]:
    """Every cell, row by row; `InfeasibleError` with the first reason where none has an answer."""
    across, down = axes
    cells, reasons = [], []
    for y in _values(down, candidate):
        ours = down.changed(candidate, y)
        target = _tried(_cost, reasons, down.changed(reference, y) if down.shared else reference)
        for x in _values(across, candidate):
            value = None if target is None else _tried(found, reasons, across.changed(ours, x), target)
            cells.append(_Cell(x, y, value, None if target is None else target * MILLION))
    if all(cell.found is None for cell in cells):
        raise InfeasibleError(f"no cell of the map has an answer; in the first, {reasons[0]}")
    return cells


def _values(axis: Axis, setup: Setup) -> list[float]:
    return [factor * axis.start(setup) for factor in axis.factors]


def _tried(answer: Callable[..., float], reasons: list[str], *asked: Any) -> float | None:
    """An answer, or None and the reason why there is none."""
    try:
        return answer(*asked)
    except InfeasibleError as error:
        reasons.append(str(error))
        return None
