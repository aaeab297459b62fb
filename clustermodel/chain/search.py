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
from clustermodel.chain.setup import Setup
from clustermodel.chain.sizing import fleet_price
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load
from clustermodel.serving.open_loop import Arrivals, Latency, open_loop


@dataclasses.dataclass(frozen=True)
class Grid:
    """Pairs of layout and concurrency, and what each came to (rows of `evaluations`)."""

    shapes: tuple[Shape, ...]
    concurrency: NDArray[np.float64]
    evaluations: Evaluation
    ttft: NDArray[np.float64]  # s, as the objectives are meant: mean, or a percentile under arrivals
    tpot: NDArray[np.float64]
    price: NDArray[np.float64]  # USD per token of any class, idle systems included
    latency: Latency | None  # under arrivals, where a rate was asked

    def row(self, index: int) -> Evaluation:
        """One row."""
        return jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), self.evaluations)

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
    deployment, load = _template(setup, layouts)
    every = specs.spread((deployment, load, setup.money), len(shapes))
    rows = eqx.tree_at(lambda each: (each[0].layout, each[1].concurrency), every, (layouts, concurrency))
    evaluated = evaluations(*rows)
    if setup.question.rate is None:
        point, price = evaluated.point, evaluated.unit.blended
        ttft, tpot, price = (np.asarray(each) for each in (point.ttft, point.tpot, price))
        return Grid(tuple(shapes), concurrency, evaluated, ttft, tpot, price, None)
    rates = np.asarray(evaluated.point.request_rate)
    latency = in_chunks(functools.partial(_latency_rows, deployment, load, setup.arrivals), layouts, rates)
    level = "mean" if setup.question.percentile is None else f"p{setup.question.percentile}"
    return Grid(
        shapes=tuple(shapes),
        concurrency=concurrency,
        evaluations=evaluated,
        ttft=np.asarray(getattr(latency.ttft, level)),
        tpot=np.asarray(getattr(latency.tpot, level)),
        price=fleet_price(setup, shapes, evaluated),
        latency=latency,
    )


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
    asked, most = setup.question.concurrency, float(setup.engine.spec.max_num_seqs)
    pairs = [(shape, n) for shape in shapes for n in ([asked] if asked else concurrencies(most * shape[2]))]
    return sweep(setup, [shape for shape, _ in pairs], np.asarray([n for _, n in pairs], dtype=float))


def cheapest(grid: Grid, allowed: NDArray[np.bool_]) -> int:
    """Row with the lowest price among the allowed."""
    return int(np.argmin(np.where(allowed, grid.price, np.inf)))


def lower_envelope(
    price: NDArray[np.float64], time: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Allowed rows that no other allowed row beats in price and in time alike, fastest first."""
    order = np.lexsort((price, time))
    order = order[allowed[order]]
    best = np.minimum.accumulate(price[order])
    first = np.concatenate([[True], best[1:] < best[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    return order[first]


def between(setup: Setup, grid: Grid, index: int) -> Grid:
    """The chosen layout at the concurrencies around the chosen one, to the integer or to 1/64."""
    shape, n = grid.shapes[index], grid.concurrency[index]
    same = np.asarray([other == shape for other in grid.shapes])
    ladder = np.sort(grid.concurrency[same])
    low = ladder[max(np.searchsorted(ladder, n) - 1, 0)]
    high = ladder[min(np.searchsorted(ladder, n) + 1, len(ladder) - 1)]
    fine = np.unique(np.round(np.linspace(low, high, min(int(high - low) + 1, 128))))
    return sweep(setup, [shape] * len(fine), fine)
