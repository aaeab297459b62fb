"""Prices, demand, slips and projects over time: moments and limits in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from clustermodel.economics import demand as demands
from clustermodel.economics import processes, project
from clustermodel.economics.annuity import annuity
from clustermodel.economics.world import (
    Draws,
    World,
    draws_needed,
    draws_of,
    merchant_revenue,
    prices,
    purchase_price_of_memory,
    result,
)
from clustermodel.scenarios import (
    Contract,
    Demand,
    Finance,
    Memory,
    Project,
    Rent,
    neutral,
    without_supply_agreement,
)
from clustermodel.specs import stack
from clustermodel.units import SECONDS_PER_YEAR

YEAR = float(SECONDS_PER_YEAR)
PATHS = 20_000
MONTHLY = jnp.arange(1, 37) * YEAR / 12
DRAW = np.random.default_rng(0)
NORMALS = jnp.asarray(DRAW.standard_normal((PATHS, 36)))
OTHERS = jnp.asarray(DRAW.standard_normal((PATHS, 36)))
UNIFORMS = jnp.asarray(DRAW.random((PATHS, 36)))


def scalar(value):
    return jnp.asarray(value, dtype=float)


def over_paths(path, *draws):
    return np.asarray(jax.jit(jax.vmap(path))(*draws))


# mean reversion
def test_deviations_have_the_moments_of_an_ornstein_uhlenbeck_process():
    kappa, sigma, start = 1.5, 0.45, 0.7

    def path(normals):
        shocks = processes.reverting_shocks(scalar(kappa / YEAR), scalar(sigma), normals, MONTHLY)
        return processes.mean_reverting(scalar(kappa / YEAR), scalar(start), shocks, MONTHLY)

    found, years = over_paths(path, NORMALS), np.asarray(MONTHLY) / YEAR
    variance = sigma**2 * -np.expm1(-2 * kappa * years) / (2 * kappa)
    error = np.sqrt(variance / PATHS)
    assert np.all(np.abs(found.mean(axis=0) - start * np.exp(-kappa * years)) < 4.5 * error)
    np.testing.assert_allclose(found.var(axis=0), variance, rtol=0.05)
    lagged = np.cov(found[:, 11], found[:, 23])[0, 1]
    assert lagged == pytest.approx(variance[11] * np.exp(-kappa), rel=0.1)


def test_without_reversion_the_deviation_is_a_random_walk():
    shocks = processes.reverting_shocks(scalar(0.0), scalar(0.3), jnp.ones(36), MONTHLY)
    walk = processes.mean_reverting(scalar(0.0), scalar(0.0), shocks, MONTHLY)
    np.testing.assert_allclose(walk, 0.3 * np.sqrt(1 / 12) * np.arange(1, 37), rtol=1e-9)


def test_a_coarser_calendar_has_the_same_distribution():
    rate = scalar(1.0 / YEAR)
    variance = lambda times: jnp.sum(
        (
            processes.reverting_shocks(rate, scalar(0.4), jnp.ones(times.size), times)
            * jnp.exp(-rate * (times[-1] - times))
        )
        ** 2
    )
    assert variance(MONTHLY) == pytest.approx(float(variance(MONTHLY[2::3])), rel=1e-9)


def test_jumps_come_at_their_rate_and_size():
    rent = Rent(jump_rate=2 / YEAR, jump_size=0.215, jump_spread=0.1)
    found = over_paths(lambda u: processes.jumps(rent, u, MONTHLY), UNIFORMS)
    chance = -np.expm1(-2 / 12)
    assert np.mean(found != 0) == pytest.approx(chance, rel=0.01)
    sizes = found[found != 0]
    assert sizes.mean() == pytest.approx(0.215, abs=1e-3)
    assert sizes.std() == pytest.approx(0.1, rel=0.01)
    assert stats.kstest((sizes[:5000] - 0.215) / 0.1, "norm").pvalue > 1e-3


def test_no_rate_means_no_jumps():
    found = processes.jumps(Rent(jump_size=0.3), UNIFORMS[0], MONTHLY)
    np.testing.assert_array_equal(found, 0.0)


# prices
def rent_path(rent, memory=None, level=0.0):
    memory = jnp.ones(36) if memory is None else memory
    return processes.rent_price(rent, scalar(level), jnp.zeros(36), memory, MONTHLY)


def test_rent_returns_to_the_cost_of_the_marginal_entrant():
    path = rent_path(Rent(level=1.5, target=0.8, reversion=2 / YEAR))
    np.testing.assert_allclose(path, 0.8 * (1.5 / 0.8) ** np.exp(-2 * np.arange(1, 37) / 12), rtol=1e-9)


def test_progress_lowers_rents_and_reservations_raise_them():
    still = rent_path(Rent())
    np.testing.assert_allclose(rent_path(Rent(decline=0.3 / YEAR))[-1], np.exp(-0.9), rtol=1e-9)
    np.testing.assert_allclose(rent_path(Rent(reserved=0.2, depth=1.5)), 1.3 * still, rtol=1e-9)


def test_dear_memory_reaches_rents_after_its_lag():
    memory = jnp.full(36, 1.5)
    path = rent_path(Rent(memory_share=0.4, memory_lag=YEAR / 4), memory)
    np.testing.assert_allclose(path[:3], 1.0)
    np.testing.assert_allclose(path[4:], 1.5**0.4, rtol=1e-9)


def test_a_high_default_factor_means_low_prices_where_risk_is_wrong_way():
    scenario = eqx.tree_at(
        lambda s: (s.rent, s.credit.wrong_way), neutral(), (Rent(dispersion=0.4), scalar(0.5))
    )
    edges = jnp.arange(13) * YEAR / 12
    zero = draws_of(jnp.full(draws_needed(1, 12), 0.5), jnp.arange(1))
    level = lambda z: prices(scenario, eqx.tree_at(lambda d: d.factor, zero, scalar(z)), edges).rent[0]
    assert level(2.0) == pytest.approx(np.exp(-0.4 * 0.5 * 2.0))
    assert level(-2.0) == pytest.approx(np.exp(0.4 * 0.5 * 2.0))


def test_token_prices_fall_as_told_on_average():
    demand = Demand(token_decline=1.4 / YEAR, token_volatility=0.3)
    found = over_paths(lambda n: processes.token_price(demand, n, MONTHLY), NORMALS)
    expected = np.exp(-1.4 * np.arange(1, 37) / 12)
    spread = found.std(axis=0) / np.sqrt(PATHS)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4.5 * spread)


def test_memory_moves_with_rents_as_far_as_they_are_correlated():
    mixed = over_paths(lambda a, b: processes.correlated(a, b, scalar(0.6)), NORMALS, OTHERS)
    assert np.corrcoef(mixed[:, 0], NORMALS[:, 0])[0, 1] == pytest.approx(0.6, abs=0.02)
    assert mixed.std() == pytest.approx(1.0, abs=0.01)


def test_a_memory_shock_fades_towards_its_target():
    memory = Memory(level=1.9, target=1.2, reversion=1 / YEAR)
    path = processes.memory_price(memory, jnp.zeros(36), MONTHLY)
    np.testing.assert_allclose(path, 1.2 * (1.9 / 1.2) ** np.exp(-np.arange(1, 37) / 12), rtol=1e-9)


def test_slips_are_lognormal_around_their_median():
    late = Project(delay=0.5 * YEAR, delay_spread=0.4)
    found = over_paths(lambda n: processes.slip(late, n), NORMALS[:, 0]) / YEAR
    assert np.median(found) == pytest.approx(0.5, rel=0.02)
    assert np.log(found).std() == pytest.approx(0.4, rel=0.02)


def test_booms_last_as_long_as_they_are_told():
    path = lambda u: processes.regime_path(
        Demand(leave_boom=0.5 / YEAR, leave_digestion=1.0 / YEAR), u, MONTHLY
    )
    found = over_paths(path, UNIFORMS)
    years = np.arange(1, 37) / 12
    np.testing.assert_allclose(found.mean(axis=0), 2 / 3 + np.exp(-1.5 * years) / 3, atol=0.015)


def test_a_boom_that_nobody_said_could_end_goes_on():
    assert jnp.all(processes.regime_path(Demand(), jnp.full(36, 0.999), MONTHLY) == 1)


# demand
def test_adoption_starts_at_the_pilots_and_ends_at_all_budgets():
    shape = demands.adoption(Demand(pilot=0.3, midpoint=1.5 * YEAR, speed=4 / YEAR), MONTHLY)
    years = np.arange(1, 37) / 12
    np.testing.assert_allclose(shape, 0.3 + 0.7 / (1 + np.exp(-4 * (years - 1.5))), rtol=1e-9)
    np.testing.assert_allclose(demands.adoption(Demand(), MONTHLY), 1.0)


def test_tokens_are_users_times_tasks_times_length():
    found = demands.token_demand(scalar(1e8), scalar(5 / 86400), scalar(2e4), scalar(0.5))
    assert found == pytest.approx(1e8 * 5 / 86400 * 1e4)


def test_demand_answers_prices_with_its_elasticity():
    price = jnp.exp(-1.4 * MONTHLY / YEAR)
    found = demands.independent_demand(Demand(elasticity=1.36), price, scalar(0.0), MONTHLY)
    np.testing.assert_allclose(np.log(found), 1.36 * 1.4 * np.arange(1, 37) / 12, rtol=1e-9)


def test_a_shock_takes_its_share_from_its_day_on():
    found = demands.independent_demand(
        Demand(shock=0.2, shock_time=YEAR, undershoot=0.5), jnp.ones(36), scalar(0.0), MONTHLY
    )
    np.testing.assert_allclose(found[:11], 0.5)
    np.testing.assert_allclose(found[11:], 0.4)


def test_reflexive_demand_is_the_recursion_of_the_literature():
    """D_{k+1} = D_k e^g (p_{k+1}/p_k)^-eps + kappa C_k, one step a year."""
    years, growth, elasticity, kappa = np.arange(6), 0.3, 1.4, 0.2
    price, capacity = 0.8**years, np.linspace(0.2, 1.0, 6)
    expected = [0.6 * np.exp(0)]
    for k in range(5):
        step = np.exp(growth) * (price[k + 1] / price[k]) ** -elasticity
        expected.append(expected[-1] * step + kappa * capacity[k])
    times = jnp.asarray(years * YEAR)
    independent = demands.independent_demand(
        Demand(level=0.6, growth=growth / YEAR, elasticity=elasticity), jnp.asarray(price), scalar(0.0), times
    )
    found = demands.reflexive_demand(independent, jnp.asarray(capacity), scalar(kappa / YEAR), times)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


# projects
def test_growing_spending_is_the_integral_of_an_exponential():
    program = Project(build=4 * YEAR, growth=0.356 / YEAR)
    share = float(project.spent_share(program, scalar(2.5 * YEAR)))
    rate = lambda t: np.exp(0.356 * t)
    assert share == pytest.approx(integrate.quad(rate, 0, 2.5)[0] / integrate.quad(rate, 0, 4)[0])
    assert project.spent_share(program, scalar(9 * YEAR)) == pytest.approx(1.0)
    assert project.spent_share(program, scalar(-1.0)) == pytest.approx(0.0)


def test_four_years_of_hyperscaler_capex_grow_from_202_to_587_billion():
    program = Project(build=4 * YEAR, growth=0.356 / YEAR)
    edges = jnp.arange(5) * YEAR
    yearly = np.diff([float(project.spent_share(program, t)) for t in edges]) * 1725
    assert yearly[-1] / yearly[0] == pytest.approx(587 / 201.8, rel=2e-3)
    assert yearly == pytest.approx([201.8, 400, 536, 587], rel=0.3)  # 2026 is above the exponential


def test_capacity_serves_from_lead_and_delay_until_its_life_ends():
    built = Project(lead=0.5 * YEAR, life=5 * YEAR)
    at = lambda years: float(project.service_share(built, scalar(0.5 * YEAR), scalar(years * YEAR)))
    assert [at(t) for t in (0.9, 1.1, 5.9, 6.1)] == [0.0, 1.0, 1.0, 0.0]


EPOCH = Project(
    capex=25.5e9,
    facility=12.5e9,
    life=5 * YEAR,
    facility_life=14 * YEAR,
    power=1e9,
    electricity=68 / 3.6e9,
    opex=0.3e9 / YEAR,
)


@pytest.mark.parametrize(("life", "published"), [(3, 12.05), (4, 9.86), (5, 8.55), (6, 7.68), (7, 7.06)])
def test_a_gigawatt_costs_what_epoch_publishes(life, published):
    site = eqx.tree_at(lambda p: p.life, EPOCH, scalar(life * YEAR))
    cost = project.ownership_cost(site, Finance(wacc=0.07), scalar(25.5e9)) * YEAR / 1e9
    assert cost == pytest.approx(published, abs=0.012)


def test_assets_without_end_cost_their_interest():
    endless = Project(capex=100.0, facility=50.0)
    cost = project.ownership_cost(endless, Finance(wacc=0.1), scalar(100.0)) * YEAR
    assert cost == pytest.approx(15.0)


def test_revenue_must_leave_the_margin():
    needed = project.required_revenue(EPOCH, Finance(wacc=0.07, margin=0.3), scalar(25.5e9))
    assert needed * 0.7 == pytest.approx(
        float(project.ownership_cost(EPOCH, Finance(wacc=0.07), scalar(25.5e9)))
    )


def test_custom_silicon_leases_and_memory_move_the_purchase_price():
    buy = lambda uplift=0.0, **fields: float(project.capital(Project(capex=100.0, **fields), scalar(uplift)))
    assert buy() == pytest.approx(100.0)
    assert buy(accelerators=0.39, custom=1.0, custom_price=1.2 / 2.3) == pytest.approx(
        100 * (1 - 0.39 * 1.1 / 2.3)
    )
    assert buy(leases=0.3) == pytest.approx(130.0)
    assert buy(0.257 * 0.5) == pytest.approx(112.85)


def test_capex_is_written_off_once_and_the_building_keeps_its_unexpired_life():
    edges = jnp.arange(121) * YEAR / 12
    finance = Finance(depreciation=4 * YEAR)
    assert jnp.sum(project.write_off(EPOCH, finance, scalar(25.5e9), edges)) == pytest.approx(38e9)
    assert jnp.sum(project.write_off(EPOCH, Finance(), scalar(25.5e9), edges)) == pytest.approx(0.0)
    left = eqx.tree_at(lambda p: p.residual, EPOCH, scalar(0.1))
    assert jnp.sum(project.resale(left, scalar(25.5e9), scalar(0.0), edges)) == pytest.approx(
        2.55e9 + 12.5e9 * 9 / 14
    )
    assert jnp.sum(project.spending(EPOCH, scalar(25.5e9), edges)) == pytest.approx(38e9)


# one path
EDGES = jnp.arange(61) * YEAR / 12
QUIET = draws_of(jnp.full(draws_needed(2, 60), 0.5), jnp.arange(2))
PAIR = stack([Contract(term=5 * YEAR, value=60.0), Contract(term=5 * YEAR, value=40.0, ramp=YEAR)])
run = jax.jit(result)


def world(book=PAIR, supply=None, **parts):
    scenario = neutral()
    for name, part in parts.items():
        scenario = eqx.tree_at(lambda s, name=name: getattr(s, name), scenario, part)
    return World(scenario, book, supply or without_supply_agreement())


def test_where_nothing_happens_a_book_earns_its_headline():
    found = run(world(), QUIET, EDGES)
    assert jnp.sum(found.contracts.total) == pytest.approx(100.0)
    np.testing.assert_allclose(found.prices.usage, 1.0)
    np.testing.assert_allclose(found.prices.rent, 1.0)


def test_flows_of_a_quiet_project_are_capex_revenue_and_resale():
    built = Project(capex=80.0, life=5 * YEAR, opex=4 / YEAR, residual=0.1)
    found = run(world(project=built, finance=Finance(base_dscr=1.4, debt_rate=0.06)), QUIET, EDGES)
    assert jnp.sum(found.flow.unlevered) == pytest.approx(100 - 80 - 20 + 8)
    assert found.flow.operations.resale[-1] == pytest.approx(8.0)  # retired on the last day of the horizon
    due = found.flow.loan.service > 0
    np.testing.assert_allclose((found.flow.available / found.flow.loan.service)[due], 1.4, rtol=1e-9)


def test_merchant_capacity_sells_what_is_wanted_at_market_prices():
    parts = {"project": Project(merchant=20 / YEAR), "demand": Demand(level=0.6), "rent": Rent(level=0.9)}
    quiet = run(world(**parts), QUIET, EDGES)
    sold = merchant_revenue(world(**parts), quiet.prices, EDGES)
    assert jnp.sum(sold) == pytest.approx(5 * 20 * 0.6 * 0.9)


def test_a_backstop_buys_the_unsold_rest_up_to_its_limit():
    parts = {"project": Project(merchant=20 / YEAR), "demand": Demand(level=0.6)}
    total = lambda amount: float(
        jnp.sum(
            merchant_revenue(
                world(eqx.tree_at(lambda b: b.backstop, PAIR, jnp.asarray([amount, 0.0])), **parts),
                run(world(**parts), QUIET, EDGES).prices,
                EDGES,
            )
        )
    )
    assert [total(a) for a in (0.0, 15.0, 1000.0)] == pytest.approx([60.0, 75.0, 100.0])


def test_locked_memory_costs_its_price_and_the_carry_of_the_prepayment():
    lock = Contract(term=3 * YEAR, prepaid=0.22)
    parts = {"finance": Finance(wacc=0.1), "project": Project(capex=1.0, build=YEAR)}
    paid = lambda locked: float(
        purchase_price_of_memory(
            world(supply=lock, memory_market=Memory(locked=locked), **parts), jnp.full(60, 1.9), EDGES
        )
    )
    carry = 0.22 * (1.1**3 - 1)
    assert [paid(x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.9, (1.9 + 1 + carry) / 2, 1 + carry])


def test_uniforms_get_their_meaning_in_order():
    draws = draws_of(jnp.asarray(stats.norm.cdf(np.arange(4 + 4 + 10) / 8)), jnp.asarray([0, 0]))
    assert isinstance(draws, Draws)
    lone = [float(getattr(draws, name)) for name in ("factor", "level", "demand", "slip")]
    assert lone == pytest.approx([0, 1 / 8, 2 / 8, 3 / 8], abs=1e-9)
    np.testing.assert_allclose(draws.own, [4 / 8, 4 / 8], rtol=1e-9)  # two contracts of one buyer
    np.testing.assert_allclose(draws.memory, [10 / 8, 11 / 8], rtol=1e-9)
    np.testing.assert_allclose(draws.jump, stats.norm.cdf([14 / 8, 15 / 8]), rtol=1e-9)
    np.testing.assert_allclose(draws.regime, stats.norm.cdf([16 / 8, 17 / 8]), rtol=1e-9)


def test_ownership_cost_falls_with_life_and_rises_with_rates():
    lives = jax.vmap(lambda n: annuity(scalar(0.08), n))(jnp.linspace(2.0, 10.0, 30))
    assert jnp.all(jnp.diff(lives) < 0)
    cost = lambda r: project.ownership_cost(EPOCH, Finance(wacc=r), scalar(25.5e9))
    assert jax.grad(cost)(scalar(0.08)) > 0
