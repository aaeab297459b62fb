"""Risk paths per second: 10 obligors over 120 months; writes results/risk-<device>.json.

`python benchmarks/bench_risk.py [--quick] [--out FOLDER]`, a million paths, an eighth of it when quick. Memory is the
peak of the whole process. Needs jax, equinox, jaxtyping, numpy, pandas and optax only.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from record import options, record  # noqa: E402

from clustermodel.bench.machine import Rates, measured_rates  # noqa: E402
from clustermodel.bench.operations import operations  # noqa: E402
from clustermodel.economics.montecarlo import METHODS, Sampling, blocks, summary, uniforms  # noqa: E402
from clustermodel.economics.outcome import PathModel, certain  # noqa: E402
from clustermodel.economics.world import World  # noqa: E402
from clustermodel.scenarios import (  # noqa: E402
    Contract,
    Credit,
    Finance,
    Project,
    Rent,
    Scenario,
    neutral,
    without_supply_agreement,
)
from clustermodel.specs import stack  # noqa: E402
from clustermodel.units import SECONDS_PER_YEAR  # noqa: E402

OBLIGORS, MONTHS = 10, 120
PATHS, QUICK = 1 << 20, 1 << 17
YEAR = float(SECONDS_PER_YEAR)
LEVEL = 0.95


def block() -> int:
    """Paths computed at a time: about 50 kB each on the way; an accelerator needs more of them to be busy."""
    return 1 << 14 if jax.default_backend() == "cpu" else 1 << 17


def model() -> PathModel:
    """Ten-year contracts of ten buyers, a mean-reverting market with jumps, a geared project."""
    buyer = Contract(term=10 * YEAR, value=10e9, hazard=0.07 / YEAR, take_or_pay=0.9)
    base = neutral()
    scenario = Scenario(
        credit=Credit(correlation=0.3, wrong_way=0.5, vacancy=YEAR / 2, fill=0.9),
        rent=Rent(
            level=0.8,
            reversion=1 / YEAR,
            volatility=0.45,
            jump_rate=0.5 / YEAR,
            jump_size=0.2,
            jump_spread=0.1,
        ),
        demand=base.demand,
        memory_market=base.memory_market,
        project=Project(capex=40e9, life=10 * YEAR, opex=2e9 / YEAR),
        finance=Finance(wacc=0.1, debt_rate=0.06, base_dscr=1.4),
    )
    world = World(scenario, stack([buyer] * OBLIGORS), without_supply_agreement())
    return PathModel(certain(world), jnp.arange(OBLIGORS), jnp.arange(MONTHS + 1) * YEAR / 12, 0)


def losses(of: PathModel, sampling: Sampling) -> np.ndarray:
    """Loss of every path as a share of the headline value."""
    parts = [np.asarray(outcome.loss_share) for outcome, _, _ in blocks(of, sampling, block())]
    return np.concatenate(parts)


def elapsed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and what it gave."""
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def per_path(of: PathModel, sampling: Sampling) -> tuple[float, int]:
    """Operations of one path, and the bytes that must move: what is drawn written and read, the results written."""
    index = jnp.asarray(0)
    draw = lambda number: of.prepare(uniforms(sampling, number))
    drawn = jax.eval_shape(draw, index)
    result = jax.eval_shape(of, drawn)
    size = lambda tree: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    return operations(lambda number: of(draw(number)), index), 2 * size(drawn) + size(result)


def case(of: PathModel, paths: int, method: str, rates: Rates) -> dict[str, object]:
    """Time one method, compilation apart."""
    sampling = Sampling(jax.random.key(0), paths, of.draws, method)
    begin = lambda: jax.block_until_ready(next(blocks(of, sampling, block())))
    first, again = elapsed(begin)[0], elapsed(begin)[0]
    taken, sample = elapsed(lambda: losses(of, sampling))
    flops, least = per_path(of, sampling)
    limit = min(rates.flops_per_s / flops, rates.bytes_per_s / least)
    found = summary(jnp.asarray(sample), jnp.asarray(LEVEL), jnp.asarray(0.0))
    return {
        "name": f"contract_book-{method}",
        "n": sample.size,
        "obligors": OBLIGORS,
        "months": MONTHS,
        "paths_per_s": sample.size / taken,
        "compile_s": max(first - again, 0.0),
        "fraction_of_limit": sample.size / taken / limit,
        "per_path": {"flops": flops, "bytes_least": least},
        "mean": float(found.mean),
        "se": float(found.se),
        "cvar95": float(found.cvar),
        "cvar95_se": float(found.cvar_se),
    }


def bench(paths: int) -> dict[str, object]:
    """All methods of drawing, the rates of the machine in the same run."""
    of, rates = model(), measured_rates()
    cases = [case(of, paths, method, rates) for method in METHODS]
    return {
        "kind": "bench-risk",
        "dtype": str(jnp.zeros(()).dtype),
        "block": block(),
        "peak_process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "measured": rates._asdict(),
        "cases": cases,
    }


if __name__ == "__main__":
    asked = options().parse_args()
    whole = record(bench(QUICK if asked.quick else PATHS), "risk", asked.out)
    for each in whole["cases"]:
        print(f"{each['name']:28} {each['paths_per_s']:.3g} paths/s, compiled in {each['compile_s']:.1f} s")
    print(f"peak memory {whole['peak_process_bytes'] / 1e9:.2f} GB")
