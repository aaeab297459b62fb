"""Present values, internal rates, loans, credit and rates of capital against libraries and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.optimize import brentq

from clustermodel.economics import credit, rates
from clustermodel.economics.annuity import annuity
from clustermodel.economics.finance import internal_rate, irr, npv, payback_irr, pmt, sign_changes
from clustermodel.economics.roots import bisect

MANY = 16_400
interest = st.floats(-0.5, 2.0)
amounts = st.floats(1.0, 1e3)
probabilities = st.floats(0.0, 0.95)


def scalar(value):
    return jnp.asarray(value, dtype=float)


npv_compiled, irr_compiled, pmt_compiled = jax.jit(npv), jax.jit(irr), jax.jit(pmt)
internal_rate_compiled = jax.jit(internal_rate)
payback_irr_compiled = jax.jit(payback_irr)

# present value and internal rate


@given(rate=interest, flows=st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_present_value_is_that_of_numpy_financial(rate, flows):
    scale = sum(abs(f) / (1 + rate) ** t for t, f in enumerate(flows))
    expected = npf.npv(rate, flows)
    assert float(npv_compiled(scalar(rate), scalar(flows))) == pytest.approx(
        expected, abs=1e-12 * scale + 1e-300
    )


@given(outlay=amounts, income=st.lists(amounts, min_size=6, max_size=6))
def test_the_internal_rate_is_that_of_numpy_financial(outlay, income):
    """One change of sign, one rate; the library finds roots of a polynomial, good to about 1e-9."""
    flows = [-outlay, *(x / 3 for x in income)]
    expected = npf.irr(flows)
    assume(-0.9 < expected < 40)
    assert float(irr_compiled(scalar(flows))) == pytest.approx(expected, rel=1e-7, abs=1e-8)


@given(outlay=amounts, income=st.lists(amounts, min_size=6, max_size=6))
def test_flows_are_worth_nothing_at_their_internal_rate(outlay, income):
    flows = scalar([-outlay, *income])
    rate = irr_compiled(flows)
    assume(bool(jnp.isfinite(rate)))
    growth = (1 + rate) ** -jnp.arange(7.0)
    assert abs(float(npv_compiled(rate, flows))) <= 1e-12 * float(jnp.sum(jnp.abs(flows) * growth))


def test_of_several_internal_rates_the_one_nearest_to_zero_is_given_and_the_flows_say_so():
    """-100 (1 - 1.1 x)(1 - 1.2 x): 10 % and 20 %."""
    flows = scalar([-100.0, 230.0, -132.0])
    assert float(irr(flows)) == pytest.approx(0.1, rel=1e-10)
    assert float(sign_changes(flows)) == 2
    assert float(sign_changes(scalar([0.0, -1.0, 0.0, 2.0, 0.0, 3.0]))) == 1


@pytest.mark.parametrize("flows", [[1.0, 2.0, 3.0], [-1.0, -2.0], [100.0, 1.0], [0.0, 0.0]])
def test_flows_of_one_sign_have_no_internal_rate(flows):
    assert bool(jnp.isnan(irr(scalar(flows))))


@pytest.mark.parametrize("months", [120, 360, 720])
def test_the_monthly_rate_of_a_mortgage_is_found_over_any_number_of_months(months):
    """A level payment of a loan at 1 % a month: factors of e^4 a month must not overflow."""
    flows = jnp.full(months + 1, pmt(scalar(0.01), scalar(months), scalar(-1.0))).at[0].set(-1.0)
    assert float(irr(flows)) == pytest.approx(0.01, rel=1e-9)


@given(st.lists(st.floats(0.0, 5.0), min_size=6, max_size=6, unique=True).map(sorted), st.floats(-0.5, 2.0))
def test_an_internal_rate_at_uneven_times_makes_the_flows_worth_nothing(times, rate):
    flows = np.ones(len(times))
    flows[0] = -np.sum((1 + rate) ** (times[0] - np.array(times[1:])))
    found = internal_rate_compiled(scalar(flows), scalar(times))
    assert np.sum(flows * (1 + float(found)) ** -np.array(times)) == pytest.approx(0, abs=1e-9 * -flows[0])


def test_the_internal_rate_moves_with_a_flow_as_its_implicit_derivative_says():
    """d r / d f_t = - (1 + r)^-t / (d NPV / d r)."""
    flows = scalar([-100.0, 39.0, 59.0, 55.0, 20.0])
    rate = irr(flows)
    expected = -((1 + rate) ** -jnp.arange(5.0)) / jax.grad(npv)(rate, flows)
    np.testing.assert_allclose(jax.grad(irr)(flows), expected, rtol=1e-10)
    check_grads(irr_compiled, (flows,), order=2, eps=1e-3)


def test_many_internal_rates_at_once_are_the_loop_and_compilation_changes_nothing():
    """Bisection ends at the spacing of float64; sums in another order move it by a few of those."""
    scale = jnp.linspace(0.5, 2.0, MANY)[:, None]
    flows = jnp.array([[-100.0, 39.0, 59.0, 55.0, 20.0]]) * jnp.where(jnp.arange(5) > 0, scale, 1.0)
    eager = jax.vmap(irr)(flows)
    np.testing.assert_allclose(jax.jit(jax.vmap(irr))(flows), eager, rtol=0, atol=1e-13)
    for index in (0, 1, MANY // 2, 16_384, MANY - 1):
        assert float(eager[index]) == pytest.approx(float(irr(flows[index])), abs=1e-13)


def test_a_root_is_found_only_between_values_of_unlike_sign():
    assert float(bisect(lambda x: x**2 - 2, scalar(0.0), scalar(2.0))) == pytest.approx(2**0.5, rel=1e-15)
    assert bool(jnp.isnan(bisect(lambda x: x**2 + 1, scalar(0.0), scalar(2.0))))
    slope = jax.grad(lambda a: bisect(lambda x: x**2 - a, scalar(0.0), scalar(9.0)))(scalar(4.0))
    assert float(slope) == pytest.approx(0.25, rel=1e-12)


# loans


@given(rate=st.floats(1e-4, 0.5), periods=st.integers(1, 360), present=amounts, future=st.floats(-1e3, 1e3))
def test_loan_payments_are_those_of_numpy_financial(rate, periods, present, future):
    expected = npf.pmt(rate, periods, present, future)
    found = pmt_compiled(scalar(rate), scalar(periods), scalar(present), scalar(future))
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("years", "percent"), [(4, 21.86), (5, 28.65), (6, 32.7)])
def test_a_payback_of_two_and_a_half_years_earns_its_published_rate(years, percent):
    assert 100 * float(payback_irr(scalar(2.5), scalar(years))) == pytest.approx(percent, abs=0.05)


@given(payback=st.floats(0.5, 8.0), more=st.floats(0.5, 10.0))
def test_the_rate_of_a_payback_is_that_of_an_independent_root_finder(payback, more):
    years = payback + more
    expected = brentq(lambda r: (1 - (1 + r) ** -years) / r - payback, 1e-9, 50.0, xtol=1e-14)
    assert float(payback_irr_compiled(scalar(payback), scalar(years))) == pytest.approx(
        expected, rel=1e-8, abs=1e-9
    )


# credit


@given(
    spread=st.floats(0.0, 0.3), recovery=probabilities, years=st.floats(0.0, 30.0), more=st.floats(0.01, 0.1)
)
def test_default_probability_is_a_probability_and_grows_with_the_spread(spread, recovery, years, more):
    tight, wide = (credit.hazard(scalar(x), scalar(recovery)) for x in (spread, spread + more))
    low, high = (float(credit.default_probability(x, scalar(years))) for x in (tight, wide))
    assert 0 <= low <= high <= 1


@given(yearly=st.floats(0.0, 0.5), years=st.floats(0.0, 30.0))
def test_a_chance_once_a_year_is_survival_to_the_power_of_years(yearly, years):
    found = credit.annual_default_probability(scalar(yearly), scalar(years))
    assert float(found) == pytest.approx(1 - (1 - yearly) ** years, abs=1e-12)


@pytest.mark.parametrize(
    ("spread", "loss", "expected"), [(0.104, 0.65, 49.6), (0.104, 0.35, 26.7), (0.05, 0.5, 19.7)]
)
def test_expected_loss_on_one_large_customer(spread, loss, expected):
    """281 GUSD in five equal years; published to a tenth of a GUSD, from a rounded hazard: 0.5 %."""
    exposure = jnp.full(5, 281 / 5)
    found = credit.expected_loss(exposure, scalar(spread), scalar(1 - loss))
    assert float(found) == pytest.approx(expected, rel=5e-3)


# rates of capital


@pytest.mark.parametrize(
    ("life", "percent"),
    [
        (3, [33.33, 44.45, 14.81, 7.41]),
        (5, [20.00, 32.00, 19.20, 11.52, 11.52, 5.76]),
        (7, [14.29, 24.49, 17.49, 12.49, 8.93, 8.92, 8.93, 4.46]),
    ],
)
def test_tax_deductions_are_those_of_the_published_table(life, percent):
    """IRS Publication 946, table A-1: rounded to a hundredth of a percent, some up and some down."""
    shares = rates.declining_balance(life)
    np.testing.assert_allclose(100 * shares, percent, atol=0.011)
    assert float(jnp.sum(shares)) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("schedule", [rates.declining_balance(5), rates.straight_line(4)])
@pytest.mark.parametrize("tax", [0.0, 0.21, 0.35])
def test_the_fixed_charge_just_pays_capital_and_tax(schedule, tax):
    """After-tax flows by hand: revenue F (1 - T) and the deductions' T d_t return the price at the rate."""
    rate, years = 0.08, 8
    charge = rates.fixed_charge_rate(
        scalar(rate), scalar(years), scalar(tax), rates.deductions_value(scalar(rate), schedule)
    )
    deductions = np.zeros(years)
    deductions[: schedule.size] = schedule
    flows = [-1.0, *(float(charge) * (1 - tax) + tax * deductions)]
    assert npf.irr(flows) == pytest.approx(rate, rel=1e-9)


def test_without_tax_the_fixed_charge_is_the_capital_recovery_factor():
    charge = rates.fixed_charge_rate(scalar(0.08), scalar(4.0), scalar(0.0), scalar(0.7))
    assert float(charge) == pytest.approx(float(annuity(scalar(0.08), scalar(4.0))), rel=1e-15)


@given(nominal=interest, inflation=st.floats(-0.1, 0.3))
def test_real_and_nominal_rates_convert_both_ways(nominal, inflation):
    real = rates.real_rate(scalar(nominal), scalar(inflation))
    assert (1 + float(real)) * (1 + inflation) == pytest.approx(1 + nominal, rel=1e-12)
    assert float(rates.nominal_rate(real, scalar(inflation))) == pytest.approx(nominal, rel=1e-9, abs=1e-12)


def test_the_cost_of_capital_of_a_common_mix():
    """60 % debt at 8 %, equity at 12 %: 9.6 % before tax; 21 % tax makes debt cheaper, 8.592 %."""
    mix = rates.Funding(debt_share=0.6, debt_rate=0.08, equity_rate=0.12)
    taxed = rates.Funding(debt_share=0.6, debt_rate=0.08, equity_rate=0.12, tax=0.21)
    assert float(rates.wacc(mix)) == pytest.approx(0.096, rel=1e-12)
    assert float(rates.wacc(taxed)) == pytest.approx(0.08592, rel=1e-12)


def test_flows_that_bring_back_what_was_paid_have_a_rate_of_nothing_however_their_sum_rounds():
    random = np.random.default_rng(0)
    shares = random.integers(0, 10, (300, 59))
    flows = np.column_stack([-np.ones(300), shares / shares.sum(axis=1, keepdims=True)])
    rates = jax.vmap(internal_rate, (0, None))(jnp.asarray(flows), jnp.arange(60) / 12)
    np.testing.assert_allclose(rates, 0, atol=1e-9)
