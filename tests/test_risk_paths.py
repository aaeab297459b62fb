"""One path is one answer: alone or among many, eager or compiled, on one accelerator or on four."""

import json
import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from books import ANCHOR, BLOCK, YEAR, book, model

from clustermodel.catalog import load_catalog
from clustermodel.economics import montecarlo
from clustermodel.economics.book import default_times
from clustermodel.economics.montecarlo import Sampling, simulate
from clustermodel.economics.outcome import certain
from clustermodel.risk import run_scenario
from clustermodel.scenarios import Credit


def test_one_path_computed_alone_is_the_same_as_among_16_400():
    made = model(ANCHOR, 0.3, 0.5, [0.0, 5 * YEAR])
    sampling = Sampling(jax.random.key(0), 16_400, made.draws)
    many = simulate(made, sampling, BLOCK)[0].loss_share
    alone = jax.jit(lambda index: made(made.prepare(montecarlo.uniforms(sampling, index)))[0].loss_share)
    for index in (0, 8_200, 16_384, 16_399):
        assert many[index] == pytest.approx(float(alone(index)), rel=1e-12, abs=1e-12)


def test_a_block_of_16_400_paths_computed_eagerly_is_the_same_as_jitted():
    names, draw = book([0.5, 0.5], [0.1, 0.05]), np.random.default_rng(0)
    z, own = jnp.asarray(draw.normal(size=16_400)), jnp.asarray(draw.normal(size=(16_400, 2)))
    times = jax.vmap(default_times, in_axes=(None, None, 0, 0))
    credit = Credit(correlation=0.3)
    np.testing.assert_allclose(
        times(names, credit, z, own), jax.jit(times)(names, credit, z, own), rtol=1e-12
    )


def test_losses_have_gradients_in_prices_and_terms():
    made = model(ANCHOR, 0.3, 0.5, [0.0, 5 * YEAR])
    sampling = Sampling(jax.random.key(0), 512, made.draws, "quasi")

    def expected_loss(fill):
        moved = eqx.tree_at(lambda w: w.scenario.credit.fill, made.uncertain.likely, fill)
        each = eqx.tree_at(lambda m: m.uncertain, made, certain(moved))
        paths = jax.vmap(lambda i: each(each.prepare(montecarlo.uniforms(sampling, i)))[0].loss_share)
        return jnp.mean(paths(jnp.arange(512)))

    value_and_slope = jax.jit(jax.value_and_grad(expected_loss))
    _, slope = value_and_slope(jnp.asarray(0.9))
    rise = value_and_slope(jnp.asarray(0.91))[0] - value_and_slope(jnp.asarray(0.89))[0]
    assert slope == pytest.approx(float(rise) / 0.02, rel=1e-6)
    assert slope < 0


ON_FOUR = """
import json, jax
jax.config.update("jax_enable_x64", True)
from clustermodel.catalog import load_catalog
from clustermodel.risk import run_scenario
metrics = run_scenario(load_catalog(), "anchor-book", 2_000, 7)["metrics"]
print(json.dumps([jax.device_count(), metrics["loss_share"]]))
"""


@pytest.mark.slow
def test_paths_spread_over_four_accelerators_give_the_answer_of_one():
    """2 000 paths, which four do not divide into whole blocks; the host stands in for four accelerators."""
    run = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", ON_FOUR], env=run, capture_output=True, text=True, check=True, timeout=300
    )
    devices, spread = json.loads(done.stdout)
    single = run_scenario(load_catalog(), "anchor-book", 2_000, 7)["metrics"]["loss_share"]
    assert devices == 4
    for name in ("mean", "p90", "var95", "cvar95", "cvar95_se"):
        assert spread[name] == pytest.approx(single[name], rel=1e-12)


def test_a_million_paths_of_ten_obligors_over_ten_years_stay_below_8_gb_where_it_was_measured():
    """`benchmarks/bench_risk.py` on the machine that the file names; throughput is what it was there."""
    found = json.loads((Path(__file__).parents[1] / "benchmarks" / "results" / "risk-cpu.json").read_text())
    assert {"device", "cores", "jax", "date"} <= found.keys()
    assert found["peak_process_bytes"] < 8e9
    for case in found["cases"]:
        assert (case["obligors"], case["months"]) == (10, 120)
        assert case["n"] >= 1_000_000
        assert case["paths_per_s"] > 5_000
    cvar = [case["cvar95"] for case in found["cases"]]
    errors = [case["cvar95_se"] for case in found["cases"]]
    assert max(cvar) - min(cvar) < 5 * max(errors)  # three samplings of one world
