"""At what purchase price a candidate system costs as much per token as a reference system."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import numpy as np
from numpy.typing import NDArray

from clustermodel import __version__
from clustermodel.assembly.layouts import AXES, candidates
from clustermodel.catalog import Catalog, Entry, InfeasibleError
from clustermodel.chain.choose import CLOSER, Choice, choose
from clustermodel.chain.cost import SCHEMA, answer
from clustermodel.chain.numbers import Number, system_numbers, with_price, with_system
from clustermodel.chain.question import Question, named
from clustermodel.chain.search import Grid, closer, product, sweep
from clustermodel.chain.setup import Setup, find, limits, set_up
from clustermodel.design.asked import refuse
from clustermodel.economics.levelized import memory_prices
from clustermodel.specs import System, strong_float
from clustermodel.units import MILLION

_ROUNDING = 1e-12
_TOKEN_PRICE = 1.0  # USD; a price to start from where none is known: only the slope matters


def breakeven(
    catalog: Catalog, question: Question, candidate: str | Entry[System], reference: str | Entry[System]
) -> dict[str, Any]:
    """The purchase price at which `candidate` matches the cheapest `reference` point of the same question.

    Each operating point costs c + k P per token, so the price is exact. Low and high add up, as squares, what
    the ranges of the candidate's own uncertain numbers do to it at that point.

    Raises:
        InfeasibleError: one of the two has no answer, or no price above 0 matches.
    """
    refuse_unlike_prices(question)
    target_setup = set_up(catalog, dataclasses.replace(question, system=reference))
    target = choose(target_setup)
    setup = candidate_setup(catalog, dataclasses.replace(question, system=candidate))
    price, choice = matching_price(setup, price_per_token(target))
    low, high = _range(setup, choice, price, price_per_token(target))
    ours = answer(catalog, with_price(setup, price), choice)
    return {
        "kind": "design_breakeven",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "candidate": named(candidate),
            "reference": named(reference),
            "question": _asked(question),
        },
        "price_usd": {"value": price, "low": low, "high": high},
        "catalogue_price_usd": float(setup.system.spec.price) if _priced(setup) else None,
        "usd_per_mtok": price_per_token(target) * MILLION,
        "binding_limit": ours["binding_limit"],
        "candidate": ours,
        "reference": answer(catalog, target_setup, target),
    }


def refuse_unlike_prices(question: Question) -> None:
    """A break-even price is levelized, and one for all tokens."""
    refuse(
        question,
        dated="a break-even price is levelized",
        shared="a break-even price is the same under every allocation, for both systems serve the same tokens",
    )


def _asked(question: Question) -> dict[str, Any]:
    values = {f.name: getattr(question, f.name) for f in dataclasses.fields(question) if f.name != "system"}
    return {name: value.slug if isinstance(value, Entry) else value for name, value in values.items()}


def candidate_setup(catalog: Catalog, question: Question) -> Setup:
    """The candidate's setup; a price that nobody has published is what is asked for, so none is needed."""
    entry = find(catalog, "systems", question.system)
    if float(entry.spec.price) > 0:
        return set_up(catalog, question)
    priced = eqx.tree_at(lambda s: s.price, entry.spec, strong_float(_TOKEN_PRICE))
    return set_up(catalog, dataclasses.replace(question, system=dataclasses.replace(entry, spec=priced)))


def _priced(setup: Setup) -> bool:
    return float(setup.system.spec.price) != _TOKEN_PRICE


def price_per_token(choice: Choice) -> float:
    """What a token of any class costs at a chosen point, idle systems included (USD)."""
    return float(choice.evaluation.unit.blended) * choice.idle


def matching_price(setup: Setup, target: float) -> tuple[float, Choice]:
    """The price of the setup's system at which its cheapest token costs `target` (USD), and that point.

    At P every row of the search costs c + k P, so P is the largest (target - c) / k of the rows that meet the
    objectives; the rows around the best are then searched in the same way.
    """
    shapes = candidates(
        setup.system.spec, setup.model.spec, setup.question.n_accelerators, setup.question.fixed_axes
    )
    grid, dearer = (product(with_price(setup, price), shapes) for price in _two_prices(setup))
    prices, allowed = _matching(setup, grid, dearer, target)
    best = int(np.argmax(np.where(allowed, prices, -np.inf)))
    if not allowed[best] or prices[best] <= 0:
        choose(setup)  # which says why where nothing is feasible
        raise InfeasibleError(_never(setup, _for_nothing(setup, grid, dearer)[best], target))
    for _ in range(CLOSER if setup.question.concurrency is None else 0):
        pairs = closer(grid, -prices, allowed)
        grid, dearer = (sweep(with_price(setup, price), *pairs) for price in _two_prices(setup))
        prices, allowed = _matching(setup, grid, dearer, target)
        best = int(np.argmax(np.where(allowed, prices, -np.inf)))
    price = float(prices[best])
    asked = dataclasses.replace(
        setup.question,
        concurrency=float(grid.concurrency[best]),
        **dict(zip(AXES, grid.shapes[best], strict=True)),
    )
    return price, choose(dataclasses.replace(with_price(setup, price), question=asked))


def _two_prices(setup: Setup) -> tuple[float, float]:
    """Two prices of the system between and beyond which the cost of a token is a line."""
    listed = max(float(setup.system.spec.price), _memory_inside(setup))
    return listed, 2 * listed


def _memory_inside(setup: Setup) -> float:
    return float(np.sum(np.asarray(memory_prices(setup.system.spec))))


def _below_its_memory(setup: Setup, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices on that line, on the steeper one below the memory inside where memory got cheaper."""
    inside, factor = _memory_inside(setup), float(setup.terms.spec.memory_factor)
    return np.where((factor < 1) & (prices < inside), inside + (prices - inside) / factor, prices)


def _matching(
    setup: Setup, grid: Grid, dearer: Grid, target: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Price at which each row costs `target`, and which rows fit and meet the objectives."""
    listed, double = _two_prices(setup)
    rise = dearer.price - grid.price
    if not np.any(rise > _ROUNDING * grid.price):
        raise InfeasibleError(
            f"no price makes {setup.system.name} match: under these terms its tokens cost the same at every price; "
            "lower price.residual_fraction, or raise price.wacc"
        )
    slope = rise / (double - listed)
    return _below_its_memory(setup, listed + (target - grid.price) / slope), grid.meets(*limits(setup))


def _for_nothing(setup: Setup, grid: Grid, dearer: Grid) -> NDArray[np.float64]:
    """What a token of each row costs where the system is free: the line at a price of 0 (USD).

    Where memory got cheaper the system is free from (1 - g) of its memory down on that line; where it got dearer
    that part is owed on top of any price.
    """
    listed, factor = _two_prices(setup)[0], float(setup.terms.spec.memory_factor)
    free = max(1 - factor, 0.0) * _memory_inside(setup)
    return grid.price - (dearer.price - grid.price) * (listed - free) / listed


def _never(setup: Setup, free: float, target: float) -> str:
    dearer = " and what memory got dearer by" if float(setup.terms.spec.memory_factor) > 1 else ""
    return (
        f"no price above 0 makes {setup.system.name} match: given away, its tokens still cost {MILLION * free:.3g} "
        f"USD per million, for hall and energy{dearer}, and the reference's {MILLION * target:.3g} in all; a faster or "
        "less power-hungry candidate, a workload that reads less of what it stores, or a slower --max-tpot-ms might"
    )


def _range(setup: Setup, choice: Choice, price: float, target: float) -> tuple[float, float]:
    below, above = 0.0, 0.0
    for number in system_numbers(setup.system):
        moves = [_moved(setup, choice, number, value, target) - price for value in _ends(number)]
        finite = [move for move in moves if math.isfinite(move)]
        above += max([0.0, *finite]) ** 2
        below += min([0.0, *finite]) ** 2
    return max(price - math.sqrt(below), 0.0), price + math.sqrt(above)


def _ends(number: Number) -> list[float]:
    low, high = number.range
    uncertain = low < high and not number.path.endswith("price") and number.path != "count"
    return [low, high] if uncertain else []


def _moved(setup: Setup, choice: Choice, number: Number, value: float, target: float) -> float:
    """The matching price at the same operating point with one number changed; -inf where it fails."""
    changed = with_system(setup, number.set(setup.system.spec, value))
    at = np.asarray([choice.fullest])
    grids = [sweep(with_price(changed, price), [choice.shape], at) for price in _two_prices(changed)]
    (found,), (allowed,) = _matching(changed, grids[0], grids[1], target)
    return float(found) if allowed else -math.inf
