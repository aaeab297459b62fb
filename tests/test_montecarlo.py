"""Monte Carlo: even points, honest errors, tails, ranks; one answer however paths are cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from clustermodel.economics import montecarlo
from clustermodel.economics.lowdiscrepancy import generators, irreducible_polynomials, net_point, random_shift
from clustermodel.economics.montecarlo import (
    METHODS,
    REPLICATES,
    AbstractPathModel,
    Sampling,
    simulate,
    summary,
)

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
