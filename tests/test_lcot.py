"""Levelized cost of tokens, margins and what market quotes imply."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from clustermodel.economics import margin, market
from clustermodel.economics.annuity import annuity
from clustermodel.economics.lcot import lcoe, lcot, lcot_declining, lcot_real
from clustermodel.economics.rates import real_rate

MANY = 16_400
interest = st.floats(0.0, 0.3)
declines = st.floats(0.0, 3.0)
streams = st.lists(st.floats(0.1, 1e3), min_size=5, max_size=5)


def scalar(value):
    return jnp.asarray(value, dtype=float)


level, declining, real = jax.jit(lcot), jax.jit(lcot_declining), jax.jit(lcot_real)


@given(rate=interest, costs=streams, tokens=streams)
def test_selling_at_the_levelized_cost_is_worth_nothing(rate, costs, tokens):
    price = float(level(scalar(rate), scalar(costs), scalar(tokens)))
    profit = price * np.array(tokens) - np.array(costs)
    assert npf.npv(rate, profit) == pytest.approx(0.0, abs=1e-12 * npf.npv(rate, costs))


@given(rate=interest, decline=declines, costs=streams, tokens=streams)
def test_selling_at_the_declining_price_is_worth_nothing(rate, decline, costs, tokens):
    first = float(declining(scalar(rate), scalar(costs), scalar(tokens), scalar(decline)))
    profit = first * np.exp(-decline * np.arange(5)) * np.array(tokens) - np.array(costs)
    assert npf.npv(rate, profit) == pytest.approx(0.0, abs=1e-12 * npf.npv(rate, costs))


@given(rate=interest, decline=st.floats(0.01, 3.0), costs=streams, tokens=streams)
def test_falling_prices_ask_for_a_higher_first_price(rate, decline, costs, tokens):
    arguments = scalar(rate), scalar(costs), scalar(tokens)
    assert float(declining(*arguments, scalar(decline))) > float(level(*arguments))
    assert float(declining(*arguments, scalar(0.0))) == pytest.approx(float(level(*arguments)), rel=1e-14)


@given(real_interest=interest, inflation=st.floats(-0.02, 0.2), costs=streams, tokens=streams)
def test_nominal_and_real_money_give_the_same_real_cost(real_interest, inflation, costs, tokens):
    """Costs that rise with inflation at a nominal rate, or today's costs at a real rate."""
    nominal = (1 + real_interest) * (1 + inflation) - 1
    risen = np.array(costs) * (1 + inflation) ** np.arange(5)
    found = real(scalar(nominal), scalar(risen), scalar(tokens), scalar(inflation))
    back = real_rate(scalar(nominal), scalar(inflation))
    assert float(found) == pytest.approx(float(level(back, scalar(costs), scalar(tokens))), rel=1e-10)


def test_a_level_plant_costs_its_annuity_over_its_output():
    """Price K today, the same tokens at the end of each of four years: K crf / tokens."""
    costs, tokens = scalar([1000.0, 50, 50, 50, 50]), scalar([0.0, 8, 8, 8, 8])
    expected = (1000 * float(annuity(scalar(0.08), scalar(4.0))) + 50) / 8
    assert float(lcot(scalar(0.08), costs, tokens)) == pytest.approx(expected, rel=1e-13)
    charge = annuity(scalar(0.08), scalar(4.0))
    fixed = lcoe(charge, scalar(1000.0), scalar(50.0), scalar(8.0), scalar(0.0))
    assert float(fixed) == pytest.approx(expected, rel=1e-13)


def test_gradients_of_the_levelized_cost_agree_with_finite_differences():
    costs, tokens = scalar([1.0, 0.1, 0.1, 0.1]), scalar([0.0, 4, 5, 6])
    check_grads(declining, (scalar(0.08), costs, tokens, scalar(0.4)), order=2, eps=1e-4)


def test_many_declines_at_once_are_the_loop_and_compilation_changes_nothing():
    costs, tokens = scalar([10.0, 1, 1, 1]), scalar([0.0, 4, 5, 6])
    declines = jnp.linspace(0.0, 3.0, MANY)
    price = lambda decline: lcot_declining(scalar(0.08), costs, tokens, decline)
    eager = jax.vmap(price)(declines)
    np.testing.assert_allclose(jax.jit(jax.vmap(price))(declines), eager, rtol=1e-13)
    for index in (0, MANY // 2, 16_384, MANY - 1):
        assert float(eager[index]) == pytest.approx(float(price(declines[index])), rel=1e-13)


# margins


@given(cost=st.floats(1e-3, 1e3), share=st.floats(0.0, 0.99))
def test_a_price_at_a_margin_leaves_that_margin(cost, share):
    price = margin.price_at_margin(scalar(cost), scalar(share))
    assert float(margin.gross_margin(price, scalar(cost))) == pytest.approx(share, abs=1e-12)
    profit = margin.cost_profit_margin(price, scalar(cost))
    assert float(profit) == pytest.approx(share / (1 - share), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("cost", "rent", "percent"),
    [(1.69, 1.70, 99), (1.69, 2.35, 72), (1.69, 2.60, 65), (1.69, 2.85, 59), (2.34, 5.30, 44)],
)
def test_break_even_utilisation_of_merchant_accelerators(cost, rent, percent):
    """H100 and B200 at neocloud cost of ownership and market rents, published in whole percent."""
    found = 100 * float(margin.break_even_utilisation(scalar(cost), scalar(rent)))
    assert found == pytest.approx(percent, abs=0.5)


@given(fixed=st.floats(1.0, 1e6), variable=st.floats(0.01, 10.0), saving=st.floats(0.01, 10.0))
def test_beyond_the_break_even_volume_owning_is_cheaper_than_buying(fixed, variable, saving):
    price = variable + saving
    volume = float(margin.break_even_volume(*map(scalar, (fixed, price, variable))))
    assert fixed + variable * volume == pytest.approx(price * volume, rel=1e-9)
    assert fixed + variable * 1.01 * volume < price * 1.01 * volume


def test_who_makes_tokens_dearer_than_they_sell_never_breaks_even():
    assert float(margin.break_even_volume(*map(scalar, (100.0, 1.0, 1.0)))) == np.inf
    slope = jax.grad(margin.break_even_volume, argnums=1)(*map(scalar, (100.0, 1.0, 1.5)))
    assert float(slope) == 0.0


# market


@pytest.mark.parametrize(("decline", "expected"), [(0.7, 26.3), (0.9, 21.0)])
def test_a_racks_three_year_revenue_under_falling_prices(decline, expected):
    """1.5 million tok/s at 0.40 USD/Mtok in the first year, then 70 % cheaper or 10 times cheaper a year."""
    first = 1.5 * 0.4 * 3600 * 8760 / 1e6
    found = market.stepped_revenue(scalar(first), scalar(decline), scalar(3.0))
    assert float(found) == pytest.approx(expected, abs=0.05)


@given(decline=st.floats(-0.5, 0.99), years=st.integers(1, 12))
def test_stepped_revenue_is_the_sum_of_its_years(decline, years):
    expected = sum((1 - decline) ** k for k in range(years))
    found = market.stepped_revenue(scalar(1.0), scalar(decline), scalar(years))
    assert float(found) == pytest.approx(expected, rel=1e-9)


@given(
    short=st.floats(0.1, 10.0),
    forward=st.floats(0.1, 10.0),
    first=st.floats(0.1, 3.0),
    more=st.floats(0.1, 3.0),
)
def test_a_long_contract_costs_the_short_one_and_the_forward(short, forward, first, more):
    long = (short * first + forward * more) / (first + more)
    found = market.forward_rent(scalar(short), scalar(long), scalar(first), scalar(first + more))
    assert float(found) == pytest.approx(forward, rel=1e-9)


@given(start=st.floats(1.0, 1e3), time=st.floats(0.1, 50.0), span=st.floats(0.1, 50.0))
def test_a_quantity_doubles_in_its_doubling_time(start, time, span):
    end = start * 2 ** (span / time)
    if np.isfinite(end) and end < 1e300:
        found = market.doubling_time(scalar(start), scalar(end), scalar(span))
        assert float(found) == pytest.approx(time, rel=1e-9)


def test_the_premium_for_speed_is_a_power_law():
    """B200 DeepSeek-R1: 2.5 times the speed at 4.0 instead of 0.56 USD/Mtok, exponent 2.15."""
    exponent = market.speed_exponent(scalar(4.0 / 0.56), scalar(2.5))
    assert float(exponent) == pytest.approx(2.15, abs=0.005)
    assert float(market.price_of_speed(scalar(0.56), scalar(2.5), exponent)) == pytest.approx(4.0, rel=1e-12)
