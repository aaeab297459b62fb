"""Economic life under falling rents; capacity and contracts under uncertain demand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import lognorm

from clustermodel.catalog import load_catalog
from clustermodel.economics.contracts import expected_billed_share
from clustermodel.economics.levelized import owned_cost, purchase_price, running_cost
from clustermodel.economics.newsvendor import (
    Order,
    best_capacity,
    critical_ratio,
    expected_profit,
    expected_utilisation,
)
from clustermodel.economics.obsolescence import (
    believed_decline,
    break_even_rent,
    economic_life,
    front_loaded_rent,
    implied_obsolescence,
)
from clustermodel.scenarios import Contract
from clustermodel.units import SECONDS_PER_YEAR

MANY = 16_400
HOURS = 8760
H100 = (27_070.0, 0.366 * HOURS)  # USD, USD/year of running cost
GB200 = (51_200.0, 0.445 * HOURS)
TABLE = [  # decline per year, first rent USD/h and life in years of H100, then of GB200; interest 8 %
    (0.1, 1.20, 11.9, 1.88, 14.4),
    (0.2, 1.65, 7.5, 2.65, 8.9),
    (0.3, 2.05, 5.7, 3.36, 6.7),
    (0.4, 2.43, 4.7, 4.05, 5.5),
    (0.5, 2.79, 4.1, 4.71, 4.7),
]


def scalar(value):
    return jnp.asarray(value, dtype=float)


rent_compiled, implied_compiled = jax.jit(break_even_rent), jax.jit(implied_obsolescence)


def break_even(asset, decline, rate=0.08):
    return rent_compiled(*map(scalar, (*asset, decline, rate)))


@pytest.mark.parametrize(("decline", "h100", "h100_life", "gb200", "gb200_life"), TABLE)
def test_first_rent_and_economic_life_are_those_of_the_table(decline, h100, h100_life, gb200, gb200_life):
    """Published to a cent and a tenth of a year; 1 % as the table's own rounding."""
    for asset, rent, life in ((H100, h100, h100_life), (GB200, gb200, gb200_life)):
        found = break_even(asset, decline)
        assert float(found.rent) / HOURS == pytest.approx(rent, rel=1e-2)
        assert float(found.life) == pytest.approx(life, rel=1e-2)


@given(
    decline=st.floats(0.02, 2.0),
    rate=st.floats(0.0, 0.3),
    capital=st.floats(1e3, 1e5),
    running=st.floats(10.0, 1e4),
)
def test_the_first_rent_repays_the_asset_by_numerical_integration(decline, rate, capital, running):
    found = rent_compiled(*map(scalar, (capital, running, decline, rate)))
    rent, life = float(found.rent), float(found.life)
    earned = lambda t: (rent * np.exp(-decline * t) - running) * np.exp(-rate * t)
    assert quad(earned, 0, life, epsabs=0, epsrel=1e-10, limit=500)[0] == pytest.approx(capital, rel=1e-6)
    assert rent * np.exp(-decline * life) == pytest.approx(running, rel=1e-9)


@pytest.mark.parametrize("decline", [0.1, 0.3, 0.5])
def test_the_first_rent_is_that_of_an_independent_root_finder(decline):
    capital, running = H100

    def worth(rent):
        life = np.log(rent / running) / decline
        a, r = decline + 0.08, 0.08
        return rent * (1 - np.exp(-a * life)) / a - running * (1 - np.exp(-r * life)) / r - capital

    expected = brentq(worth, running * 1.0001, running * 1e3, xtol=1e-10)
    assert float(break_even(H100, decline).rent) == pytest.approx(expected, rel=1e-9)


@given(decline=st.floats(0.02, 2.0), rate=st.floats(0.0, 0.3))
def test_the_decline_implied_by_the_break_even_rent_is_the_decline(decline, rate):
    rent = break_even(GB200, decline, rate).rent
    found = implied_compiled(rent, *map(scalar, (*GB200, rate)))
    assert float(found) == pytest.approx(decline, rel=1e-7)


def test_blackwell_rents_believe_in_a_decline_of_thirty_percent_a_year():
    found = implied_obsolescence(scalar(3.30 * HOURS), *map(scalar, (*GB200, 0.08)))
    assert float(found) == pytest.approx(0.29, abs=0.005)


@pytest.mark.parametrize(("rent", "decline"), [(1.70, 0.21), (2.60, 0.45)])
def test_hopper_rents_believe_in_declines_between_21_and_45_percent(rent, decline):
    found = implied_obsolescence(scalar(rent * HOURS), *map(scalar, (*H100, 0.08)))
    assert float(found) == pytest.approx(decline, abs=0.005)


def test_a_rent_below_the_cost_of_capital_implies_no_decline():
    capital, running = H100
    too_low = running + 0.9 * 0.08 * capital  # interest alone is not earned
    assert bool(jnp.isnan(implied_obsolescence(*map(scalar, (too_low, capital, running, 0.08)))))


def test_without_decline_the_rent_is_interest_and_running_cost():
    capital, running = H100
    assert float(break_even(H100, 1e-6).rent) == pytest.approx(running + 0.08 * capital, rel=1e-3)


@pytest.mark.parametrize(("decline", "years"), [(0.2, 6.3), (0.3, 4.2), (0.41, 3.1)])
def test_an_h100_retires_when_its_price_meets_its_cash_cost(decline, years):
    """ln(1.30 / 0.366) / g, published to a tenth of a year."""
    found = economic_life(scalar(1.30), scalar(0.366), scalar(decline))
    assert float(found) == pytest.approx(years, abs=0.06)


@given(decline=st.floats(0.05, 1.0), more=st.floats(0.01, 0.5))
def test_faster_decline_means_a_higher_first_rent_and_a_shorter_life(decline, more):
    slow, fast = break_even(H100, decline), break_even(H100, decline + more)
    assert float(fast.rent) > float(slow.rent)
    assert float(fast.life) < float(slow.life)


def test_an_owners_first_rent_follows_from_its_cost_of_ownership():
    """HGX H100 of the catalogue: the rent per second is the textbook solution in years; its decline is believed."""
    catalog = load_catalog()
    system, site, terms = (
        catalog.entry(*entry).spec
        for entry in (("systems", "hgx-h100"), ("sites", "us-average"), ("prices", "ownership"))
    )
    power, per_year = scalar(900.0), scalar(0.3 / SECONDS_PER_YEAR)
    found = front_loaded_rent(system, site, terms, power, per_year)
    capital = float(purchase_price(system, terms) * (1 + terms.network_fraction))
    cash = float(running_cost(owned_cost(system, site, terms, power))) * SECONDS_PER_YEAR
    yearly = break_even((capital, cash), 0.3, np.log(1.08))
    assert float(found.rent) * SECONDS_PER_YEAR == pytest.approx(float(yearly.rent), rel=1e-9)
    assert float(found.life) / SECONDS_PER_YEAR == pytest.approx(float(yearly.life), rel=1e-9)
    believed = believed_decline(system, site, terms, power, found.rent)
    assert float(believed) * SECONDS_PER_YEAR == pytest.approx(0.3, rel=1e-7)


def test_gradients_of_rent_life_and_implied_decline_agree_with_finite_differences():
    def rent(capital, running, decline, rate):
        return break_even_rent(capital * 1e4, running * 1e3, decline, rate).rent / 1e4

    check_grads(jax.jit(rent), tuple(map(scalar, (2.7, 3.2, 0.3, 0.08))), order=1, eps=1e-5)
    implied = lambda rent, rate: implied_obsolescence(rent * 1e4, scalar(51_200.0), scalar(3898.0), rate)
    check_grads(jax.jit(implied), (scalar(2.9), scalar(0.08)), order=1, eps=1e-5)


def test_many_declines_at_once_are_the_loop_and_compilation_changes_nothing():
    """Bisection ends at the spacing of float64 over an interval of 50 log units."""
    declines = jnp.linspace(0.05, 1.0, MANY)
    rent = lambda decline: break_even_rent(*map(scalar, H100), decline, scalar(0.08)).rent
    many = jax.jit(jax.vmap(rent))(declines)
    np.testing.assert_allclose(jax.vmap(rent)(declines), many, rtol=1e-12)
    for index in (0, MANY // 2, 16_384, MANY - 1):
        assert float(many[index]) == pytest.approx(float(rent(declines[index])), rel=1e-12)


# newsvendor

orders = st.tuples(st.floats(1.1, 10.0), st.floats(0.0, 0.9))
demands = st.tuples(st.floats(1.0, 1e3), st.floats(0.1, 1.5))
profit_compiled = jax.jit(lambda order, k, demand: expected_profit(Order(*order), k, *demand))


@given(order=orders, demand=demands)
def test_no_other_capacity_earns_more_than_the_best(order, demand):
    price, salvage = order
    best = float(best_capacity(Order(price, 1.0, salvage), *map(scalar, demand)))
    loss = lambda log_k: (
        -float(profit_compiled((price, 1.0, salvage), scalar(np.exp(log_k)), tuple(map(scalar, demand))))
    )
    found = minimize_scalar(loss, bracket=(np.log(best) - 0.5, np.log(best) + 0.3), tol=1e-12)
    assert loss(np.log(best)) <= found.fun + 1e-9 * abs(found.fun)


@pytest.mark.parametrize(
    ("capacity", "median", "spread"), [(100.0, 110.0, 0.3), (80.0, 90.0, 0.4), (40.0, 60.0, 0.6)]
)
def test_expected_profit_is_that_of_numerical_integration(capacity, median, spread):
    price, cost, salvage = 2.35, 1.30, 0.2
    density = lognorm(spread, scale=median).pdf
    sold = quad(lambda d: d * density(d), 0, capacity, epsrel=1e-11)[0]
    sold += capacity * lognorm(spread, scale=median).sf(capacity)
    expected = price * sold + salvage * (capacity - sold) - cost * capacity
    found = expected_profit(Order(price, cost, salvage), *map(scalar, (capacity, median, spread)))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    used = expected_utilisation(*map(scalar, (capacity, median, spread)))
    assert float(used) == pytest.approx(sold / capacity, rel=1e-6)


def test_profit_is_flat_at_the_best_capacity_and_met_demand_has_the_critical_chance():
    order, median, spread = Order(2.35, 1.30, 0.2), scalar(90.0), scalar(0.4)
    best = best_capacity(order, median, spread)
    assert float(jax.grad(expected_profit, argnums=1)(order, best, median, spread)) == pytest.approx(
        0, abs=1e-12
    )
    assert lognorm(0.4, scale=90.0).cdf(float(best)) == pytest.approx(float(critical_ratio(order)), rel=1e-9)


# take-or-pay

FLOORS = (0.0, 0.5, 0.7, 0.85, 1.0)
BILLED = {  # median and log deviation of demand for 100 agreed units at a price of 1 -> expected bill by floor
    (110.0, 0.3): (93.35, 93.36, 93.89, 95.76, 100.0),
    (90.0, 0.4): (83.06, 83.61, 86.80, 92.11, 100.0),
    (60.0, 0.6): (62.77, 68.66, 78.60, 88.55, 100.0),
}


@pytest.mark.parametrize(
    ("demand", "floor", "bill"),
    [(d, f, b) for d, r in BILLED.items() for f, b in zip(FLOORS, r, strict=True)],
)
def test_expected_take_or_pay_bills_are_those_of_the_table_and_of_integration(demand, floor, bill):
    """The table to its last digit; numerical integration of max(min(D, V), floor V) to 1e-6."""
    median, spread = demand
    contract = Contract(term=SECONDS_PER_YEAR, take_or_pay=floor)
    found = 100 * float(expected_billed_share(contract, scalar(median / 100), scalar(spread)))
    assert found == pytest.approx(bill, abs=0.005 + 1e-9)
    demand = lognorm(spread, scale=median)
    between = quad(lambda d: d * demand.pdf(d), 100 * floor, 100, epsrel=1e-11)[0]
    expected = 100 * floor * demand.cdf(100 * floor) + between + 100 * demand.sf(100)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("price", [0.5, 1.29, 1.30])
def test_who_sells_at_a_loss_holds_nothing(price):
    order = Order(price, 1.30, 0.2)
    assert critical_ratio(order) == 0
    assert best_capacity(order, scalar(90.0), scalar(0.4)) == 0
    assert expected_profit(order, scalar(0.0), scalar(90.0), scalar(0.4)) == 0


@pytest.mark.parametrize("capacity", [50.0, 90.0, 120.0])
def test_a_demand_that_is_known_is_sold_up_to_the_capacity(capacity):
    order = Order(2.35, 1.30, 0.2)
    profit = expected_profit(order, scalar(capacity), scalar(90.0), scalar(0.0))
    unsold = max(capacity - 90.0, 0.0)
    assert profit == pytest.approx(2.35 * min(capacity, 90.0) + 0.2 * unsold - 1.30 * capacity, rel=1e-12)
    slope = jax.grad(expected_profit, argnums=3)(order, scalar(capacity), scalar(90.0), scalar(0.0))
    assert np.isfinite(slope)
