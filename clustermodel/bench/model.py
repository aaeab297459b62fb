"""How many operating points a second the whole chain evaluates, batched, and how near that is to the machine.

A configuration is one point of (system, model, layout, concurrency, lengths, prices) without search; all its
outputs (TTFT, TPOT, fit, power, three token prices, throughput) are written.
"""

import datetime
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from clustermodel import __version__
from clustermodel._types import Scalar
from clustermodel.bench.machine import machine, measured_rates, seconds
from clustermodel.catalog import Catalog
from clustermodel.chain.evaluate import Money, evaluate
from clustermodel.chain.question import Question
from clustermodel.chain.setup import set_up
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CASES = {"dense": "llama-3.1-70b", "moe": "deepseek-v3"}
_SYSTEM, _SEED = "hgx-h200", 0
_IN_CACHE = 8192


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


def bench_model(catalog: Catalog, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Evaluate every case at every size; compile time apart, results waited for."""
    rates = measured_rates()
    cases = [_case(catalog, kind, model, n, rates) for kind, model in CASES.items() for n in sizes]
    return {
        "kind": "bench-model",
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        **machine(),
        "dtype": str(jnp.zeros(()).dtype),
        "measured": rates._asdict(),
        "cases": cases,
    }


def _case(catalog: Catalog, kind: str, model: str, n: int, rates: Any) -> dict[str, Any]:
    setup = set_up(catalog, Question(_SYSTEM, model, precision="fp8"))
    layout = Layout(*jnp.ones((4, 1))[:, 0])
    one = chain(setup.deployment(layout), setup.load(jnp.ones(())), setup.money)
    inputs = draws(n)
    start = time.perf_counter()
    compiled = jax.jit(lambda x: jax.lax.map(one, x, batch_size=_batch())).lower(inputs).compile()
    compile_s = time.perf_counter() - start
    per_s = n / seconds(lambda: compiled(inputs))
    work = _work(compiled, n)
    limit = min(rates.flops_per_s / work["flops"], rates.bytes_per_s / work["bytes_least"])
    return {
        "name": f"{kind}-configurations={n}",
        "model_kind": kind,
        "model": model,
        "n": n,
        "configurations_per_s": per_s,
        "compile_s": compile_s,
        "fraction_of_limit": per_s / limit,
        "per_configuration": work,
    }


def _batch() -> int:
    """Configurations evaluated at a time: what stays in a processor's cache; an accelerator takes all at once."""
    return _IN_CACHE if jax.default_backend() == "cpu" else max(SIZES)


def _work(compiled: Any, n: int) -> dict[str, float]:
    """Operations of one configuration and its least bytes (inputs read once, outputs written once).

    The compiler counts the body of a loop once: a whole batch, and what is left over by whole batches.
    """
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    flops = costs.get("flops", 0.0) + costs.get("transcendentals", 0.0)
    words = len(Varied._fields) + len(Outputs._fields)
    counted = _batch() + n % _batch() if n > _batch() else n
    return {"flops": flops / counted, "bytes_least": words * jnp.zeros(()).dtype.itemsize}
