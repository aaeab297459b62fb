"""What the ranges of the inputs do to the price of a token, beside the model's own error, and which one drives it.

Each number that was written with a range is moved to both its ends, everything else and the chosen deployment
left as they are. Between them the logarithm of the price is taken as linear in the number, and the effects of
several numbers as additive; triangular draws of all numbers, and of the model's error, then give the range.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel.chain.uncertain_numbers import Uncertain
from clustermodel.economics.montecarlo import triangular
from clustermodel.kept import Kept

DRAWS = 4096
DRIVERS = 5
"""Inputs named as drivers of a price."""
MODEL_ERROR = "error of the model"
_LEVELS = (0.1, 0.9)
_NORMAL_P90 = 1.2815515655446004  # 90 % quantile of a standard normal

Floats = NDArray[np.float64]
S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Asked(Generic[S]):
    """A question that was answered, to be asked again with other numbers."""

    setup: S
    numbers: Sequence[Uncertain[S]]
    priced: Callable[[Sequence[S]], Floats]
    """USD per token of the chosen deployment in each setup, NaN where it does not fit."""


def price_range(asked: Asked[S], price: float | None, model_range: Sequence[float] | None) -> dict[str, Any]:
    """Where 80 % of prices lie, from the model's error, the inputs' ranges and both; and what drives them.

    Args:
        asked: the question, its uncertain numbers, and what the deployment that answers it would cost.
        price: USD/Mtok of any class; None where the allocation leaves it without one.
        model_range: where 80 % of measurements would lie (USD/Mtok).
    """
    if price is None or model_range is None:
        return {"price_range": None, "drivers": []}
    numbers = asked.numbers
    ends = _at_ends(asked)
    inputs = _log_effects(numbers, np.nan_to_num(ends))
    effects = np.column_stack([inputs, _log_errors(model_range[0] / price, model_range[1] / price)])
    between = lambda logs: dict(zip(("p10", "p90"), price * np.exp(np.quantile(logs, _LEVELS)), strict=True))
    variance = np.var(effects, axis=0)
    spread = variance / (np.sum(variance) or 1.0)  # where nothing moves the price, nothing drives it
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


def _unfit(numbers: Sequence[Uncertain[Any]], ends: Floats) -> Iterator[dict[str, Any]]:
    """Ends at which the deployment would not fit; the range leaves them out, since another would be taken."""
    for number, fitted in zip(numbers, np.isfinite(ends), strict=True):
        for value, fits in zip((number.written.low, number.written.high), fitted, strict=True):
            if not fits:
                yield {"input": number.name, "value": value}


def _what_moves(numbers: Sequence[Uncertain[Any]], ends: Floats, index: int) -> dict[str, Any]:
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


def _at_ends(asked: Asked[S]) -> Floats:
    """Logarithm of the price at both ends of every number over the price as it is; NaN where it would not fit."""
    moved = [number.asked_with(end) for number in asked.numbers for end in (number.low, number.high)]
    base, *ends = np.log(asked.priced([asked.setup, *moved]))
    return np.array(ends).reshape(-1, 2) - base


def _log_effects(numbers: Sequence[Uncertain[Any]], ends: Floats) -> Floats:
    """Effect of each number on the log price in every draw, linear on both sides of its value."""
    uniforms = np.random.default_rng(0).random((DRAWS, len(numbers)))
    effects = np.zeros((DRAWS, len(numbers)))
    for i, each in enumerate(numbers):
        edges = [jnp.asarray(x) for x in (each.low, each.value, each.high)]
        drawn = np.asarray(_triangular(jnp.asarray(uniforms[:, i]), *edges))
        effects[:, i] = np.interp(drawn, *_knots(each, ends[i]))
    return effects


_triangular = Kept(jax.vmap(triangular, in_axes=(0, None, None, None)))


def _knots(number: Uncertain[Any], ends: Floats) -> tuple[list[float], list[float]]:
    places = {number.low: ends[0], number.high: ends[1], number.value: 0.0}
    return [*sorted(places)], [float(places[each]) for each in sorted(places)]


def _log_errors(low: float, high: float) -> Floats:
    """Draws of the log of measured over predicted: normal on both sides of 0, factors low and high its p10, p90."""
    normal = np.random.default_rng(1).standard_normal(DRAWS) / _NORMAL_P90
    return np.where(normal < 0, -np.log(low) * normal, np.log(high) * normal)
