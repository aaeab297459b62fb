"""Contracts, deals, concentration, supply and options: closed forms, limits, published cases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy import integrate, stats

from clustermodel.economics import contracts, deals, options, supply
from clustermodel.economics.concentration import effective_names, hhi, known_names_hhi, shares, top_share
from clustermodel.scenarios import Contract, without_supply_agreement
from clustermodel.units import SECONDS_PER_YEAR

YEAR = float(SECONDS_PER_YEAR)
MONTH = YEAR / 12


def scalar(value):
    return jnp.asarray(value, dtype=float)


def contract(years=5.0, **fields):
    return Contract(term=years * YEAR, **fields)


# compiled once, so that hypothesis may call them often
@jax.jit
def owed(ramp, years, time):
    deal = contract(years, value=3.0, ramp=ramp * years * YEAR, start=YEAR)
    return contracts.remaining_obligation(deal, time)


@jax.jit
def delivered(ramp, years):
    return contracts.recognised_share(contract(5.0, ramp=ramp * 5 * YEAR), years * YEAR)


@jax.jit
def billed(usage, share):
    return contracts.billed_share(contract(take_or_pay=share), usage)


@jax.jit
def expected_bill(median, spread, share):
    return contracts.expected_billed_share(contract(take_or_pay=share), median, spread)


@jax.jit
def made_up(usage, share, years):
    return contracts.makeup_bills(contract(take_or_pay=share, makeup=years * YEAR), usage, scalar(YEAR))


@jax.jit
def settled(market, share, floor, above):
    deal = contract(index_share=share, price_floor=floor, price_cap=floor + above)
    return contracts.settled_price(deal, market)


@jax.jit
def collar_mean(market, share, floor, above):
    deal = contract(index_share=share, price_floor=floor, price_cap=floor + above)
    return options.collar_mean(deal, market[0], market[1])


concentration, names_alike = jax.jit(hhi), jax.jit(effective_names)
limited_mean = jax.jit(contracts.limited_mean)
waiting_multiple = jax.jit(options.waiting_multiple)


unit = st.floats(0.0, 1.0, allow_subnormal=False)
positive = st.floats(0.05, 20.0)


# what is promised over time
@given(ramp=unit, years=positive)
def test_nothing_is_owed_after_the_last_day(ramp, years):
    assert owed(ramp, years, (years + 1) * YEAR) == pytest.approx(0.0, abs=1e-12)
    assert owed(ramp, years, 0.0) == pytest.approx(3.0, abs=1e-12)


@given(ramp=unit, first=st.floats(-1.0, 7.0), second=st.floats(-1.0, 7.0))
def test_delivery_only_adds_up(ramp, first, second):
    early, late = (float(delivered(ramp, t)) for t in sorted((first, second)))
    assert 0 <= early <= late <= 1 + 1e-12


def test_delivery_is_the_integral_of_a_ramp_and_a_plateau():
    deal, at = contract(5.0, ramp=2 * YEAR), 3.3
    rate = lambda t: min(t / 2, 1.0)
    expected = integrate.quad(rate, 0, at, points=[2])[0] / integrate.quad(rate, 0, 5, points=[2])[0]
    assert contracts.recognised_share(deal, scalar(at * YEAR)) == pytest.approx(expected, rel=1e-9)


def test_twelve_months_of_a_level_contract_convert_a_fifth():
    deal = contract(5.0, value=100.0)
    assert contracts.current_obligation(deal, scalar(0.0), scalar(YEAR)) == pytest.approx(20.0, rel=1e-12)


def test_one_gigawatt_of_six_leaves_a_sixth_of_the_headline_firm():
    deal = contract(value=90e9, binding=1 / 6)
    assert contracts.effective_value(deal) == pytest.approx(15e9)
    likely = eqx.tree_at(lambda c: c.conversion, deal, scalar(0.5))
    assert contracts.effective_value(likely) == pytest.approx(15e9 + 37.5e9)


# take-or-pay
PUBLISHED = [  # evidence table: V = 100, p = 1; rounded to the last digit shown
    (110, 0.3, [93.35, 93.36, 93.89, 95.76, 100]),
    (90, 0.4, [83.06, 83.61, 86.80, 92.11, 100]),
    (60, 0.6, [62.77, 68.66, 78.60, 88.55, 100]),
]


@pytest.mark.parametrize(("median", "spread", "bills"), PUBLISHED)
def test_expected_take_or_pay_bills_equal_the_published_table(median, spread, bills):
    for share, bill in zip((0.0, 0.5, 0.7, 0.85, 1.0), bills, strict=True):
        found = expected_bill(median / 100, spread, share)
        assert 100 * found == pytest.approx(bill, abs=0.006)


@given(median=st.floats(0.2, 3.0), spread=st.floats(0.05, 1.5), share=unit)
def test_expected_bill_is_the_integral_over_demand(median, spread, share):
    found = expected_bill(median, spread, share)
    demand = stats.lognorm(spread, scale=median)
    # E[max(min(D, 1), phi)] = phi + int sf
    between = integrate.quad(demand.sf, share, 1.0, epsabs=1e-11, epsrel=1e-11, limit=200)[0]
    assert found == pytest.approx(share + between, abs=1e-9)


@given(median=positive, spread=st.floats(0.05, 1.5), first=unit, second=unit)
def test_expected_bill_rises_with_the_take_or_pay_share(median, spread, first, second):
    bills = [float(expected_bill(median, spread, share)) for share in sorted((first, second))]
    assert bills[0] <= bills[1] + 1e-12


@given(usage=st.floats(0.0, 3.0), share=unit)
def test_take_or_pay_never_bills_less_than_its_floor_or_more_than_the_volume(usage, share):
    assert share <= float(billed(usage, share)) <= 1.0


@given(median=positive, spread=st.floats(0.05, 1.5), limit=positive)
def test_limited_mean_lies_below_the_limit_and_below_the_mean(median, spread, limit):
    found = float(limited_mean(median, spread, limit))
    assert 0 <= found <= min(limit, median * np.exp(spread**2 / 2)) * (1 + 1e-12)


def test_limited_mean_has_the_gradients_of_its_closed_form():
    check_grads(
        limited_mean, (scalar(0.9), scalar(0.4), scalar(1.1)), order=2, atol=1e-5, rtol=1e-5, eps=1e-5
    )


def test_expected_bill_is_the_same_mapped_jitted_and_in_a_loop():
    draw = np.random.default_rng(0)
    medians, spreads = jnp.asarray(draw.uniform(0.2, 3, 16_400)), jnp.asarray(draw.uniform(0.1, 1, 16_400))
    mapped = jax.jit(jax.vmap(contracts.expected_billed_share, in_axes=(None, 0, 0)))
    found = mapped(contract(take_or_pay=0.85), medians, spreads)
    for index in (0, 8_191, 16_384, 16_399):
        each = contracts.expected_billed_share(contract(take_or_pay=0.85), medians[index], spreads[index])
        assert found[index] == pytest.approx(float(each), rel=1e-12)


# make-up
def test_without_make_up_unused_volume_is_lost():
    usage = jnp.asarray([0.2, 1.6, 1.0])
    bills = contracts.makeup_bills(contract(take_or_pay=0.8), usage, scalar(YEAR))
    np.testing.assert_allclose(bills, [0.8, 1.6, 1.0])


def test_make_up_volume_is_taken_from_the_next_excess():
    usage = jnp.asarray([0.2, 1.6, 1.3])  # 0.6 paid in vain, 0.6 above the volume next year, 0.3 later
    bills = contracts.makeup_bills(contract(take_or_pay=0.8, makeup=YEAR), usage, scalar(YEAR))
    np.testing.assert_allclose(bills, [0.8, 1.0, 1.3], atol=1e-12)


def test_make_up_volume_expires():
    usage = jnp.asarray([0.2, 1.0, 1.6])
    one_year = contracts.makeup_bills(contract(take_or_pay=0.8, makeup=YEAR), usage, scalar(YEAR))
    two_years = contracts.makeup_bills(contract(take_or_pay=0.8, makeup=2 * YEAR), usage, scalar(YEAR))
    assert one_year[-1] == pytest.approx(1.6)
    assert two_years[-1] == pytest.approx(1.0)


@given(usage=st.lists(st.floats(0.0, 2.0), min_size=6, max_size=6), share=unit, years=st.integers(0, 6))
def test_make_up_lowers_bills_by_no_more_than_was_paid_in_vain(usage, share, years):
    used = jnp.asarray(usage)
    bills, strict = made_up(used, share, years), made_up(used, share, 0)
    saved, paid_in_vain = float(jnp.sum(strict - bills)), float(jnp.sum(jnp.maximum(share - used, 0)))
    assert -1e-9 <= saved <= paid_in_vain + 1e-9
    assert np.all(bills >= share - 1e-9)


# prices, backstops, exits
@given(market=positive, share=unit, floor=unit, above=st.floats(0.0, 2.0))
def test_settled_price_stays_inside_its_collar(market, share, floor, above):
    assert floor <= float(settled(market, share, floor, above)) <= floor + above


def test_a_fixed_price_ignores_the_market_and_a_missing_agreement_follows_it():
    assert contracts.settled_price(contract(), scalar(1.9)) == pytest.approx(1.0)
    assert contracts.settled_price(without_supply_agreement(), scalar(1.9)) == pytest.approx(1.9)


@given(
    median=st.floats(0.3, 3.0),
    share=st.floats(0.01, 1.0),
    floor=st.floats(0.0, 2.0),
    above=st.floats(0.0, 2.0),
)
def test_collar_mean_is_the_integral_of_the_settled_price(median, share, floor, above):
    """E[clip(x, f, c)] = f + integral of P(x > t) over the collar, with x = 1 - b + b m."""
    chance = lambda t: stats.lognorm.sf((t - 1 + share) / share, 0.4, scale=median)
    kink = [1 - share] if floor < 1 - share < floor + above else None
    expected = floor + integrate.quad(chance, floor, floor + above, points=kink, epsabs=1e-10, limit=200)[0]
    assert collar_mean((median, 0.4), share, floor, above) == pytest.approx(expected, abs=1e-6)


def test_a_fixed_price_has_the_mean_of_its_limits():
    assert collar_mean((1.9, 0.4), 0.0, 0.5, 0.25) == pytest.approx(0.75)
    assert collar_mean((1.9, 0.4), 0.0, 0.5, 1.0) == pytest.approx(1.0)


def test_a_backstop_pays_the_smaller_of_unsold_and_promised():
    paid = [float(contracts.backstop_payment(contract(backstop=15.0), scalar(u))) for u in (-5, 0, 8, 40)]
    assert paid == [0.0, 0.0, 8.0, 15.0]


def test_leaving_a_power_contract_costs_three_years_of_minimum_bills_and_no_more_than_the_rest():
    tariff = contract(12.0, value=12.0, take_or_pay=0.85, exit_fee=3 * YEAR)
    assert contracts.exit_charge(tariff, scalar(5 * YEAR)) == pytest.approx(0.85 * 3)
    assert contracts.exit_charge(tariff, scalar(11 * YEAR)) == pytest.approx(0.85 * 1)
    assert contracts.exit_charge(tariff, scalar(12 * YEAR)) == pytest.approx(0.0, abs=1e-12)


def test_a_buyer_leaves_only_if_the_delivery_is_late_and_the_market_cheaper():
    deal = contract(value=3.0, grace=3 * MONTH)
    value = lambda months, market: contracts.delivery_option(deal, scalar(months * MONTH), scalar(market))
    assert value(4, 0.7) == pytest.approx(0.9)
    assert value(2, 0.7) == pytest.approx(0.0)
    assert value(4, 1.2) == pytest.approx(0.0)


# deals
GIGAWATT_YEARS = [  # $B per GW-year as the study derives them
    ("google-anthropic", 200e9, 5, 5e9, 8.0),
    ("oracle-openai", 300e9, 5, 4.5e9, 13.3),
    ("nebius-msft", 17.4e9, 5, 0.3e9, 11.6),
    ("cerebras-openai", 20e9, 3, 0.75e9, 8.9),
    ("aws-anthropic", 100e9, 10, 5e9, 2.0),
]


@pytest.mark.parametrize(("name", "value", "years", "power", "expected"), GIGAWATT_YEARS)
def test_deals_per_gigawatt_year(name, value, years, power, expected):
    price = deals.capacity_price(contract(years, value=value, power=power)) * YEAR
    assert price == pytest.approx(expected, rel=0.006)  # the study rounds to 0.1


def test_selling_eight_against_a_cost_of_eight_and_a_half_loses_six_per_cent():
    assert deals.deal_margin(scalar(8.0), scalar(8.5)) == pytest.approx(-0.0625)
    assert deals.deal_margin(scalar(8.0), scalar(8.5 * 0.75)) == pytest.approx(0.203, abs=1e-3)


def test_circularity_of_announced_deals():
    amd = contract(value=90e9, warrants=34e9)
    google = contract(value=200e9, vendor_funding=40e9)
    amazon = contract(value=100e9, vendor_funding=25e9)
    found = [float(deals.circularity(each)) for each in (amd, google, amazon)]
    assert found == pytest.approx([0.378, 0.20, 0.25], abs=1e-3)
    assert deals.net_value(amd) == pytest.approx(56e9)
    at_600 = eqx.tree_at(lambda c: c.warrants, amd, scalar(96e9))
    assert deals.circularity(at_600) > 1
    assert deals.net_value(at_600) == pytest.approx(0.0)


def test_hardware_of_the_buyer_leaves_no_capex_and_the_payback_price_is_opex():
    deal = contract(buyer_hardware=1.0, payback=2.5 * YEAR)
    left = deals.buyer_funded_capex(deal, scalar(75e9))
    assert left == pytest.approx(0.0)
    assert deals.payback_price(deal, left, scalar(2.0)) == pytest.approx(2.0)
    assert deals.payback_price(deal, scalar(2.5 * YEAR), scalar(2.0)) == pytest.approx(3.0)


# concentration
@given(st.lists(st.floats(0.01, 100), min_size=6, max_size=6))
def test_concentration_lies_between_equal_shares_and_one_name(values):
    exposure = jnp.asarray(values)
    assert 1e4 / 6 * (1 - 1e-9) <= concentration(exposure) <= 1e4 * (1 + 1e-9)
    assert names_alike(exposure) * concentration(exposure) == pytest.approx(1e4)


@given(st.lists(st.floats(0.01, 100), min_size=6, max_size=6))
def test_merging_two_buyers_concentrates_a_book(values):
    merged = [values[0] + values[1], *values[2:]]
    assert concentration(jnp.asarray(merged)) > concentration(jnp.asarray(values))


def test_shares_sum_to_one_and_the_largest_come_first():
    exposure = jnp.asarray([1.0, 4, 3, 2])
    assert jnp.sum(shares(exposure)) == pytest.approx(1.0)
    assert [float(top_share(exposure, n)) for n in (1, 2, 4)] == pytest.approx([0.4, 0.7, 1.0])


def test_the_four_clouds_as_sellers():
    assert hhi(jnp.asarray([625.0, 523, 244, 240])) == pytest.approx(2933, abs=1)
    assert hhi(jnp.asarray([627.0, 638, 462, 364])) == pytest.approx(2621, abs=1)


def test_openai_and_anthropic_are_half_of_the_backlog():
    known, total = jnp.asarray([281.0 + 300 + 138, 200 + 30 + 100]), scalar(2091)
    np.testing.assert_allclose(100 * known / total, [34.4, 15.8], atol=0.05)
    assert known_names_hhi(known, total) == pytest.approx(1431, abs=2)
    assert known_names_hhi(known, scalar(2191)) == pytest.approx(1304, abs=2)


# supply
def test_the_marginal_producer_sets_the_price():
    capacity, cost = jnp.asarray([30.0, 50, 20]), jnp.asarray([2.0, 1, 4])
    prices = [float(supply.clearing_price(capacity, cost, scalar(d))) for d in (40, 60, 90, 101)]
    assert prices == [1.0, 2.0, 4.0, np.inf]


def test_supply_locked_before_a_price_rise_earns_the_difference():
    assert supply.locked_profit(scalar(2.35), scalar(1.3), scalar(10)) == pytest.approx(10.5)


def test_prices_fall_no_further_than_the_entrants_cost():
    years = np.linspace(0, 3, 50)
    at = lambda time: supply.price_with_entry(scalar(2.0), scalar(1.4), time, scalar(0.6))
    price = jax.vmap(at)(jnp.asarray(years))
    np.testing.assert_allclose(price, np.maximum(2 * np.exp(-1.4 * years), 0.6), rtol=1e-12)


def test_half_of_the_final_throughput_is_reached_after_a_half_life_of_software():
    assert supply.matured(scalar(4.0), scalar(np.log(2)), scalar(1.0)) == pytest.approx(2.0)


def test_a_supplier_has_shipped_half_a_ramp_when_it_reaches_full_rate():
    shipped = [float(supply.shipped(scalar(10), scalar(t), scalar(2.0))) for t in (0, 1, 2, 4)]
    assert shipped == pytest.approx([0.0, 2.5, 10.0, 30.0])


def test_stacked_memory_crowds_out_three_times_its_bits_and_prices_rise():
    left = supply.memory_left(scalar(100), scalar(10), scalar(3))
    assert left == pytest.approx(70)
    assert supply.scarcity_price(left, scalar(100), scalar(0.5)) == pytest.approx((100 / 70) ** 2)
    assert supply.memory_left(scalar(100), scalar(40), scalar(3)) == pytest.approx(0.0)


# options
def test_value_of_waiting_at_two_speeds_of_erosion():
    multiple = lambda q: float(options.waiting_multiple(scalar(0.08), scalar(q), scalar(0.4)))
    assert [multiple(0.10), multiple(0.25)] == pytest.approx([2.24, 1.41], abs=5e-3)


@given(rate=st.floats(0.01, 0.2), payout=st.floats(0.02, 0.6), volatility=st.floats(0.05, 1.0))
def test_waiting_multiple_solves_the_smooth_pasting_quadratic(rate, payout, volatility):
    multiple = float(waiting_multiple(rate, payout, volatility))
    b = multiple / (multiple - 1)
    assert b > 1
    assert volatility**2 / 2 * b * (b - 1) + (rate - payout) * b - rate == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("rate", "payout", "expected"), [(0.08, 0.05, 1.6), (0.08, 0.2, 1.0), (0.08, 0.08, 1.0)]
)
def test_without_volatility_it_pays_to_wait_only_for_growth_above_the_payout(rate, payout, expected):
    """Value grows at r - q: waiting pays until q V = r K."""
    for volatility in (0.0, 1e-9, 1e-6):
        found = float(options.waiting_multiple(scalar(rate), scalar(payout), scalar(volatility)))
        assert found == pytest.approx(expected, abs=1e-5)


def test_what_loses_nothing_by_waiting_is_never_built():
    assert np.isinf(float(options.waiting_multiple(scalar(0.08), scalar(0.0), scalar(0.4))))


def test_the_right_to_wait_is_worth_what_a_binomial_lattice_says():
    """At value = cost, (M - 1) M^-b with b = M / (M - 1); the lattice has 3000 steps over 80 years, nearly for ever."""
    rate, payout, volatility, steps, years = 0.08, 0.10, 0.4, 3000, 80
    step = years / steps
    up = np.exp(volatility * np.sqrt(step))
    chance = (np.exp((rate - payout) * step) - 1 / up) / (up - 1 / up)
    exercised = np.maximum(up ** np.arange(-steps, steps + 1.0) - 1, 0)
    worth = exercised[::2]
    for left in range(steps - 1, -1, -1):
        held = np.exp(-rate * step) * (chance * worth[1:] + (1 - chance) * worth[:-1])
        worth = np.maximum(held, exercised[steps - left : steps + left + 1 : 2])
    multiple = float(options.waiting_multiple(scalar(rate), scalar(payout), scalar(volatility)))
    exponent = multiple / (multiple - 1)
    assert (multiple - 1) * multiple**-exponent == pytest.approx(worth[0], rel=2e-3)


def test_locking_pays_once_the_market_rises_by_the_carry_of_the_prepayment():
    deal = contract(3.0, prepaid=0.22, take_or_pay=1.0)
    worth = lambda market, usage=1.0: options.lock_value(deal, scalar(market), scalar(usage), scalar(0.1))
    assert worth(1.0).prepayment == pytest.approx(0.22 * (1.1**3 - 1))
    assert worth(1.0 + 0.22 * (1.1**3 - 1)).advantage == pytest.approx(0.0, abs=1e-12)
    assert worth(1.9).advantage > 0.8
    assert worth(1.2, usage=0.5).shortfall == pytest.approx(0.5)


def test_some_choice_has_no_regret_in_every_outcome():
    markets = jnp.linspace(0.3, 3.0, 28)
    regret = options.lock_regret(
        contract(3.0, prepaid=0.2), jnp.asarray([0.0, 0.5, 1.0]), markets, scalar(0.1)
    )
    assert np.all(regret >= -1e-12)
    np.testing.assert_allclose(np.min(regret, axis=0), 0.0, atol=1e-12)


def test_a_refresh_is_worth_the_rest_of_the_contract_at_the_saving():
    deal = contract(5.0, value=100.0, refresh=2 * YEAR)
    gain = lambda years, uplift: options.refresh_gain(
        deal, scalar(years * YEAR), scalar(uplift), scalar(1.83)
    )
    assert gain(2, 2.75) == pytest.approx(60 * (1 - 1.83 / 2.75))
    assert gain(1, 2.75) == pytest.approx(0.0)
    assert gain(2, 1.5) == pytest.approx(0.0)


def test_the_supplier_of_a_refresh_is_left_with_the_book_value_above_resale():
    stranded = options.stranded_value(scalar(100), scalar(6 * YEAR), scalar(2 * YEAR), scalar(0.42))
    assert stranded == pytest.approx(100 * (1 - 2 / 6 - 0.42))
