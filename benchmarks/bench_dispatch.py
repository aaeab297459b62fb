"""Dispatches of a fleet solved per second: all at once by the batched interior point, one by one by warm HiGHS.

`python benchmarks/bench_dispatch.py [--quick] [--out FOLDER]`; writes results/dispatch-<device>.json. A dispatch is a
linear program of 20 systems and 20 workloads; a fleet of 12 periods has 12 of them in every scenario. HiGHS runs
where highspy is installed, the periods side by side on all cores. Beside the rate stand how far the proven bounds
are apart, and how far from the simplex optimum.
"""

import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from fleet_instances import instance  # noqa: E402
from record import options, record  # noqa: E402

from clustermodel.bench.machine import Rates, measured_rates, seconds  # noqa: E402
from clustermodel.bench.operations import operations  # noqa: E402
from clustermodel.fleet import interior_point  # noqa: E402
from clustermodel.fleet.oracles import InteriorPointOracle, Recourse  # noqa: E402
from clustermodel.fleet.two_stage import TwoStage, two_stage  # noqa: E402

SHAPE = (20, 20, 12)
"""Systems, workloads, periods."""
SCENARIOS = (1, 10, 100, 1000)
QUICK = (1, 10, 100)
BOUGHT = 0.1
"""Share of what can be bought that is bought in every period; the optimum for the mean demand buys 0.113 of it."""
COMPARED = 20
"""Scenarios that HiGHS solves as well."""


def fleet(program: TwoStage) -> np.ndarray:
    """First-stage decisions: a like share of everything that can be bought."""
    x = np.zeros(program.layout.count)
    x[program.layout.buy] = BOUGHT * program.upper[program.layout.buy]
    return x


def rounds(program: TwoStage, demand: np.ndarray) -> int:
    """Iterations until the last dispatch of a batch is done: all of them wait for it."""

    def one(dispatch: Any, supply: Any, work: Any) -> jax.Array:
        shares = interior_point.shares(dispatch, supply, work)[0]
        end = jax.lax.while_loop(
            lambda s: ~s.done, lambda s: interior_point.step(shares, s), interior_point.start(shares)
        )
        return end.iteration

    supply = program.supply(fleet(program))
    count = jax.jit(jax.vmap(jax.vmap(one), in_axes=(None, None, 0)))
    return int(count(program.dispatch, supply, jnp.asarray(demand)).max())


def per_dispatch(program: TwoStage) -> tuple[float, float]:
    """Operations of one dispatch outside of its loop, and in one iteration of it."""
    supply = program.supply(fleet(program))
    first = jax.tree.map(lambda part: jnp.asarray(part[0]), (program.dispatch, supply))
    work = jnp.asarray(program.demand[0, 0])
    none, one = (operations(interior_point.solve, *first, work, rounds=r) for r in (0, 1))
    return none, one - none


def bytes_least(program: TwoStage) -> int:
    """Bytes of one dispatch that must move: its demand read, its bound, cost and busy systems written."""
    resources, assets, workloads = program.dispatch.draw.shape[-3:]
    return np.dtype(float).itemsize * (2 * workloads + 3 * assets + resources + 2 + assets * workloads)


def solved(program: TwoStage, demand: np.ndarray) -> tuple[float, float, Recourse]:
    """Seconds until compiled and run once, best seconds of a run, and its bounds."""
    oracle, supply = InteriorPointOracle(program), program.supply(fleet(program))
    start = time.perf_counter()
    found = oracle.recourse(supply, demand)
    first = time.perf_counter() - start
    return first, seconds(lambda: oracle.recourse(supply, demand), 3), found


def cases(program: TwoStage, sizes: tuple[int, ...], rates: Rates) -> Iterator[dict[str, Any]]:
    """The batched interior point at every size."""
    outside, inside = per_dispatch(program)
    least = bytes_least(program)
    for scenarios in sizes:
        demand = program.demand[:scenarios]
        first, taken, found = solved(program, demand)
        iterations = rounds(program, demand)
        work = outside + iterations * inside
        limit = min(rates.flops_per_s / work, rates.bytes_per_s / least)
        n = found.upper.size
        yield {
            "name": f"interior_point-dispatches={n}",
            "n": n,
            "dispatches_per_s": n / taken,
            "first_call_s": first,
            "iterations": iterations,
            "fraction_of_limit": n / taken / limit,
            "per_dispatch": {"flops": work, "bytes_least": least},
            "largest_gap": _apart(found.lower, found.upper),
        }


def by_simplex(program: TwoStage) -> dict[str, Any]:
    """Warm HiGHS on the first scenarios, and how far the batched bounds are from its optima."""
    if importlib.util.find_spec("highspy") is None:
        return {"skipped": "highspy is not installed"}
    from clustermodel.fleet.simplex import HighsOracle, cores

    demand, supply = program.demand[:COMPARED], program.supply(fleet(program))
    oracle = HighsOracle(program)
    oracle.recourse(supply, demand)
    start = time.perf_counter()
    exact = oracle.recourse(supply, demand)
    taken = time.perf_counter() - start
    found = solved(program, demand)[2]
    return {
        "name": f"highs-dispatches={exact.upper.size}",
        "n": exact.upper.size,
        "dispatches_per_s": exact.upper.size / taken,
        "threads": min(cores(), program.slots),
        "lower_bound_below_optimum": _apart(found.lower, exact.upper),
        "upper_bound_above_optimum": _apart(exact.upper, found.upper),
    }


def _apart(low: np.ndarray, high: np.ndarray) -> float:
    """Largest distance as a share of the cost."""
    return float(np.max((high - low) / np.abs(high)))


def bench(sizes: tuple[int, ...]) -> dict[str, Any]:
    """All cases of one problem, the rates of the machine in the same run."""
    program = two_stage(instance(*SHAPE, max(*sizes, COMPARED)))
    rates = measured_rates()
    return {
        "kind": "bench-dispatch",
        "problem": dict(zip(("systems", "workloads", "periods"), SHAPE, strict=True)),
        "dtype": str(jnp.zeros(()).dtype),
        "measured": rates._asdict(),
        "cases": list(cases(program, sizes, rates)),
        "simplex": by_simplex(program),
    }


if __name__ == "__main__":
    asked = options().parse_args()
    found = record(bench(QUICK if asked.quick else SCENARIOS), "dispatch", asked.out)
    for each in found["cases"]:
        print(f"{each['name']:34} {each['dispatches_per_s']:.3g}/s, bounds {each['largest_gap']:.1g} apart")
    simplex = found["simplex"]
    print(
        simplex.get("skipped") or f"{simplex['name']:34} {simplex['dispatches_per_s']:.3g}/s by warm simplex"
    )
