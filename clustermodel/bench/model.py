"""How many operating points a second the whole chain evaluates, batched, and how near that is to the machine.

A configuration is one point of (system, model, layout, concurrency, lengths, prices) without search; all its
outputs (TTFT, TPOT, fit, power, three token prices, throughput) are written. Two limits stand beside the rate: what
the compiled program counts of itself (`cost_analysis`) over the rates of this machine, and an elementwise kernel with
the same mix of the operations that have to be done (`mix`).
"""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from clustermodel import __version__
from clustermodel._types import Scalar
from clustermodel.bench import mix
from clustermodel.bench.counts import check_counts
from clustermodel.bench.machine import Rates, machine, measured_rates, seconds
from clustermodel.catalog import Catalog
from clustermodel.chain.bulk import DTYPES, VECTOR, at_a_time, cast, check_dtype, compiler_options, numbers
from clustermodel.chain.evaluate import Money, evaluate
from clustermodel.chain.question import Question
from clustermodel.chain.setup import set_up
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.process import keep_memory
from clustermodel.serving.load import Load

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CASES = {"dense": "llama-3.1-70b", "moe": "deepseek-v3"}
_SYSTEM, _SEED = "hgx-h200", 0
_COMPARED = 16_400  # points whose results in float32 are compared with those in float64
_RARE = 0.999


class Varied(NamedTuple):
    """What differs from one configuration to the next (SI)."""

    concurrency: Any
    isl: Any
    osl: Any
    tp: Any
    dp: Any
    bandwidth: Any
    capacity: Any
    rate: Any
    price: Any
    electricity: Any


class Outputs(NamedTuple):
    """What is computed for each configuration (SI)."""

    ttft: Scalar
    tpot: Scalar
    fits: Scalar
    output_rate: Scalar
    power: Scalar
    usd_per_input: Scalar
    usd_per_cached_input: Scalar
    usd_per_output: Scalar


def draws(n: int, dtype: Any = float) -> Varied:
    """Random configurations around an 8-accelerator server."""
    random = np.random.default_rng(_SEED)
    between = lambda low, high: jnp.asarray(np.exp(random.uniform(np.log(low), np.log(high), n)), dtype)
    power_of_two = lambda most: jnp.asarray(2.0 ** random.integers(0, most + 1, n), dtype)
    return Varied(
        concurrency=between(1, 1024),
        isl=between(64, 32768),
        osl=between(16, 8192),
        tp=power_of_two(3),
        dp=power_of_two(3),
        bandwidth=between(1e12, 25e12),
        capacity=between(80e9, 2e12),
        rate=between(2e14, 1e16),
        price=between(1e5, 2e6),
        electricity=between(1e-8, 5e-8),
    )


def chain(deployment: Deployment, load: Load, money: Money) -> Callable[[Varied], Outputs]:
    """The function of one configuration, everything that is not varied fixed."""

    def one(x: Varied) -> Outputs:
        memory = deployment.accelerator.memory
        dp = jnp.where(deployment.model.n_experts > 0, x.dp, 1.0)
        changes = {
            lambda d: d.layout: Layout(x.tp, jnp.ones_like(x.tp), dp, dp),
            lambda d: d.system.price: x.price,
            lambda d: d.system.accelerator.memory.bandwidth: memory.bandwidth.at[0].set(x.bandwidth),
            lambda d: d.system.accelerator.memory.capacity: memory.capacity.at[0].set(x.capacity),
            lambda d: (d.formats.attention_rate, d.formats.ffn_rate, d.formats.expert_rate): (x.rate,) * 3,
        }
        varied = deployment
        for where, value in changes.items():
            varied = eqx.tree_at(where, varied, value)
        asked = eqx.tree_at(lambda l: (l.concurrency, l.isl, l.osl), load, (x.concurrency, x.isl, x.osl))
        paid = eqx.tree_at(lambda m: m.site.electricity, money, x.electricity)
        point = evaluate(varied, asked, paid)
        unit, serving = point.unit, point.point
        return Outputs(
            ttft=serving.ttft,
            tpot=serving.tpot,
            fits=serving.memory.fits,
            output_rate=serving.output_rate,
            power=point.inlet.total,
            usd_per_input=unit.input,
            usd_per_cached_input=unit.cached_input,
            usd_per_output=unit.output,
        )

    return one


def bench_model(catalog: Catalog, sizes: Sequence[int] = SIZES, dtype: str = DTYPES[0]) -> dict[str, Any]:
    """Evaluate every case at every size; compile time apart, results waited for, memory kept between calls.

    Raises:
        ConfigError: `dtype` is none of `DTYPES`, or a size is no whole number of at least 1.
    """
    check_dtype(dtype)
    check_counts([("sizes", sizes, 1)])
    keep_memory()
    subjects = {kind: _subject(catalog, model) for kind, model in CASES.items()}
    errors = {kind: _errors(parts) for kind, parts in subjects.items()} if dtype == "float32" else {}
    with numbers(dtype):
        parts = {kind: cast(dtype, each) for kind, each in subjects.items()}
        rates, number = measured_rates(dtype), jnp.dtype(dtype)
        mixes = {kind: _mix(each, number) for kind, each in parts.items()}
        same = {kind: mix.rate(each, at_a_time(), number) for kind, each in mixes.items()}
        cases = [_case(kind, parts[kind], n, rates, same[kind]) for kind in CASES for n in sizes]
        alone = mix.alone(set().union(*mixes.values()), at_a_time(), number)
    return {
        "kind": "bench-model",
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        **machine(),
        "dtype": dtype,
        "measured": rates._asdict(),
        "cases": [case | errors.get(case["model_kind"], {}) for case in cases],
        "profiles": {kind: mix.profile(each, alone) for kind, each in mixes.items()},
    }


Parts = tuple[Deployment, Load, Money]


def _subject(catalog: Catalog, model: str) -> Parts:
    setup = set_up(catalog, Question(_SYSTEM, model, precision="fp8"))
    return setup.deployment(Layout(*jnp.ones((4, 1))[:, 0])), setup.load(jnp.ones(())), setup.money


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """Where what was compiled in earlier runs is compiled again."""
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # whether there is one is asked once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


def _errors(parts: Parts) -> dict[str, float]:
    """What float32 costs: the largest relative error of any output, and the one that 99.9 % of them stay below."""
    with numbers("float64"):
        exact = _outputs(cast("float64", parts), draws(_COMPARED))
    with numbers("float32"):
        rounded = _outputs(cast("float32", parts), cast("float32", draws(_COMPARED, np.float32)))
    compared = exact != 0
    errors = np.abs(rounded[compared] / exact[compared] - 1)
    return {"largest_error": float(np.max(errors)), "error_p999": float(np.quantile(errors, _RARE))}


def _outputs(parts: Parts, inputs: Varied) -> np.ndarray:
    return np.asarray(jnp.stack(jax.jit(jax.vmap(chain(*parts)))(inputs)), np.float64)


def _mix(parts: Parts, dtype: Any) -> mix.Mix:
    return mix.operations_of(chain(*parts), jax.tree.map(lambda leaf: leaf[0], draws(1, dtype)))


def _case(kind: str, parts: Parts, n: int, rates: Rates, same: float) -> dict[str, Any]:
    inputs = draws(n, parts[1].isl.dtype)
    blocks, block = _blocks(n)
    with _nothing_kept():
        start = time.perf_counter()
        run = jax.jit(_in_blocks(chain(*parts), block), compiler_options=compiler_options())
        compiled = run.lower(inputs, blocks[0]).compile()
        compile_s = time.perf_counter() - start
    per_s = n / seconds(lambda: _one_by_one(compiled, inputs, blocks))
    work = _work(compiled, block, inputs.isl.dtype.itemsize)
    limit = min(rates.flops_per_s / work["flops"], rates.bytes_per_s / work["bytes_least"])
    return {
        "name": f"{kind}-configurations={n}",
        "model_kind": kind,
        "model": CASES[kind],
        "n": n,
        "configurations_per_s": per_s,
        "compile_s": compile_s,
        "fraction_of_limit": per_s / limit,
        "fraction_of_same_operations": per_s / same,
        "per_configuration": work,
    }


def _one_by_one(run: Callable[..., Outputs], inputs: Varied, blocks: Sequence[jax.Array]) -> None:
    """Compute all blocks; the results of one are gone when the next one is computed, as in a sweep."""
    for first in blocks:
        jax.block_until_ready(run(inputs, first))


def _blocks(n: int) -> tuple[list[jax.Array], int]:
    """Where each block starts, and how many vectors long all of them are; the last one may start a little earlier."""
    count = -(-n // at_a_time())
    block = min(-(-n // (count * VECTOR)) * VECTOR, n)
    return [jnp.asarray(min(i * block, n - block)) for i in range(count)], block


def _in_blocks(one: Callable[[Varied], Outputs], block: int) -> Callable[[Varied, jax.Array], Outputs]:
    cut = lambda leaf, first: jax.lax.dynamic_slice_in_dim(leaf, first, block)
    return lambda x, first: jax.vmap(one)(jax.tree.map(lambda leaf: cut(leaf, first), x))


def _work(compiled: Any, block: int, itemsize: int) -> dict[str, float]:
    """Operations of one configuration and its least bytes (inputs read once, outputs written once)."""
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    flops = costs.get("flops", 0.0) + costs.get("transcendentals", 0.0)
    words = len(Varied._fields) + len(Outputs._fields)
    return {"flops": flops / block, "bytes_least": words * itemsize}
