"""Points a second of a sweep over every combination: `python benchmarks/bench_sweep.py [--quick] [--out FOLDER]`.

Two systems, two formats and all layouts, at many loads and prices, reduced to the frontier of each system as by
`frontier --exhaustive`; writes results/sweep-<device>.json. Physics is computed once for each replica and load, so
the rate grows with the number of prices: both are stated.
"""

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402
from record import options, record  # noqa: E402

from clustermodel.catalog import load_catalog  # noqa: E402
from clustermodel.chain import Question  # noqa: E402
from clustermodel.chain.bulk import DTYPES, cast, numbers  # noqa: E402
from clustermodel.process import set_flags  # noqa: E402
from clustermodel.sweep import Axes, Space, space, sweep  # noqa: E402

set_flags()

MODELS = {"dense": "llama-3.1-70b", "moe": "deepseek-v3"}
SYSTEMS = ("hgx-h200", "hgx-b200")
LENGTHS, PRICES = 32, {"few": (1, 1), "many": (20, 10)}
QUICK_LENGTHS = 8
_TARGET = 0.05  # s per token


def points(model: str, lengths: int, prices: tuple[int, int]) -> Space:
    """All layouts of a model on both systems, `lengths` input and output lengths, prices of systems and of energy."""
    between = lambda low, high, n: tuple(np.geomspace(low, high, n))
    axes = Axes(
        isl=between(256, 16_384, lengths),
        osl=between(64, 4096, lengths),
        price_factor=between(0.5, 2.0, prices[0]),
        energy_factor=between(0.5, 2.0, prices[1]),
    )
    return space(load_catalog(), Question(SYSTEMS[0], model, precision="fp8"), SYSTEMS, axes)


def case(kind: str, prices: str, lengths: int, dtype: str) -> dict[str, Any]:
    """Time one sweep; the first call compiles as well."""
    swept = points(MODELS[kind], lengths, PRICES[prices])
    replicas, loads, each = swept.extent
    with numbers(dtype):
        swept = cast(dtype, swept)
        run = lambda: jax.block_until_ready(sweep(swept, max_tpot=_TARGET))
        start = time.perf_counter()
        run()
        first = time.perf_counter()
        best = run()
        taken = time.perf_counter() - first
    return {
        "name": f"{kind}-{prices}-prices-{dtype}",
        "model": MODELS[kind],
        "dtype": dtype,
        "n": swept.size,
        "replicas": replicas,
        "loads": loads,
        "prices": each,
        "points_per_s": swept.size / taken,
        "loads_per_s": replicas * loads / taken,
        "compile_s": max(first - start - taken, 0.0),
        "cheapest_usd_per_mtok": float(1e6 * np.min(best.price)),
    }


def bench(quick: bool) -> dict[str, Any]:
    """Every model with few and many prices, in either kind of numbers."""
    lengths = QUICK_LENGTHS if quick else LENGTHS
    every = itertools.product(MODELS, PRICES, DTYPES)
    return {"kind": "bench-sweep", "cases": [case(kind, each, lengths, dtype) for kind, each, dtype in every]}


if __name__ == "__main__":
    asked = options().parse_args()
    whole = record(bench(asked.quick), "sweep", asked.out)
    for each in whole["cases"]:
        print(f"{each['name']:28} {each['n']:14,} points  {each['points_per_s']:.3g}/s")
