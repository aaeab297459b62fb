"""What investors and lenders ask of a cash flow: returns, payback, cover, and what must be true to break even."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.cashflow import CashFlow, Operations, Taxation, cash_flow
from clustermodel.economics.debt import LoanFlow
from clustermodel.economics.finance import irr, npv
from clustermodel.economics.roots import bisect

Flow = Float[Array, " period"]

LARGEST_FACTOR = 1e6
"""Break-even revenue is looked for up to a million times the planned one."""


class Returns(eqx.Module):
    """The figures of a term sheet; rates per period, NaN where a figure does not exist."""

    npv: Scalar
    irr: Scalar
    mirr: Scalar
    equity_irr: Scalar
    payback: Scalar
    discounted_payback: Scalar
    profitability_index: Scalar
    money_multiple: Scalar
    min_dscr: Scalar
    llcr: Scalar


def returns(flow: CashFlow, rate: Scalar, debt_rate: Scalar) -> Returns:
    """All figures of a cash flow.

    Args:
        flow: the project.
        rate: cost of capital per period.
        debt_rate: interest per period, at which cash is compared with debt.
    """
    return Returns(
        npv=npv(rate, flow.unlevered),
        irr=irr(flow.unlevered),
        mirr=mirr(flow.unlevered, rate, rate),
        equity_irr=irr(flow.equity),
        payback=payback(flow.unlevered),
        discounted_payback=discounted_payback(rate, flow.unlevered),
        profitability_index=profitability_index(rate, flow.unlevered),
        money_multiple=money_multiple(flow.equity),
        min_dscr=jnp.min(dscr(flow.available, flow.loan)),
        llcr=llcr(flow.available, flow.loan, debt_rate),
    )


def mirr(flows: Flow, finance_rate: Scalar, reinvestment_rate: Scalar) -> Scalar:
    """Modified internal rate of return: outlays are financed at one rate, income is reinvested at another.

    ((1 + q)^n sum_t max(f_t, 0) (1 + q)^-t / sum_t max(-f_t, 0) (1 + k)^-t)^(1/n) - 1, n = periods - 1
    """
    income = npv(reinvestment_rate, jnp.maximum(flows, 0.0))
    outlay = npv(finance_rate, jnp.maximum(-flows, 0.0))
    return (income / outlay) ** (1 / (flows.size - 1)) * (1 + reinvestment_rate) - 1


def payback(flows: Flow) -> Scalar:
    """Periods from the first flow until all outlays are back for good, linear within a period; NaN if never."""
    total = jnp.cumsum(flows)
    index = jnp.arange(flows.size)
    last_short = jnp.max(jnp.where(total < 0, index, -1))
    within = jnp.clip(last_short, 0, flows.size - 2)
    fraction = -total[within] / jnp.where(flows[within + 1] == 0, 1.0, flows[within + 1])
    found = jnp.where(last_short < 0, 0.0, within + fraction)
    return jnp.where(last_short == flows.size - 1, jnp.nan, found)


def discounted_payback(rate: Scalar, flows: Flow) -> Scalar:
    """Payback of the discounted flows."""
    return payback(flows * jnp.exp(-jnp.arange(flows.size) * jnp.log1p(rate)))


def profitability_index(rate: Scalar, flows: Flow) -> Scalar:
    """Present value of what comes in over that of what goes out."""
    return npv(rate, jnp.maximum(flows, 0.0)) / npv(rate, jnp.maximum(-flows, 0.0))


def money_multiple(flows: Flow) -> Scalar:
    """Money back over money in (MOIC), without interest."""
    return jnp.sum(jnp.maximum(flows, 0.0)) / jnp.sum(jnp.maximum(-flows, 0.0))


def dscr(available: Flow, loan: LoanFlow) -> Flow:
    """Debt service cover of each period; infinite where nothing is due."""
    due = loan.service > 0
    return jnp.where(due, available / jnp.where(due, loan.service, 1.0), jnp.inf)


def llcr(available: Flow, loan: LoanFlow, rate: Scalar) -> Scalar:
    """Loan life cover: cash until the last repayment over debt, both in today's money; infinite without debt."""
    owing = loan.service > 0
    debt = npv(rate, loan.draw)
    cover = npv(rate, jnp.where(owing, available, 0.0)) / jnp.where(debt > 0, debt, 1.0)
    return jnp.where(debt > 0, cover, jnp.inf)


def break_even_factor(operations: Operations, loan: LoanFlow, taxation: Taxation, rate: Scalar) -> Scalar:
    """Factor on revenue at which the project is worth nothing after tax; NaN if no revenue is enough.

    Times the planned price it is the break-even price, times the planned utilisation the break-even one.
    """

    def value(log_factor: Scalar) -> Scalar:
        scaled = eqx.tree_at(lambda o: o.revenue, operations, jnp.exp(log_factor) * operations.revenue)
        return npv(rate, cash_flow(scaled, loan, taxation).unlevered)

    widest = jnp.log(jnp.asarray(LARGEST_FACTOR, dtype=rate.dtype))
    return jnp.exp(bisect(value, -widest, widest))


def carry(capital: Scalar, rate: Scalar, years: Scalar) -> Scalar:
    """Cost of capital that waits (USD): K [(1 + r)^t - 1]."""
    return capital * jnp.expm1(years * jnp.log1p(rate))


def per_period(annual: Scalar, periods_per_year: int) -> Scalar:
    """Effective rate per period of an effective annual rate."""
    return jnp.expm1(jnp.log1p(annual) / periods_per_year)


def yearly(flows: Flow, periods_per_year: int) -> Float[Array, " year"]:
    """Sums of whole years."""
    return jnp.sum(jnp.reshape(flows, (-1, periods_per_year)), axis=1)
