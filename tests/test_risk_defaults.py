"""When buyers default, alone and together, and what a book of contracts then loses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from books import ANCHOR, EQUAL, YEAR, book, losses, model, world
from scipy import stats
from scipy.stats import qmc

from clustermodel.economics import montecarlo
from clustermodel.economics.book import Fate, Market, after_first_default, book_revenue, default_times
from clustermodel.economics.contracts import recognised_share
from clustermodel.economics.montecarlo import Sampling, summary
from clustermodel.economics.outcome import PathModel, Uncertain, certain
from clustermodel.scenarios import Credit

pytestmark = pytest.mark.usefixtures("optimised")  # hundreds of thousands of paths
LEVEL = jnp.asarray(0.95)
HIGH_IS_BAD = jnp.asarray(0.0)


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
