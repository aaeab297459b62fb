"""Monte Carlo: even points, honest errors, reference tails, default times, one answer however it is computed."""

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
from scipy import stats
from scipy.stats import qmc

from clustermodel.catalog import load_catalog
from clustermodel.economics import montecarlo
from clustermodel.economics.book import Fate, Market, after_first_default, book_revenue, default_times
from clustermodel.economics.contracts import recognised_share
from clustermodel.economics.lowdiscrepancy import generators, irreducible_polynomials, net_point, random_shift
from clustermodel.economics.montecarlo import (
    METHODS,
    REPLICATES,
    AbstractPathModel,
    Sampling,
    simulate,
    summary,
)
from clustermodel.economics.outcome import PathModel, Uncertain, certain
from clustermodel.economics.world import World
from clustermodel.risk import run_scenario
from clustermodel.scenarios import Contract, Credit, Rent, neutral, without_supply_agreement
from clustermodel.specs import stack
from clustermodel.units import SECONDS_PER_YEAR

YEAR = float(SECONDS_PER_YEAR)
BLOCK = 20_000
LEVEL = jnp.asarray(0.95)
HIGH_IS_BAD = jnp.asarray(0.0)


class Sum(AbstractPathModel):
    """A toy model: a weighted sum of uniforms, optionally squared."""

    weights: jax.Array

    def prepare(self, uniforms):
        return uniforms

    def __call__(self, uniforms):
        return jnp.sum(self.weights * uniforms) ** 2


TOY = Sum(jnp.asarray([3.0, 2.0, 1.0, 0.5]))
TOY_MEAN = 6.5**2 / 4 + (9 + 4 + 1 + 0.25) / 12  # E[S]^2 + Var S


def toy(paths, method, seed=0):
    return simulate(TOY, Sampling(jax.random.key(seed), paths, 4, method), 1024)


# points
def test_irreducible_polynomials_are_the_known_ones():
    assert irreducible_polynomials(8) == [0b10, 0b11, 0b111, 0b1011, 0b1101, 0b10011, 0b11001, 0b11111]


@pytest.mark.parametrize("count", [64, 1024])
def test_every_coordinate_of_the_net_meets_every_stratum_once(count):
    points = jax.vmap(net_point, in_axes=(0, None))(jnp.arange(count), random_shift(jax.random.key(1), 5))
    for column in np.asarray(points).T:
        assert sorted(np.floor(column * count).astype(int)) == list(range(count))


def test_generator_matrices_are_invertible_so_that_coordinates_never_repeat():
    for columns in generators(6):
        rows = [int(column) for column in columns]
        for bit in range(31, -1, -1):  # elimination over GF(2)
            pivot = next((r for r in rows if r >> bit & 1), None)
            assert pivot is not None
            rows = [r ^ pivot if r >> bit & 1 else r for r in rows if r != pivot]


@pytest.mark.parametrize("dimensions", [2, 5, 8])
def test_the_net_is_as_even_as_sobol_points_and_far_more_than_chance(dimensions):
    shift = random_shift(jax.random.key(0), dimensions)
    points = np.asarray(jax.vmap(net_point, in_axes=(0, None))(jnp.arange(512), shift))
    own = qmc.discrepancy(points)
    assert own < 2.5 * qmc.discrepancy(qmc.Sobol(dimensions, seed=0).random(512))
    assert own < qmc.discrepancy(np.random.default_rng(0).random((512, dimensions))) / 4


# sampling
@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_uniforms(method):
    sampling = Sampling(jax.random.key(3), 4096, 20, method)
    draws = np.asarray(jax.vmap(lambda i: montecarlo.uniforms(sampling, i))(jnp.arange(sampling.total)))
    assert ((draws > 0) & (draws < 1)).all()
    for column in draws[:, [0, 5, 19]].T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:, :6].T) - np.eye(6)).max() < 0.06  # 4 sigma of 4096 independent pairs


@pytest.mark.parametrize("method", METHODS)
def test_the_mean_of_a_known_model_is_within_its_error(method):
    found = summary(toy(8192, method), LEVEL, HIGH_IS_BAD)
    assert abs(found.mean - TOY_MEAN) < 4 * found.se  # t of 15 degrees: 1 in 900


def test_variance_reduction_reduces_variance():
    errors = {method: float(summary(toy(8192, method), LEVEL, HIGH_IS_BAD).se) for method in METHODS}
    assert errors["antithetic"] < errors["pseudo"] / 3  # nearly linear in the uniforms
    assert errors["quasi"] < errors["antithetic"] / 3


@pytest.mark.parametrize("method", METHODS)
def test_reported_errors_are_those_seen_between_seeds(method):
    runs = [summary(toy(1024, method, seed), LEVEL, HIGH_IS_BAD) for seed in range(40)]
    seen = np.std([float(run.mean) for run in runs], ddof=1)
    reported = np.sqrt(np.mean([float(run.se) ** 2 for run in runs]))
    assert 0.7 < reported / seen < 1.4  # 95 % range of a standard deviation from 40 seeds, and a little


def test_paths_do_not_depend_on_how_they_are_cut_into_blocks():
    sampling = Sampling(jax.random.key(5), 2048, 4, "quasi")
    np.testing.assert_array_equal(simulate(TOY, sampling, 2048), simulate(TOY, sampling, 300))


def test_the_same_seed_gives_the_same_paths_and_another_seed_others():
    assert (toy(512, "quasi", 1) == toy(512, "quasi", 1)).all()
    assert (toy(512, "quasi", 1) != toy(512, "quasi", 2)).mean() > 0.99


def test_paths_come_in_whole_pairs_in_every_replicate():
    assert Sampling(jax.random.key(0), 1, 1).total == 2 * REPLICATES
    assert Sampling(jax.random.key(0), 20_000, 1).total == 20_000


def test_unknown_methods_are_refused_by_name():
    with pytest.raises(ValueError, match="'sobol' is none of pseudo, antithetic, quasi"):
        Sampling(jax.random.key(0), 10, 1, "sobol")


# tails
def test_tail_of_a_normal_sample_is_the_closed_form():
    sample = jnp.asarray(stats.norm.ppf((np.arange(64_000) + 0.5) / 64_000))
    var, cvar = montecarlo.tail(sample, LEVEL)
    assert var == pytest.approx(stats.norm.ppf(0.95), abs=1e-3)
    assert cvar == pytest.approx(stats.norm.pdf(stats.norm.ppf(0.95)) / 0.05, abs=1e-3)


def test_tail_beyond_an_atom_counts_part_of_it():
    sample = jnp.concatenate([jnp.zeros(98), jnp.full(2, 10.0)])
    var, cvar = montecarlo.tail(sample, LEVEL)
    assert var == pytest.approx(0.0)
    assert cvar == pytest.approx(2 * 10 / 5)  # two of the worst five lose ten


def test_the_bad_tail_is_never_better_than_the_mean():
    sample = toy(4096, "pseudo")
    high, low = (summary(sample, LEVEL, jnp.asarray(bad)) for bad in (0.0, 1.0))
    assert high.cvar >= high.var >= high.p90 >= high.p50
    assert high.cvar >= high.mean
    assert low.cvar <= low.var <= low.p10 <= low.mean


def test_triangular_numbers_have_the_moments_of_their_range():
    uniforms = (jnp.arange(100_000) + 0.5) / 100_000
    draw = jax.vmap(montecarlo.triangular, in_axes=(0, None, None, None))
    found = np.asarray(draw(uniforms, *map(jnp.asarray, (1.0, 2.0, 5.0))))
    expected = stats.triang(0.25, loc=1, scale=4)
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-6)
    assert found.std() == pytest.approx(expected.std(), rel=1e-4)
    assert draw(uniforms[:3], *map(jnp.asarray, (2.0, 2.0, 2.0))).tolist() == [2.0] * 3
    edge = draw(uniforms, *map(jnp.asarray, (2.0, 2.0, 4.0)))
    assert jnp.mean(edge) == pytest.approx(2 + 2 / 3, rel=1e-6)


@pytest.mark.parametrize("digits", [12, 0], ids=["distinct", "with ties"])
def test_rank_correlation_is_spearmans(digits):
    draw = np.random.default_rng(0)
    inputs, noise = draw.normal(size=(500, 3)).round(digits), draw.normal(size=500)
    output = (np.exp(inputs[:, 0]) + 0.3 * noise).round(digits)
    found = montecarlo.rank_correlation(jnp.asarray(inputs), jnp.asarray(output))
    expected = [stats.spearmanr(column, output).statistic for column in inputs.T]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_nothing_is_correlated_with_a_constant():
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(500, 3)))
    np.testing.assert_array_equal(montecarlo.rank_correlation(inputs, jnp.full(500, 3.0)), np.zeros(3))


# defaults
def book(shares, hazards, **fields):
    return stack(
        [
            Contract(term=5 * YEAR, value=s, hazard=h / YEAR, **fields)
            for s, h in zip(shares, hazards, strict=True)
        ]
    )


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_each_buyer_defaults_at_its_own_hazard_whatever_the_correlation(correlation):
    names = book([1, 1], [0.1, 0.05])
    uniforms = qmc.Sobol(3, seed=0).random(8192)
    z, own = jnp.asarray(stats.norm.ppf(uniforms[:, 0])), jnp.asarray(stats.norm.ppf(uniforms[:, 1:]))
    credit = Credit(correlation=correlation)
    times = jax.vmap(default_times, in_axes=(None, None, 0, 0))(names, credit, z, own) / YEAR
    for column, hazard in zip(np.asarray(times).T, (0.1, 0.05), strict=True):
        np.testing.assert_allclose(np.mean(column < 5), -np.expm1(-5 * hazard), atol=4e-3)


def test_joint_defaults_are_those_of_the_gaussian_copula():
    names, rho = book([1, 1], [0.104, 0.104]), 0.6
    uniforms = qmc.Sobol(3, seed=1).random(2**14)
    normals = jnp.asarray(stats.norm.ppf(uniforms))
    times = jax.vmap(default_times, in_axes=(None, None, 0, 0))(
        names, Credit(correlation=rho), normals[:, 0], normals[:, 1:]
    )
    both = np.mean(np.all(np.asarray(times) < 5 * YEAR, axis=1))
    edge = stats.norm.ppf(np.exp(-0.104 * 5))  # early means high
    joint = stats.multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([-edge, -edge])
    assert both == pytest.approx(joint, abs=3e-3)


def test_stress_multiplies_hazards_and_a_certain_default_comes_when_it_is_told():
    names = book([1, 1], [0.1, 0.0])
    at = lambda **credit: default_times(names, Credit(**credit), jnp.asarray(0.3), jnp.asarray([0.1, 0.2]))
    assert at(stress=2.0)[0] == pytest.approx(float(at()[0]) / 2)
    assert jnp.isinf(at()[1])
    found = after_first_default(at(), Credit(first_default=YEAR), jnp.arange(2))
    np.testing.assert_allclose(found, [min(YEAR, float(at()[0])), np.inf])


# reference tails: evidence section 5, mean / VaR95 / CVaR95 in per cent of contract value
ANCHOR = book([0.40, *[0.15] * 4, *[0.0] * 5], [0.104, *[0.05] * 9])  # filled up: one program for both books
EQUAL = book([0.1] * 10, [0.104 * 0.4 + 0.05 * 0.6] * 10)
REFERENCE = [
    ("anchor", 0.0, 0.0, (5.90, 20.97, 26.16)),
    ("anchor", 0.3, 0.0, (5.91, 23.94, 31.17)),
    ("anchor", 0.3, 0.5, (7.27, 28.78, 37.63)),
    ("anchor", 0.6, 0.0, (5.91, 27.47, 36.80)),
    ("anchor", 0.6, 0.5, (7.81, 35.17, 46.32)),
    ("equal", 0.0, 0.0, (5.96, 15.87, 19.45)),
    ("equal", 0.3, 0.0, (5.96, 21.17, 28.07)),
    ("equal", 0.3, 0.5, (7.36, 26.34, 34.92)),
    ("equal", 0.6, 0.0, (5.96, 26.54, 36.03)),
    ("equal", 0.6, 0.5, (7.93, 34.71, 45.88)),
]
BOOKS = {"anchor": ANCHOR, "equal": EQUAL}


def world(contracts, rho, wrong_way):
    credit = Credit(correlation=rho, wrong_way=wrong_way, vacancy=0.5 * YEAR, fill=0.9)
    rent = Rent(level=0.8, target=0.8, dispersion=0.4, ceiling=1.5)
    scenario = eqx.tree_at(lambda s: (s.credit, s.rent), neutral(), (credit, rent))
    return World(scenario, contracts, without_supply_agreement())


def model(contracts, rho, wrong_way, edges):
    made = certain(world(contracts, rho, wrong_way))
    return PathModel(made, jnp.arange(contracts.value.size), jnp.asarray(edges), 0)


def losses(of, paths=200_000, method="quasi", seed=0):
    outcome, _, _ = simulate(of, Sampling(jax.random.key(seed), paths, of.draws, method), BLOCK)
    return outcome.loss_share


@pytest.mark.parametrize(("name", "rho", "wrong_way", "expected"), REFERENCE)
def test_losses_of_the_reference_books(name, rho, wrong_way, expected):
    """Within half a point of a run with other random numbers, whose own error is 0.04 to 0.13 points."""
    found = summary(losses(model(BOOKS[name], rho, wrong_way, [0.0, 5 * YEAR])), LEVEL, HIGH_IS_BAD)
    assert 100 * np.array([found.mean, found.var, found.cvar]) == pytest.approx(expected, abs=0.5)
    assert 100 * found.cvar_se < 0.06


def test_a_price_that_stands_still_gives_the_same_revenue_by_the_month_as_at_once():
    ramping = book(
        [3.0, 2.0, 1.0], [0.1, 0.1, 0.1], ramp=YEAR, start=0.3 * YEAR, take_or_pay=0.5, recovery=0.2
    )
    fate = Fate(jnp.asarray([0.1, 2.77, 9.0]) * YEAR, ramping.value)
    credit = Credit(vacancy=0.41 * YEAR, fill=0.9)

    def revenue(periods):
        market = Market(*(jnp.full(periods, x) for x in (0.8, 0.7, 0.7)), jnp.asarray(0.05 * YEAR))
        return book_revenue(ramping, credit, fate, market, jnp.linspace(0.0, 6 * YEAR, periods + 1))

    whole, monthly = jax.jit(lambda: (revenue(1), revenue(72)))()
    for once, each in zip(jax.tree.leaves(whole), jax.tree.leaves(monthly), strict=True):
        assert jnp.sum(each) == pytest.approx(float(once[0]), rel=1e-12)
    kept = [0.0, float(delivered(ramping, 2.77 - 0.35)) * 2.0, 1.0]  # default before, during, after the term
    assert whole.kept[0] == pytest.approx(sum(kept))


def delivered(contracts, years):
    return recognised_share(jax.tree.map(lambda leaf: leaf[0], contracts), jnp.asarray(years * YEAR))


def test_diversification_helps_less_the_more_buyers_share_a_factor():
    cvar = {
        key: expected[2]
        for *key, expected in ((n, r, w, e) for n, r, w, e in REFERENCE)
        for key in [tuple(key)]
    }
    gains = []
    for rho, wrong_way in ((0.0, 0.0), (0.3, 0.5), (0.6, 0.5)):
        pair = [
            float(
                summary(
                    losses(model(BOOKS[n], rho, wrong_way, [0.0, 5 * YEAR]), 40_000), LEVEL, HIGH_IS_BAD
                ).cvar
            )
            for n in ("anchor", "equal")
        ]
        gains.append(pair[0] - pair[1])
        assert 100 * gains[-1] == pytest.approx(
            cvar["anchor", rho, wrong_way] - cvar["equal", rho, wrong_way], abs=0.5
        )
    assert gains[0] > gains[1] > gains[2]


def test_contracts_of_one_buyer_default_together():
    alone = model(book([0.5, 0.5, *[0.0] * 8], [0.1] * 10), 0.0, 0.0, [0.0, 5 * YEAR])
    joint = eqx.tree_at(lambda m: m.obligors, alone, jnp.asarray([0, 0, *range(2, 10)]))
    found = [summary(losses(each, 20_000), LEVEL, HIGH_IS_BAD) for each in (alone, joint)]
    assert found[1].mean == pytest.approx(float(found[0].mean), rel=0.02)
    assert found[1].cvar > 1.2 * found[0].cvar


def test_expected_loss_without_re_letting_is_the_closed_form():
    """E[(T - tau)+ / T] = 1 - (1 - e^(-lambda T)) / (lambda T)."""
    made = model(book([1.0, *[0.0] * 9], [0.104] * 10), 0.0, 0.0, [0.0, 5 * YEAR])
    made = eqx.tree_at(lambda m: m.uncertain, made, certain(_without_re_letting(made)))
    found = summary(losses(made, 40_000), LEVEL, HIGH_IS_BAD)
    assert found.mean == pytest.approx(1 + np.expm1(-0.52) / 0.52, abs=4 * float(found.se) + 1e-5)


def _without_re_letting(made):
    return eqx.tree_at(lambda w: w.scenario.credit.fill, made.uncertain.likely, jnp.zeros(()))


def test_uncertain_numbers_with_one_source_move_together():
    likely = world(book([0.5, 0.5], [0.1, 0.1]), 0.0, 0.0)
    spread = eqx.tree_at(lambda w: w.book.hazard, likely, jnp.asarray([0.2, 0.2]) / YEAR)
    low = eqx.tree_at(lambda w: w.book.hazard, likely, jnp.zeros(2))
    flat = [jax.flatten_util.ravel_pytree(each)[0] for each in (low, spread)]
    made = PathModel(
        Uncertain(likely, *flat, jnp.zeros(flat[0].shape, dtype=int)),
        jnp.arange(2),
        jnp.asarray([0.0, 5 * YEAR]),
        1,
    )
    sampling = Sampling(jax.random.key(0), 256, made.draws)
    numbers = jax.jit(jax.vmap(lambda i: made.prepare(montecarlo.uniforms(sampling, i)).numbers))(
        jnp.arange(64)
    )
    moved = np.flatnonzero(np.any(numbers != numbers[:1], axis=0))
    assert len(moved) == 2
    np.testing.assert_array_equal(numbers[:, moved[0]], numbers[:, moved[1]])


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
