"""Find the cheapest layout and concurrency that meet the objectives, all candidates at once."""

import dataclasses
import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from clustermodel import specs
from clustermodel.assembly.layouts import Shape, stack_layouts
from clustermodel.chain.evaluate import Evaluation, Money, evaluate
from clustermodel.chain.over_time import (
    Arriving,
    UnderArrivals,
    objectives,
    over_time,
    under_arrivals,
    while_busy,
)
from clustermodel.chain.setup import Setup
from clustermodel.chain.sizing import fleet_price, replica_arrivals
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load
from clustermodel.serving.open_loop import Arrivals, Latency, open_loop
from clustermodel.serving.placement import full_batch

_STEPS = 32
"""Concurrencies tried between two that were tried before."""
_EQUAL = 1e-12  # prices that differ by rounding alone
_DIP = 0.05
"""Share by which a price may fall between two rungs of the first ladder and rise again."""


Rows = tuple[Deployment, Load, Money]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Pairs of layout and concurrency, and what each came to (rows of `evaluations`)."""

    shapes: tuple[Shape, ...]
    concurrency: NDArray[np.float64]
    evaluations: Evaluation  # under arrivals in the mean over time
    ttft: NDArray[np.float64]  # s, as the objectives are meant: mean, or a percentile under arrivals
    tpot: NDArray[np.float64]
    price: NDArray[np.float64]  # USD per token of any class, idle systems included
    arrivals: UnderArrivals | None  # where a rate was asked

    def row(self, index: int) -> Evaluation:
        """One row."""
        return jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), self.evaluations)

    @property
    def in_flight(self) -> NDArray[np.float64]:
        """Requests in flight: as tried, or under arrivals in the mean."""
        return self.concurrency if self.arrivals is None else np.asarray(self.arrivals.usual.in_flight, float)

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Whether weights and at least one sequence fit."""
        return np.asarray(self.evaluations.point.memory.fits) > 0

    def meets(self, max_ttft: float, max_tpot: float) -> NDArray[np.bool_]:
        """Rows that fit and keep both limits (s); a layout over links that are absent never finishes a step."""
        return self.fits & np.isfinite(self.price) & (self.ttft <= max_ttft) & (self.tpot <= max_tpot)


def concurrencies(most: float) -> NDArray[np.float64]:
    """1, 2, 3, 4, 6, 8, 12 ... up to `most`."""
    powers = 2.0 ** np.arange(0, np.log2(most) + 1)
    grid = np.unique(np.concatenate([powers, 1.5 * powers[1:], [np.floor(most)]]))
    return grid[(grid >= 1) & (grid <= most)]


def evaluations(deployments: Deployment, loads: Load, money: Money) -> Evaluation:
    """Rows of operating points that may differ in anything, by one program whatever the question."""
    return in_chunks(_evaluate_rows, deployments, loads, money)


_evaluate_rows = Kept(jax.vmap(evaluate))


def sweep(setup: Setup, shapes: Sequence[Shape], concurrency: NDArray[np.float64]) -> Grid:
    """Evaluate pairs of layout and concurrency, in compiled chunks of equal size."""
    layouts = stack_layouts(list(shapes))
    evaluated = evaluations(*operating_rows(setup, layouts, concurrency))
    point, price = evaluated.point, evaluated.unit.blended
    ttft, tpot, price = (np.asarray(each, float) for each in (point.ttft, point.tpot, price))
    closed = Grid(tuple(shapes), concurrency, evaluated, ttft, tpot, price, None)
    return closed if setup.question.rate is None else _under_arrivals(setup, closed, layouts)


def _under_arrivals(setup: Setup, grid: Grid, layouts: Layout) -> Grid:
    """The same replicas when each gets the requests that whole systems of them leave it, one by one."""
    capacity = np.asarray(grid.evaluations.point.request_rate, float)
    peak, above = replica_arrivals(setup, grid.shapes, capacity), float(setup.workload.spec.peak_to_mean)
    run = functools.partial(_latency_rows, *_template(setup, layouts), setup.arrivals)
    under = under_arrivals(capacity, peak, above, setup.osl, functools.partial(in_chunks, run, layouts))
    running = operating_rows(setup, layouts, np.asarray(jax.vmap(while_busy)(under.usual.in_flight), float))
    found = in_the_mean(running, under.usual)
    ttft, tpot = objectives(under.latency, setup.question.percentile)
    price = np.where(np.isfinite(ttft), fleet_price(setup, grid.shapes, capacity, found.hour), np.inf)
    return Grid(grid.shapes, grid.concurrency, found, ttft, tpot, price, under)


def in_the_mean(running: Rows, usual: Arriving) -> Evaluation:
    """Rows of operating points while any request is in flight, in the mean over time."""
    return in_chunks(_over_time_rows, evaluations(*running), *running, usual)


_over_time_rows = Kept(jax.vmap(over_time))


def operating_rows(setup: Setup, layouts: Layout, concurrency: NDArray[np.float64]) -> Rows:
    """Everything about each row; layout and concurrency differ from row to row."""
    every = specs.spread((*_template(setup, layouts), setup.money), len(concurrency))
    return eqx.tree_at(lambda each: (each[0].layout, each[1].concurrency), every, (layouts, concurrency))


def _template(setup: Setup, layouts: Layout) -> tuple[Deployment, Load]:
    """What all rows share; layout, concurrency and rate are put in row by row."""
    first = jax.tree.map(lambda axis: axis[0], layouts)
    return setup.deployment(first), setup.load(1.0)


@Kept
def _latency_rows(
    deployment: Deployment, load: Load, arrivals: Arrivals, layouts: Layout, rates: Array
) -> Latency:
    def one(layout: Layout, rate: Array) -> Latency:
        split = eqx.tree_at(lambda d: d.layout, deployment, layout)
        return open_loop(split, load, eqx.tree_at(lambda a: a.rate, arrivals, rate))

    return jax.vmap(one)(layouts, rates)


def product(setup: Setup, shapes: Sequence[Shape]) -> Grid:
    """Every layout at every concurrency worth trying, or at the one the question names."""
    asked = setup.question.concurrency
    if asked is None:
        deployments, loads, _ = operating_rows(setup, stack_layouts(list(shapes)), np.ones(len(shapes)))
        ladders = [concurrencies(np.floor(most)) for most in full_batches(deployments, loads)]
    else:
        ladders = [np.asarray([asked])] * len(shapes)
    pairs = [(shape, n) for shape, ladder in zip(shapes, ladders, strict=True) for n in ladder]
    return sweep(setup, [shape for shape, _ in pairs], np.asarray([n for _, n in pairs], dtype=float))


def full_batches(deployments: Deployment, loads: Load) -> NDArray[np.float64]:
    """Requests that run at once at the most, of stacked replicas; see `full_batch`."""
    return np.asarray(in_chunks(_full_batch_rows, deployments, loads), float)


_full_batch_rows = Kept(jax.vmap(full_batch))


def cheapest(grid: Grid, allowed: NDArray[np.bool_]) -> int:
    """Row with the lowest price among the allowed; see `preferred`."""
    return preferred(grid.price, grid.tpot, grid.arrivals, allowed)


def preferred(
    price: NDArray[np.float64],
    tpot: NDArray[np.float64],
    arrivals: UnderArrivals | None,
    allowed: NDArray[np.bool_],
) -> int:
    """Row with the lowest price among the allowed; of equal ones, which whole systems make, the fastest.

    Of the same systems at the same speed, the row that says how much they could carry at the most.
    """
    equal = allowed & (price <= np.min(price[allowed]) * (1 + _EQUAL))
    carries = np.zeros_like(tpot) if arrivals is None else np.asarray(arrivals.capacity, float)
    return int(np.lexsort((-carries, np.where(equal, tpot, np.inf)))[0])


def lower_envelope(
    price: NDArray[np.float64], time: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Allowed rows that no other allowed row beats in price and in time alike, fastest first."""
    order = np.lexsort((price, time))
    order = order[allowed[order]]
    best = np.minimum.accumulate(price[order])
    first = np.concatenate([[True], best[1:] < best[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    return order[first]


def closer(
    grid: Grid, merit: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> tuple[list[Shape], NDArray[np.float64]]:
    """Pairs of layout and concurrency (whole numbers) around every layout's best that could be the best of all.

    `merit` is what is to be least, of all rows. A layout is at its best where it is cheapest, or, where an objective
    stands in the way, between its last allowed concurrency and the next. One whose rows there, allowed or not, are
    all worse than the best allowed row by more than a curve dips between two rungs is left out.
    """
    best = np.min(merit[allowed])
    pairs = []
    for shape in dict.fromkeys(grid.shapes):
        rows = np.asarray([row for row, other in enumerate(grid.shapes) if other == shape])
        rows = rows[np.argsort(grid.concurrency[rows])]
        if allowed[rows].any():
            places = _places(merit[rows], allowed[rows])
            reached = merit[rows][np.unique(np.concatenate(places))]
            if np.min(reached, initial=np.inf, where=np.isfinite(reached)) <= best + _DIP * abs(best):
                pairs += [(shape, n) for n in _whole_numbers(grid.concurrency[rows], places)]
    shapes, loads = zip(*pairs, strict=True)
    return list(shapes), np.asarray(loads, dtype=float)


def _places(merit: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Rungs of one layout around its cheapest allowed one, and from its last allowed one to the next."""
    top = len(merit) - 1
    cheapest, last = int(np.argmin(np.where(allowed, merit, np.inf))), int(np.flatnonzero(allowed)[-1])
    spans = ((max(cheapest - 1, 0), min(cheapest + 1, top)), (last, min(last + 1, top)))
    return [np.arange(low, high + 1) for low, high in spans]


def _whole_numbers(ladder: NDArray[np.float64], places: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    fine = [np.linspace(ladder[each[0]], ladder[each[-1]], _STEPS + 1) for each in places]
    return np.unique(np.round(np.concatenate([*fine, *(ladder[each] for each in places)])))
