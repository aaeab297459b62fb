"""Debt, taxes and returns: numpy-financial as the oracle, identities, published cases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from clustermodel.economics import cashflow, debt, finance_metrics, rates
from clustermodel.economics.annuity import annuity
from clustermodel.economics.cashflow import Operations, Taxation, cash_flow
from clustermodel.economics.debt import Loan, debt_capacity, level_loan, no_loan, sculpted_loan
from clustermodel.economics.finance import irr, npv

amounts = st.floats(0.5, 100.0)
rate_of = st.floats(0.001, 0.4)


def scalar(value):
    return jnp.asarray(value, dtype=float)


# loans
def test_a_level_loan_is_repaid_in_the_payments_of_numpy_financial():
    capex = jnp.asarray([100.0, 0, 0, 0, 0, 0])
    flow = level_loan(Loan(advance=0.6, rate=0.09, first_repayment=1, maturity=6), capex)
    np.testing.assert_allclose(flow.service[1:], -npf.pmt(0.09, 5, 60.0), rtol=1e-12)
    np.testing.assert_allclose(flow.interest[1:], -npf.ipmt(0.09, np.arange(1, 6), 5, 60.0), rtol=1e-12)
    assert flow.balance[-1] == pytest.approx(0.0, abs=1e-12)


@jax.jit
def ddtl(capex, rate, grace):
    return level_loan(Loan(advance=0.7, rate=rate, first_repayment=grace, maturity=10.0), capex)


@given(capex=st.lists(amounts, min_size=4, max_size=4), rate=rate_of, grace=st.integers(1, 5))
def test_a_delayed_draw_loan_pays_interest_only_until_repayment_starts_and_ends_at_nothing(
    capex, rate, grace
):
    flow = ddtl(jnp.asarray([*capex, *[0.0] * 6]), rate, float(grace))
    assert flow.balance[-1] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(flow.principal[:grace], 0.0, atol=1e-12)
    assert jnp.sum(flow.principal) == pytest.approx(0.7 * sum(capex))
    worth = lambda line: float(npv(scalar(rate), line))
    assert worth(flow.service) == pytest.approx(worth(flow.draw))  # lenders earn the rate, nothing else


def test_without_interest_a_level_loan_is_repaid_in_equal_parts():
    flow = level_loan(
        Loan(advance=1.0, rate=0.0, first_repayment=1, maturity=5), jnp.asarray([8.0, 0, 0, 0, 0])
    )
    np.testing.assert_allclose(flow.principal, [0, 2, 2, 2, 2])


def test_sixty_a_year_carries_176_of_debt_at_a_cover_of_1_4():
    assert debt_capacity(jnp.full(5, 60.0), scalar(1.4), scalar(0.07)) == pytest.approx(175.7, abs=0.05)


@jax.jit
def sculpted(cash, rate, cover):
    return sculpted_loan(cash, jnp.zeros(8).at[0].set(50.0), cover, rate)


@given(cash=st.lists(amounts, min_size=7, max_size=7), rate=rate_of, cover=st.floats(1.05, 3.0))
def test_sculpted_debt_has_the_same_cover_in_every_period_and_ends_at_nothing(cash, rate, cover):
    planned = jnp.asarray([0.0, *cash])
    flow = sculpted(planned, rate, cover)
    np.testing.assert_allclose(planned[1:] / flow.service[1:], cover, rtol=1e-12)
    assert flow.balance[-1] == pytest.approx(0.0, abs=1e-9 * sum(cash))
    capacity = debt_capacity(jnp.asarray(cash), scalar(cover), scalar(rate))
    assert flow.draw[0] == pytest.approx(float(capacity))


def test_no_cover_and_no_capex_mean_no_loan():
    cash, capex = jnp.full(4, 10.0), jnp.asarray([5.0, 0, 0, 0])
    for flow in (
        sculpted_loan(cash, capex, scalar(0.0), scalar(0.1)),
        no_loan(4),
        sculpted_loan(cash, 0 * capex, scalar(1.4), scalar(0.1)),
    ):
        np.testing.assert_allclose(flow.draw, 0.0)


# taxes
def test_capex_is_written_off_over_its_life_vintage_by_vintage():
    even = cashflow.even_write_off(scalar(2.5), 5)
    np.testing.assert_allclose(even, [0.4, 0.4, 0.2, 0, 0])
    written = cashflow.write_offs(jnp.asarray([10.0, 20, 0, 0, 0]), even)
    np.testing.assert_allclose(written, [4, 4 + 8, 2 + 8, 4, 0])


def test_accelerated_write_offs_are_those_of_the_tax_tables():
    schedule = rates.declining_balance(5)
    written = cashflow.write_offs(jnp.zeros(7).at[0].set(100.0), schedule)
    np.testing.assert_allclose(written, [20, 32, 19.2, 11.52, 11.52, 5.76, 0], atol=1e-9)


@jax.jit
def taxed(income):
    return cashflow.income_tax(income, scalar(0.25))


@given(st.lists(st.floats(-50.0, 50.0), min_size=6, max_size=6))
def test_losses_are_carried_forward_until_they_are_used(income):
    carried, expected = 0.0, []
    for each in income:
        used = min(carried, max(each, 0.0))
        expected.append(0.25 * (max(each, 0.0) - used))
        carried += max(-each, 0.0) - used
    np.testing.assert_allclose(taxed(jnp.asarray(income)), expected, atol=1e-9)


# the whole
def plan(revenue=40.0, opex=5.0, resale=8.0):
    years = jnp.arange(6.0)
    later = jnp.where(years > 0, 1.0, 0.0)
    return Operations(
        revenue * later, opex * later, jnp.zeros(6).at[0].set(100.0), jnp.zeros(6).at[5].set(resale)
    )


LOAN = level_loan(Loan(advance=0.6, rate=0.08, first_repayment=1, maturity=6), plan().capex)
TAX = Taxation(scalar(0.25), cashflow.write_offs(plan().capex, cashflow.even_write_off(scalar(5.0), 6)))


def test_equity_gets_what_the_project_earns_less_what_lenders_and_the_state_take():
    flow = cash_flow(plan(), LOAN, TAX)
    shield = flow.unlevered_tax - flow.tax
    np.testing.assert_allclose(flow.equity, flow.unlevered + LOAN.draw - LOAN.service + shield, atol=1e-9)
    assert jnp.sum(shield) == pytest.approx(0.25 * float(jnp.sum(LOAN.interest)))
    assert jnp.sum(flow.unlevered_tax) == pytest.approx(0.25 * (5 * 35 + 8 - 100))


def test_returns_are_those_of_numpy_financial():
    flow = cash_flow(plan(), LOAN, TAX)
    found = finance_metrics.returns(flow, scalar(0.1), scalar(0.08))
    unlevered, equity = np.asarray(flow.unlevered), np.asarray(flow.equity)
    assert found.npv == pytest.approx(npf.npv(0.1, unlevered), rel=1e-12)
    assert found.irr == pytest.approx(npf.irr(unlevered), rel=1e-8)
    assert found.equity_irr == pytest.approx(npf.irr(equity), rel=1e-8)
    assert found.mirr == pytest.approx(npf.mirr(unlevered, 0.1, 0.1), rel=1e-12)
    assert found.money_multiple == pytest.approx(equity[equity > 0].sum() / -equity[equity < 0].sum())
    assert found.profitability_index == pytest.approx(1 + found.npv / 100)
    assert found.min_dscr == pytest.approx(np.min(flow.available[1:] / LOAN.service[1:]))


mirr = jax.jit(finance_metrics.mirr)


@given(outlay=amounts, income=st.lists(amounts, min_size=5, max_size=5), finance=rate_of, reinvest=rate_of)
def test_modified_return_is_that_of_numpy_financial(outlay, income, finance, reinvest):
    flows = [-outlay, *income]
    assert mirr(jnp.asarray(flows), finance, reinvest) == pytest.approx(
        npf.mirr(flows, finance, reinvest), rel=1e-9
    )


@given(outlay=amounts, income=st.lists(amounts, min_size=5, max_size=5))
def test_modified_return_at_the_internal_rate_is_the_internal_rate(outlay, income):
    flows = jnp.asarray([-outlay - sum(income) / 2, *income])
    rate = float(compiled_irr(flows))
    assert mirr(flows, rate, rate) == pytest.approx(rate, rel=1e-7, abs=1e-9)


compiled_irr = jax.jit(irr)


def test_payback_is_linear_within_a_period():
    assert finance_metrics.payback(jnp.asarray([-100.0, 40, 40, 40, 40])) == pytest.approx(2.5)
    assert finance_metrics.discounted_payback(
        scalar(0.0), jnp.asarray([-100.0, 40, 40, 40])
    ) == pytest.approx(2.5)


def test_payback_waits_for_the_last_outlay():
    assert finance_metrics.payback(jnp.asarray([-10.0, 20, -30, 40, 0])) == pytest.approx(2.5)


def test_money_that_never_comes_back_has_no_payback():
    assert jnp.isnan(finance_metrics.payback(jnp.asarray([-100.0, 10, 10])))
    assert finance_metrics.payback(jnp.asarray([5.0, 10, 10])) == pytest.approx(0.0)


def test_discounting_only_delays_the_payback():
    flows = jnp.asarray([-100.0, 30, 30, 30, 30, 30])
    times = [float(finance_metrics.discounted_payback(scalar(r), flows)) for r in (0.0, 0.05, 0.1)]
    assert times == sorted(times)


def test_life_cover_of_a_sculpted_loan_is_its_period_cover():
    operations = plan()
    loan = sculpted_loan(operations.ebitda, operations.capex, scalar(1.4), scalar(0.08))
    cover = finance_metrics.llcr(operations.ebitda, loan, scalar(0.08))
    assert cover == pytest.approx(1.4)
    assert jnp.isinf(finance_metrics.llcr(operations.ebitda, no_loan(6), scalar(0.08)))


@pytest.mark.parametrize("taxation", [TAX, Taxation(scalar(0.0), TAX.write_offs)], ids=["taxed", "untaxed"])
def test_at_the_break_even_price_the_project_is_worth_nothing(taxation):
    factor = finance_metrics.break_even_factor(plan(), LOAN, taxation, scalar(0.1))
    at_it = eqx.tree_at(lambda o: o.revenue, plan(), factor * plan().revenue)
    assert npv(scalar(0.1), cash_flow(at_it, LOAN, taxation).unlevered) == pytest.approx(0.0, abs=1e-9)
    assert 0 < factor < 1  # the plan itself makes money


def test_the_untaxed_break_even_price_is_the_levelized_cost():
    free = Taxation(scalar(0.0), TAX.write_offs)
    operations = plan(resale=0.0)
    factor = finance_metrics.break_even_factor(operations, no_loan(6), free, scalar(0.1))
    levelized = 100 * annuity(scalar(0.1), scalar(5.0)) + 5
    assert 40 * factor == pytest.approx(float(levelized))


def test_break_even_price_has_the_gradient_of_the_levelized_cost():
    def price(capex):
        operations = eqx.tree_at(lambda o: o.capex, plan(resale=0.0), jnp.zeros(6).at[0].set(capex))
        free = Taxation(scalar(0.0), TAX.write_offs)
        return 40 * finance_metrics.break_even_factor(operations, no_loan(6), free, scalar(0.1))

    assert jax.grad(price)(scalar(100.0)) == pytest.approx(float(annuity(scalar(0.1), scalar(5.0))), rel=1e-6)


def test_a_gigawatt_that_waits_half_a_year_costs_1_85_billion_to_carry():
    assert finance_metrics.carry(scalar(38.0), scalar(0.1), scalar(0.5)) == pytest.approx(1.85, abs=0.006)


def test_twelve_monthly_periods_compound_to_the_annual_rate():
    monthly = finance_metrics.per_period(scalar(0.1), 12)
    assert (1 + monthly) ** 12 == pytest.approx(1.1)
    np.testing.assert_allclose(finance_metrics.yearly(jnp.arange(24.0), 12), [66, 210])


def test_value_of_a_project_has_the_gradients_of_finite_differences():
    def value(scale):
        operations = eqx.tree_at(lambda o: o.revenue, plan(), scale * plan().revenue)
        return npv(scalar(0.1), cash_flow(operations, LOAN, TAX).equity)

    check_grads(value, (scalar(1.1),), order=1, atol=1e-6, rtol=1e-6, eps=1e-5)


def test_cash_flows_are_the_same_mapped_jitted_and_in_a_loop():
    prices = jnp.linspace(10.0, 80.0, 16_400)

    def equity(price):
        return npv(scalar(0.1), cash_flow(plan(price), LOAN, TAX).equity)

    found = jax.jit(jax.vmap(equity))(prices)
    for index in (0, 8_200, 16_384, 16_399):
        assert found[index] == pytest.approx(float(equity(prices[index])), rel=1e-12)


def test_debt_makes_equity_returns_larger_where_the_project_earns_more_than_the_rate():
    bare = finance_metrics.returns(cash_flow(plan(), no_loan(6), TAX), scalar(0.1), scalar(0.08))
    geared = finance_metrics.returns(cash_flow(plan(), LOAN, TAX), scalar(0.1), scalar(0.08))
    assert geared.equity_irr > bare.equity_irr > 0.08
    assert jnp.isinf(bare.min_dscr)


def test_interest_is_paid_on_what_is_owed():
    flow = debt.level_loan(
        Loan(advance=1.0, rate=0.1, first_repayment=3, maturity=6), jnp.asarray([10.0, 10, 0, 0, 0, 0])
    )
    np.testing.assert_allclose(flow.interest[:3], [0, 1, 2])
