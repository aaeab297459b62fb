"""Find the cheapest pair of pools: layouts on the front of each pool (`fronts`), all ratios of workers."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from clustermodel import specs
from clustermodel._types import Scalar
from clustermodel.assembly.layouts import Shape, stack_layouts
from clustermodel.catalog import ConfigError
from clustermodel.chain.over_time import Arriving, UnderArrivals, objectives, under_arrivals, while_busy
from clustermodel.chain.pools.evaluate import Owners, PoolsEvaluation, evaluate_pools
from clustermodel.chain.pools.fronts import decode_front, prefill_front
from clustermodel.chain.pools.over_time import over_time
from clustermodel.chain.pools.setup import PoolsSetup
from clustermodel.chain.pools.sizing import deployment_arrivals, fleet_price
from clustermodel.chain.search import concurrencies, preferred
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Layout
from clustermodel.serving.load import Load
from clustermodel.serving.open_loop import Arrivals, Latency
from clustermodel.serving.pools import Pools
from clustermodel.serving.pools_open_loop import open_loop_pools

Workers = tuple[int, int]
Rows = tuple[Pools, Load, Owners]

MOST_WORKERS = 8
"""Workers of a pool that a first search tries; the second goes to twice as many."""
_LEADERS = 4
"""Pairs of layouts that a search looks at more closely."""
_CLOSEST = 12
"""Pairs of pools whose load a search settles to the request."""
_AROUND = 25
"""Loads looked at around the best one."""


class Plan(eqx.Module):
    """What tells one pair of pools from another; a batch of them is what a search evaluates."""

    prefill: Layout
    decode: Layout
    prefill_workers: Scalar
    decode_workers: Scalar
    concurrency: Scalar


@dataclasses.dataclass(frozen=True)
class PoolsGrid:
    """Plans and what each came to (rows of every leaf)."""

    plans: Plan
    evaluations: PoolsEvaluation
    ttft: NDArray[np.float64]  # s, as the objectives are meant
    tpot: NDArray[np.float64]
    price: NDArray[np.float64]  # USD per token of any class
    load_asked: bool  # whether the question names the requests in flight
    arrivals: UnderArrivals | None  # where a rate was asked

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Whether workers of both pools hold their weights and a sequence."""
        return np.asarray(self.evaluations.fits) > 0

    @property
    def worthwhile(self) -> NDArray[np.bool_]:
        """Whether at most one request waits behind each prefill rank and none for decoding; more only wait."""
        point, plans = self.evaluations.point, self.plans
        ranks = plans.prefill_workers * plans.prefill.dp
        served = (point.prefilling <= 2 * ranks) & (plans.concurrency <= point.room + 2 * ranks)
        return np.asarray(self.load_asked | served)

    def meets(self, max_ttft: float, max_tpot: float) -> NDArray[np.bool_]:
        """Rows that fit, are worth their load and keep both limits (s)."""
        sound = self.fits & self.worthwhile & np.isfinite(self.price)
        return sound & (self.ttft <= max_ttft) & (self.tpot <= max_tpot)

    def plan(self, index: int) -> Plan:
        """One row's plan, as numbers."""
        return jax.tree.map(lambda leaf: float(leaf[index]), self.plans)


def cheapest(grid: PoolsGrid, allowed: NDArray[np.bool_]) -> int:
    """Row with the lowest price among the allowed; see `preferred`."""
    return preferred(grid.price, grid.tpot, grid.arrivals, allowed)


def first_grid(setup: PoolsSetup) -> PoolsGrid:
    """The front's layouts of both pools in every ratio of workers, at a ladder of loads."""
    rows = []
    for prefill in prefill_front(setup):
        for decode in decode_front(setup):
            sizes = (math.prod(prefill[:3]), math.prod(decode[:3]))
            for workers in ratios(setup, sizes, MOST_WORKERS):
                most = float(setup.decode.engine.spec.max_num_seqs) * decode[2]
                rows += [(prefill, decode, workers, n) for n in _loads(setup, workers, most)]
    if not rows:
        raise ConfigError(
            f"no pair of pools has --n-accelerators {setup.question.n_accelerators} together; change it, the "
            "workers (--prefill-workers, --decode-workers) or their layouts"
        )
    return evaluate_rows(setup, rows)


def leaders(grid: PoolsGrid, allowed: NDArray[np.bool_], alike: Sequence[Any], count: int) -> list[Plan]:
    """The cheapest allowed plan of each kind, for the `count` cheapest kinds; `alike` are arrays that tell kinds."""
    order = np.argsort(np.where(allowed, grid.price, np.inf), kind="stable")[: int(allowed.sum())]
    kinds = np.column_stack(jax.tree.leaves(alike))
    _, first = np.unique(kinds[order], axis=0, return_index=True)
    return [grid.plan(int(order[i])) for i in np.sort(first)[:count]]


def finer_ratios(setup: PoolsSetup, grid: PoolsGrid, allowed: NDArray[np.bool_]) -> PoolsGrid:
    """The layouts of the cheapest plans in finer ratios, and at the loads around theirs."""
    rows = []
    for plan in leaders(grid, allowed, (grid.plans.prefill, grid.plans.decode), _LEADERS):
        prefill, decode = shape_of(plan.prefill), shape_of(plan.decode)
        around = float(plan.concurrency) / float(plan.decode_workers) * np.linspace(0.6, 1.6, _AROUND)
        for workers in ratios(setup, (math.prod(prefill[:3]), math.prod(decode[:3])), 2 * MOST_WORKERS):
            rows += _at_loads(setup, (prefill, decode, workers), workers[1] * around)
    return evaluate_rows(setup, rows)


def finer_loads(setup: PoolsSetup, grid: PoolsGrid, allowed: NDArray[np.bool_]) -> PoolsGrid:
    """The cheapest pairs of pools at loads close to theirs."""
    p, rows = grid.plans, []
    alike = (p.prefill, p.decode, p.prefill_workers, p.decode_workers)
    for plan in leaders(grid, allowed, alike, _CLOSEST):
        workers = (int(plan.prefill_workers), int(plan.decode_workers))
        pair = (shape_of(plan.prefill), shape_of(plan.decode), workers)
        rows += _at_loads(setup, pair, float(plan.concurrency) * np.linspace(0.95, 1.1, 2 * _AROUND))
    return evaluate_rows(setup, rows)


def _at_loads(
    setup: PoolsSetup, pair: tuple[Shape, Shape, Workers], loads: NDArray[np.float64]
) -> list[tuple[Shape, Shape, Workers, float]]:
    """One pair of pools at whole numbers of requests in flight, or at the one asked for."""
    asked, whole = setup.question.concurrency, np.unique(np.round(loads))
    return [(*pair, float(n)) for n in ([asked] if asked else whole[whole >= 1])]


def ratios(setup: PoolsSetup, sizes: Workers, most: int) -> list[Workers]:
    """Workers of both pools: those asked for; those that fill `n_accelerators`; else any ratio up to `most`.

    Without a load or a size to fill, twice the workers of both pools are the same price: ratios in lowest terms.
    """
    asked, n = setup.question, setup.question.n_accelerators
    top = most if n is None else max(n // min(sizes), 1)
    prefill = range(1, top + 1) if asked.prefill_workers is None else [asked.prefill_workers]
    decode = range(1, top + 1) if asked.decode_workers is None else [asked.decode_workers]
    pairs = [(a, b) for a in prefill for b in decode]
    if n is not None:
        return [(a, b) for a, b in pairs if a * sizes[0] + b * sizes[1] == n]
    free = (asked.concurrency, asked.prefill_workers, asked.decode_workers) == (None, None, None)
    return [(a, b) for a, b in pairs if math.gcd(a, b) == 1 or not free]


def _loads(setup: PoolsSetup, workers: Workers, most: float) -> Sequence[float]:
    asked = setup.question.concurrency
    return [asked] if asked else list(workers[1] * concurrencies(most))


def shape_of(layout: Layout) -> Shape:
    """A layout as whole numbers."""
    return (int(layout.tp), int(layout.pp), int(layout.dp), int(layout.ep))


def evaluate_rows(setup: PoolsSetup, rows: Sequence[tuple[Shape, Shape, Workers, float]]) -> PoolsGrid:
    """Evaluate plans in compiled chunks."""
    prefill, decode, workers, loads = zip(*rows, strict=True)
    each = np.asarray(workers, dtype=float)
    plans = jax.vmap(Plan)(
        stack_layouts(list(prefill)),
        stack_layouts(list(decode)),
        jnp.asarray(each[:, 0]),
        jnp.asarray(each[:, 1]),
        jnp.asarray(loads, dtype=float),
    )
    found = evaluations(operating_rows(setup, plans))
    plain = PoolsGrid(
        plans=jax.tree.map(np.asarray, plans),
        evaluations=found,
        ttft=np.asarray(found.point.ttft, float),
        tpot=np.asarray(found.point.tpot, float),
        price=np.asarray(found.unit.blended, float),
        load_asked=setup.question.concurrency is not None,
        arrivals=None,
    )
    return plain if setup.question.rate is None else _under_arrivals(setup, plain)


def _under_arrivals(setup: PoolsSetup, grid: PoolsGrid) -> PoolsGrid:
    """The same plans when each deployment gets the requests that whole systems of them leave it, one by one."""
    decode, plans = setup.decode, grid.plans
    capacity = np.asarray(grid.evaluations.point.request_rate, float)
    peak, above = deployment_arrivals(setup, capacity), float(decode.workload.spec.peak_to_mean)
    run = functools.partial(_latency_rows, setup.template, decode.load(jnp.ones(())), decode.arrivals)
    under = under_arrivals(capacity, peak, above, decode.osl, functools.partial(in_chunks, run, plans))
    found = in_the_mean(operating_rows(setup, running_plans(plans, under.usual)), under.usual)
    ttft, tpot = objectives(under.latency, setup.question.percentile)
    price = np.where(np.isfinite(ttft), fleet_price(setup, found, capacity), np.inf)
    return dataclasses.replace(grid, evaluations=found, ttft=ttft, tpot=tpot, price=price, arrivals=under)


def running_plans(plans: Plan, usual: Arriving) -> Plan:
    """Rows of plans with the requests they have in flight while any is."""
    in_flight = np.asarray(jax.vmap(while_busy)(usual.in_flight), float)
    return eqx.tree_at(lambda p: p.concurrency, plans, in_flight)


def operating_rows(setup: PoolsSetup, plans: Plan) -> Rows:
    """Everything about each of rows of plans."""
    shared = (setup.template, setup.decode.load(jnp.ones(())), setup.owners)
    pools, load, owners = specs.spread(shared, len(plans.concurrency))
    return (*asked_rows(pools, load, plans), owners)


def asked_rows(pools: Pools, load: Load, plans: Plan) -> tuple[Pools, Load]:
    """Pools laid out, and loads, as plans say."""
    return laid_out(pools, plans), eqx.tree_at(lambda each: each.concurrency, load, plans.concurrency)


def evaluations(running: Rows) -> PoolsEvaluation:
    """Rows of pairs of pools that may differ in anything, by one program whatever the question."""
    return in_chunks(_evaluate_rows, *running)


_evaluate_rows = Kept(jax.vmap(evaluate_pools))


def in_the_mean(running: Rows, usual: Arriving) -> PoolsEvaluation:
    """Rows of operating points while any request is in flight, in the mean over time."""
    return in_chunks(_over_time_rows, evaluations(running), *running, usual)


_over_time_rows = Kept(jax.vmap(over_time))


@Kept
def _latency_rows(template: Pools, load: Load, arrivals: Arrivals, plans: Plan, rates: Array) -> Latency:
    def one(plan: Plan, rate: Array) -> Latency:
        return open_loop_pools(laid_out(template, plan), load, eqx.tree_at(lambda a: a.rate, arrivals, rate))

    return jax.vmap(one)(plans, rates)


def laid_out(template: Pools, plan: Plan) -> Pools:
    """The pools of a plan."""
    where = lambda p: (p.prefill.worker.layout, p.decode.worker.layout, p.prefill.workers, p.decode.workers)
    return eqx.tree_at(
        where, template, (plan.prefill, plan.decode, plan.prefill_workers, plan.decode_workers)
    )
