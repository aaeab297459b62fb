"""Risk paths per second: 10 obligors over 120 months; writes results/risk-<device>.json.

`python benchmarks/bench_risk.py [PATHS]`, a million by default. Memory is the peak of the whole process.
"""

import datetime
import json
import pathlib
import resource
import sys
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from clustermodel.bench.machine import machine  # noqa: E402
from clustermodel.economics.montecarlo import METHODS, Sampling, blocks, summary  # noqa: E402
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

OBLIGORS, MONTHS, BLOCK = 10, 120, 16_384
YEAR = float(SECONDS_PER_YEAR)


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


def losses(of: PathModel, paths: int, method: str) -> np.ndarray:
    """Loss of every path as a share of the headline value."""
    sampling = Sampling(jax.random.key(0), paths, of.draws, method)
    return np.concatenate([np.asarray(outcome.loss_share) for outcome, _, _ in blocks(of, sampling, BLOCK)])


def case(of: PathModel, paths: int, method: str) -> dict[str, object]:
    """Time one method, compilation apart."""
    start = time.perf_counter()
    losses(of, 1, method)
    compiled = time.perf_counter()
    sample = losses(of, paths, method)
    seconds = time.perf_counter() - compiled
    found = summary(jnp.asarray(sample), jnp.asarray(0.95), jnp.asarray(0.0))
    return {
        "name": f"contract_book-{method}",
        "n": sample.size,
        "obligors": OBLIGORS,
        "months": MONTHS,
        "paths_per_s": sample.size / seconds,
        "first_call_s": compiled - start,
        "mean": float(found.mean),
        "se": float(found.se),
        "cvar95": float(found.cvar),
        "cvar95_se": float(found.cvar_se),
    }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    cases = [case(model(), count, method) for method in METHODS]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {
        "kind": "bench-risk",
        "date": datetime.date.today().isoformat(),
        **machine(),
        "dtype": "float64",
        "block": BLOCK,
        "peak_process_bytes": peak,
        "cases": cases,
    }
    name = "cpu" if result["backend"] == "cpu" else str(result["device"]).lower().replace(" ", "-")
    out = pathlib.Path(__file__).parent / "results" / f"risk-{name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    for each in cases:
        print(f"{each['name']:28} {each['paths_per_s']:.3g} paths/s, first call {each['first_call_s']:.1f} s")
    print(f"peak memory {peak / 1e9:.2f} GB")
