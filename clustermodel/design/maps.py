"""Maps of the break-even price over two quantities at a time, every cell in one compiled call."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel import __version__
from clustermodel._types import Scalar
from clustermodel.catalog import Catalog, ConfigError, did_you_mean
from clustermodel.chain.choose import Choice, choose
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.question import Question, named
from clustermodel.chain.search import concurrencies
from clustermodel.chain.setup import Setup, limits, set_up
from clustermodel.design.sensitivity import Knobs, chain_of, knobs
from clustermodel.units import MILLION

_FAR = 1e12  # s; an objective that nobody has stated


class Axis(NamedTuple):
    """A quantity of a map: what it is for the candidate, what for the reference too, and where it is looked at."""

    unit: str
    of_candidate: Callable[[Knobs, Scalar], Knobs]
    of_both: Callable[[Knobs, Scalar], Knobs]
    factors: Sequence[float]  # times the catalogue's value, or the value itself where `absolute`
    start: Callable[[Knobs], Scalar]


def _same(k: Knobs, _: Scalar) -> Knobs:
    return k


def _with_memory(k: Knobs, capacity: Scalar) -> Knobs:
    """Another size of the largest memory; the price is what is asked for, so it does not follow."""
    held = k.system.accelerator.memory.capacity
    resized = held.at[jnp.argmax(held)].set(capacity / k.system.count)
    return eqx.tree_at(lambda q: q.system.accelerator.memory.capacity, k, resized)


def _with_bandwidth(k: Knobs, bandwidth: Scalar) -> Knobs:
    nearest = k.system.accelerator.memory.bandwidth.at[0].set(bandwidth / k.system.count)
    return eqx.tree_at(lambda q: q.system.accelerator.memory.bandwidth, k, nearest)


def _with_touched(k: Knobs, share: Scalar) -> Knobs:
    """Sparse attention that reads `share` of a full context."""
    return eqx.tree_at(lambda q: q.model.sparse_topk, k, share * (k.workload.isl + k.workload.osl))


AXES: dict[str, Axis] = {
    "bandwidth": Axis(
        "B/s",
        _with_bandwidth,
        _same,
        (0.5, 1, 2, 4, 8, 12),
        lambda k: k.system.accelerator.hbm_bandwidth * k.system.count,
    ),
    "touched": Axis("", _same, _with_touched, (1.0, 0.3, 0.1, 0.03, 0.01), lambda k: jnp.ones(())),
    "memory": Axis(
        "B",
        _with_memory,
        _same,
        (0.25, 0.5, 1, 2, 4),
        lambda k: jnp.max(k.system.accelerator.memory.capacity) * k.system.count,
    ),
    "context": Axis(
        "token",
        _same,
        lambda k, tokens: eqx.tree_at(lambda q: q.workload.isl, k, tokens),
        (1 / 16, 1 / 4, 1 / 2, 1),
        lambda k: k.workload.isl,
    ),
    "price": Axis(
        "USD",
        lambda k, price: eqx.tree_at(lambda q: q.system.price, k, price),
        _same,
        (0.25, 0.5, 1, 2, 4),
        lambda k: k.system.price,
    ),
    "utilisation": Axis(
        "",
        lambda k, share: eqx.tree_at(lambda q: q.terms.utilisation, k, share),
        _same,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        lambda k: jnp.ones(()),
    ),
}
"""What a map may run over; the second word of a map runs down."""

MAPS = ("bandwidth-touched", "memory-context", "price-utilisation")


class _Side(NamedTuple):
    setup: Setup
    choice: Choice
    at: Knobs


def breakeven_map(
    catalog: Catalog, question: Question, candidate: str, reference: str, over: str = MAPS[0]
) -> dict[str, Any]:
    """The price at which a candidate matches a reference, over a grid of two quantities.

    Both keep the layout of their cheapest point; the number of requests in flight is the best in every cell. In a
    cell both see what belongs to the workload (`touched`, `context`); what belongs to a system is the
    candidate's alone. A cell that no price above 0 matches, or that does not fit, is null. In `price-utilisation`
    the price is given and a cell holds the ratio of the candidate's cost to the reference's.
    """
    if over not in MAPS:
        raise ConfigError(f"--over {over!r}: write one of {', '.join(MAPS)}{did_you_mean(over, MAPS)}")
    if question.cost_basis != "bottom_up":
        raise ConfigError(
            f"--cost-basis {question.cost_basis}: a break-even price is levelized; use bottom_up"
        )
    sides = [_side(catalog, dataclasses.replace(question, system=name)) for name in (candidate, reference)]
    first, second = (AXES[name] for name in over.split("-"))
    xs, ys = (_values(axis, sides[0].at) for axis in (first, second))
    grid = [each.ravel() for each in np.meshgrid(xs, ys)]
    prices = _cells(sides[0], sides[1], (first, second), grid)
    ratio = over == MAPS[2]
    name_x, name_y = over.split("-")
    return {
        "kind": "design_map",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {"candidate": named(candidate), "reference": named(reference), "over": over},
        "units": {name_x: first.unit, name_y: second.unit},
        "cells": [
            {name_x: float(x), name_y: float(y), ("cost_ratio" if ratio else "price_usd"): _shown(p, ratio)}
            | {"reference_usd_per_mtok": float(t) * MILLION if np.isfinite(t) else None}
            for x, y, p, t in zip(*grid, *prices[int(ratio)], strict=True)
        ],
    }


def _shown(value: float, ratio: bool) -> float | None:
    return float(value) if np.isfinite(value) and (ratio or value > 0) else None


def _side(catalog: Catalog, question: Question) -> _Side:
    setup = set_up(catalog, question)
    return _Side(setup, choose(setup), knobs(setup))


def _values(axis: Axis, at: Knobs) -> NDArray[np.float64]:
    return np.asarray([factor * float(axis.start(at)) for factor in axis.factors])


def _cells(
    candidate: _Side, reference: _Side, axes: tuple[Axis, Axis], grid: Sequence[NDArray[np.float64]]
) -> tuple[tuple[NDArray, NDArray], tuple[NDArray, NDArray]]:
    """(matching price, reference's cost) and (cost over the reference's, reference's cost) of every cell."""

    def of_candidate(k: Knobs, x: Scalar, y: Scalar) -> Knobs:
        k = axes[1].of_both(axes[0].of_both(k, x), y)
        return axes[1].of_candidate(axes[0].of_candidate(k, x), y)

    def of_reference(k: Knobs, x: Scalar, y: Scalar) -> Knobs:
        return axes[1].of_both(axes[0].of_both(k, x), y)

    target = np.min(_swept(reference, of_reference, grid)[0], axis=1)
    listed, double = _swept(candidate, of_candidate, grid)
    with np.errstate(invalid="ignore"):
        prices = 1 + (target[:, None] - listed) / (double - listed)  # cost is linear in the price
        matching = np.where(np.isfinite(listed), prices, -np.inf) * float(candidate.at.system.price)
    return (np.max(matching, axis=1), target), (np.min(listed, axis=1) / target, target)


def _swept(
    side: _Side, changed: Callable[[Knobs, Scalar, Scalar], Knobs], grid: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """USD per token of every cell and concurrency at the system's price, and at twice it; infinite where it fails."""
    most = float(side.setup.engine.spec.max_num_seqs) * side.choice.shape[2]
    asked = side.setup.question.concurrency
    ladder = jnp.asarray(concurrencies(most) if asked is None else np.asarray([asked], dtype=float))
    ttft, tpot = (min(limit, _FAR) for limit in limits(side.setup))

    def cost(factor: Scalar, x: Scalar, y: Scalar, n: Scalar) -> Scalar:
        k = changed(side.at, x, y)
        k = eqx.tree_at(lambda q: q.system.price, k, k.system.price * factor)
        found = chain_of(side.setup, side.choice, n)(k)
        point = found.point
        meets = (point.memory.fits > 0) & (point.ttft <= ttft) & (point.tpot <= tpot)
        return jnp.where(meets, found.unit.blended, jnp.inf)

    cells = jax.vmap(jax.vmap(cost, (None, None, None, 0)), (None, 0, 0, None))
    table = jax.jit(jax.vmap(cells, (0, None, None, None)))
    listed, double = np.asarray(table(jnp.asarray([1.0, 2.0]), *map(jnp.asarray, grid), ladder))
    return listed, double
