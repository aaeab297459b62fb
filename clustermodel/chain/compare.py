"""`compare` and `frontier`: the same question put to several systems, and to several speeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clustermodel import __version__
from clustermodel.assembly.layouts import candidates
from clustermodel.catalog import Catalog, ConfigError, InfeasibleError
from clustermodel.chain import pools
from clustermodel.chain.cost import SCHEMA, cost
from clustermodel.chain.infeasible import does_not_fit, objective_out_of_reach
from clustermodel.chain.provenance import asked_fields
from clustermodel.chain.question import Question, named
from clustermodel.chain.search import Grid, lower_envelope, product
from clustermodel.chain.setup import MILLISECONDS, Setup, find, limits, price, set_up
from clustermodel.chain.watts import WATTS_PER_MW, planned_power
from clustermodel.units import MILLION


def compare(catalog: Catalog, question: Question, systems: Sequence[Any]) -> dict[str, Any]:
    """Cost answers of several systems, cheapest first; systems without an answer last, with the reason.

    Raises:
        ConfigError: a name or option is wrong, or a system has no price on the asked basis.
        InfeasibleError: no system has an answer.
    """
    asked = _of_each(catalog, question, systems)
    answers, reasons = [], []
    for each in asked:
        try:
            answers.append(cost(catalog, each))
        except InfeasibleError as error:
            reasons.append({"system": find(catalog, "systems", each.system).slug, "reason": str(error)})
    if not answers:
        raise InfeasibleError("\n".join(f"{each['system']}: {each['reason']}" for each in reasons))
    answers.sort(key=lambda each: each["usd_per_mtok_total"] or np.inf)
    return _object("compare", asked) | {"points": [*answers, *reasons]}


def _object(kind: str, asked: Sequence[Question]) -> dict[str, Any]:
    inputs = {**asked_fields(asked[0]), "systems": [named(each.system) for each in asked]}
    return {"kind": kind, "schema": SCHEMA, "version": __version__, "inputs": inputs}


def _of_each(catalog: Catalog, question: Question, systems: Sequence[Any]) -> list[Question]:
    """The question put to each system; refused unless every system has a price on its basis."""
    asked, lacking = [question.put_to(each) for each in systems], []
    for each in asked:
        entry = find(catalog, "systems", each.system)
        try:
            price(catalog, entry, each)
        except ConfigError:
            lacking.append(entry.slug)
    if lacking:
        raise ConfigError(
            f"--cost-basis {question.cost_basis}: no such price for {', '.join(lacking)}; "
            "a comparison uses one basis for all: leave them out, or use bottom_up"
        )
    return asked


def frontier(catalog: Catalog, question: Question, systems: Sequence[Any]) -> dict[str, Any]:
    """What each system charges and yields at every speed a user can have: its non-dominated points.

    A point is kept if no other point of the system is both faster for the user and cheaper per token.
    """
    if question.allocation in ("input_only", "output_only"):
        raise ConfigError(
            f"--allocation {question.allocation}: a frontier shows the price of all tokens together, which this "
            "allocation leaves open; leave it out, or ask `cost` or `compare`"
        )
    asked = _of_each(catalog, question, systems)
    curve = pools.curve if question.disaggregated else _curve
    points, reasons = [], []
    for each in asked:
        try:
            points += curve(catalog, each)
        except InfeasibleError as error:
            reasons.append({"system": find(catalog, "systems", each.system).slug, "reason": str(error)})
    if not points:
        raise InfeasibleError("\n".join(f"{each['system']}: {each['reason']}" for each in reasons))
    return _object("frontier", asked) | {"points": [*points, *reasons]}


def _curve(catalog: Catalog, question: Question) -> list[dict[str, Any]]:
    """The non-dominated points of one system, fastest first."""
    setup = set_up(catalog, question)
    shapes = candidates(setup.system.spec, setup.model.spec, question.n_accelerators, question.fixed_axes)
    grid = product(setup, shapes)
    kept = lower_envelope(grid.price, grid.tpot, grid.meets(*limits(setup)))
    if not len(kept):
        fits = grid.fits.any()
        raise InfeasibleError(objective_out_of_reach(setup, grid) if fits else does_not_fit(setup, grid))
    return [_point(setup, grid, int(index)) for index in kept]


def _point(setup: Setup, grid: Grid, index: int) -> dict[str, Any]:
    tpot, shape = float(grid.tpot[index]), grid.shapes[index]
    rate = float(grid.evaluations.point.output_rate[index])
    found = grid.row(index)
    carried, inlet = float(found.carried), float(found.inlet.total)
    return {
        "system": setup.system.slug,
        "interactivity_tok_s_user": 1 / tpot,
        "usd_per_mtok_total": float(grid.price[index]) * MILLION,
        "output_tok_s_per_accelerator": rate / (shape[0] * shape[1] * shape[2]),
        "tok_s_per_mw": WATTS_PER_MW * rate / carried / planned_power(setup, inlet),
        "ttft_ms": float(grid.ttft[index]) * MILLISECONDS,
        "tpot_ms": tpot * MILLISECONDS,
        "concurrency": float(grid.in_flight[index]),
        "layout": dict(zip(("tp", "pp", "dp", "ep"), shape, strict=True)),
    }
