"""What the ranges of the inputs do to the price of a token, beside the model's own error, and which one drives it.

Each number that was written with a range is moved to both its ends, everything else and the chosen deployment
left as they are. Between them the logarithm of the price is taken as linear in the number, and the effects of
several numbers as additive; triangular draws of all numbers, and of the model's error, then give the range.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from clustermodel import specs
from clustermodel.catalog import Entry, Written
from clustermodel.chain.choose import Carried, Choice
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.numbers import Number, system_numbers, with_system
from clustermodel.chain.over_time import while_busy
from clustermodel.chain.search import Rows, evaluations, in_the_mean
from clustermodel.chain.setup import Setup
from clustermodel.chain.sizing import fleet_price
from clustermodel.economics.montecarlo import triangular
from clustermodel.kept import Kept
from clustermodel.physics.deployment import Layout

DRAWS = 4096
DRIVERS = 5
"""Inputs named as drivers of a price."""
MODEL_ERROR = "error of the model"
_LEVELS = (0.1, 0.9)
_NORMAL_P90 = 1.2815515655446004  # 90 % quantile of a standard normal

Floats = NDArray[np.float64]
_ENTRIES = ("model", "engine", "workload", "site", "terms")
_ASKED = {"draft_acceptance": "acceptance"}
"""Fields of entries that the question overrules under another name."""


@dataclasses.dataclass(frozen=True)
class Uncertain:
    """A number that may lie between `low` and `high`, in SI, and the question asked with it changed."""

    name: str
    low: float
    value: float
    high: float
    written: Written
    asked_with: Callable[[float], Setup]


def price_range(
    setup: Setup, choice: Choice, price: float | None, model_range: Sequence[float] | None
) -> dict[str, Any]:
    """Where 80 % of prices lie, from the model's error, the inputs' ranges and both; and what drives them.

    Args:
        setup: the question.
        choice: the deployment that answers it.
        price: USD/Mtok of any class; None where the allocation leaves it without one.
        model_range: where 80 % of measurements would lie (USD/Mtok).
    """
    if price is None or model_range is None:
        return {"price_range": None, "drivers": []}
    numbers = list(uncertain_numbers(setup))
    ends = _at_ends(setup, choice, numbers)
    inputs = _log_effects(numbers, np.nan_to_num(ends))
    effects = np.column_stack([inputs, _log_errors(model_range[0] / price, model_range[1] / price)])
    between = lambda logs: dict(zip(("p10", "p90"), price * np.exp(np.quantile(logs, _LEVELS)), strict=True))
    spread = np.var(effects, axis=0) / np.sum(np.var(effects, axis=0))
    strongest = np.argsort(-spread, kind="stable")[:DRIVERS]
    return {
        "price_range": {
            "usd_per_mtok_total": between(effects.sum(axis=1)),
            "from_inputs": between(inputs.sum(axis=1)),
            "from_model": between(effects[:, -1]),
            "does_not_fit_at": list(_unfit(numbers, ends)),
        },
        "drivers": [
            {**_what_moves(numbers, ends, int(i)), "share_of_variance": float(spread[i])}
            for i in strongest
            if spread[i] > 0
        ],
    }


def _unfit(numbers: list[Uncertain], ends: Floats) -> Iterator[dict[str, Any]]:
    """Ends at which the deployment would not fit; the range leaves them out, since another would be taken."""
    for number, fitted in zip(numbers, np.isfinite(ends), strict=True):
        for value, fits in zip((number.written.low, number.written.high), fitted, strict=True):
            if not fits:
                yield {"input": number.name, "value": value}


def _what_moves(numbers: list[Uncertain], ends: Floats, index: int) -> dict[str, Any]:
    if index == len(numbers):
        return {"input": MODEL_ERROR}
    number, (low, high) = numbers[index], np.exp(np.nan_to_num(ends[index]))
    return {
        "input": number.name,
        "low": number.written.low,
        "value": number.written.value,
        "high": number.written.high,
        "price_factor_at_low": float(low),
        "price_factor_at_high": float(high),
    }


def uncertain_numbers(setup: Setup) -> Iterator[Uncertain]:
    """Every number behind an answer that was written with a range; what the question itself says is certain."""
    for number in system_numbers(setup.system):
        if setup.quote is None or number.path != "price":
            yield from _of_system(setup, number)
    for part in _ENTRIES:
        entry: Entry[Any] = getattr(setup, part)
        for path, written in entry.provenance.items():
            asked = getattr(setup.question, _ASKED.get(path, path), None)
            if path in specs.fields(type(entry.spec)) and asked is None:
                yield from _of_entry(setup, part, path, written)
    if setup.quote is not None:
        low, high = setup.quote.range_si
        at = lambda price: dataclasses.replace(setup, money=_with(setup.money, "all_in_price", price))
        name = f"prices/{setup.quote.basis}"
        yield from _ranged(name, (low, setup.quote.si, high), setup.quote.number, at)


def _of_system(setup: Setup, number: Number) -> Iterator[Uncertain]:
    low, high = number.range
    value = float(number.of(setup.system.spec))
    at = lambda changed: with_system(setup, number.set(setup.system.spec, _leaf(changed)))
    yield from _ranged(f"systems/{setup.system.slug}.{number.path}", (low, value, high), number.written, at)


def _of_entry(setup: Setup, part: str, path: str, written: Written) -> Iterator[Uncertain]:
    entry: Entry[Any] = getattr(setup, part)
    low, high = written.range_si(specs.fields(type(entry.spec))[path].metadata["unit"])
    value = float(getattr(entry.spec, path))

    def at(changed: float) -> Setup:
        moved = dataclasses.replace(entry, spec=_with(entry.spec, path, changed))
        money = setup.money
        if part in ("site", "terms"):
            money = eqx.tree_at(lambda m: getattr(m, part), money, moved.spec)
        if path == "reuse_interval":
            money = _with(money, path, changed)
        return dataclasses.replace(setup, **{part: moved}, money=money)

    yield from _ranged(f"{entry.kind}/{entry.slug}.{path}", (low, value, high), written, at)


def _ranged(
    name: str, ends: tuple[float, float, float], written: Written, at: Callable[[float], Setup]
) -> Iterator[Uncertain]:
    low, value, high = ends
    if low < high:
        yield Uncertain(name, low, value, high, written, at)


def _with(spec: Any, field: str, value: float) -> Any:
    return eqx.tree_at(lambda s: getattr(s, field), spec, _leaf(value))


def _leaf(value: float) -> Array:
    """As a spec holds it: of a type of its own, or every question would be compiled anew."""
    return jnp.asarray(value, dtype=float)


def _at_ends(setup: Setup, choice: Choice, numbers: Sequence[Uncertain]) -> Floats:
    """Logarithm of the price at both ends of every number over the price as it is; NaN where it would not fit."""
    moved = [number.asked_with(end) for number in numbers for end in (number.low, number.high)]
    base, *ends = _log_prices([setup, *moved], choice)
    return np.array(ends).reshape(-1, 2) - base


def _log_prices(setups: Sequence[Setup], choice: Choice) -> Floats:
    """Logarithm of the price of a token at the chosen layout and load; NaN where it does not fit."""
    if choice.carried is None:
        found = evaluations(*_rows(setups, choice, choice.concurrency))
        price = np.asarray(found.unit.blended)
    else:
        found, price = _under_arrivals(setups, choice, choice.carried)
    served = (np.asarray(found.point.memory.fits) > 0) & np.isfinite(price)
    return np.log(np.where(served, price, np.nan))


def _under_arrivals(setups: Sequence[Setup], choice: Choice, carried: Carried) -> tuple[Evaluation, Floats]:
    """Full replicas, and the price of a token from as many whole systems of them as carry the rate."""
    full = evaluations(*_rows(setups, choice, carried.fullest))
    usual = jax.tree.map(lambda leaf: np.full(len(setups), leaf), carried.arrivals.usual)
    mean = in_the_mean(_rows(setups, choice, float(while_busy(carried.arrivals.usual.in_flight))), usual)
    rates = np.asarray(full.point.request_rate)
    prices = [
        fleet_price(each, [choice.shape], rates[[i]], jax.tree.map(lambda leaf, i=i: leaf[[i]], mean.hour))[0]
        for i, each in enumerate(setups)
    ]
    return full, np.asarray(prices)


def _rows(setups: Sequence[Setup], choice: Choice, concurrency: float) -> Rows:
    layout, n = Layout(*map(_leaf, choice.shape)), _leaf(concurrency)
    return specs.gather([(each.deployment(layout), each.load(n), each.money) for each in setups])


def _log_effects(numbers: list[Uncertain], ends: Floats) -> Floats:
    """Effect of each number on the log price in every draw, linear on both sides of its value."""
    uniforms = np.random.default_rng(0).random((DRAWS, len(numbers)))
    effects = np.zeros((DRAWS, len(numbers)))
    for i, each in enumerate(numbers):
        edges = [jnp.asarray(x) for x in (each.low, each.value, each.high)]
        drawn = np.asarray(_triangular(jnp.asarray(uniforms[:, i]), *edges))
        effects[:, i] = np.interp(drawn, *_knots(each, ends[i]))
    return effects


_triangular = Kept(jax.vmap(triangular, in_axes=(0, None, None, None)))


def _knots(number: Uncertain, ends: Floats) -> tuple[list[float], list[float]]:
    places = {number.low: ends[0], number.high: ends[1], number.value: 0.0}
    return [*sorted(places)], [float(places[each]) for each in sorted(places)]


def _log_errors(low: float, high: float) -> Floats:
    """Draws of the log of measured over predicted: normal on both sides of 0, factors low and high its p10, p90."""
    normal = np.random.default_rng(1).standard_normal(DRAWS) / _NORMAL_P90
    return np.where(normal < 0, -np.log(low) * normal, np.log(high) * normal)
