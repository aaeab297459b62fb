"""What a project earns, spends, owes and is taxed, period by period.

Amounts are positive USD per period, the first period is the one in which money is first spent; only `unlevered`
and `equity` carry signs, and there money that leaves is negative.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.debt import LoanFlow, sculpted_loan

Flow = Float[Array, " period"]

SUBSTITUTIONS = 12
"""After them the cover of a loan over 20 years at 15 % and a tax of 40 % is kept to 1e-9."""


class Operations(eqx.Module):
    """What happens before banks and taxes."""

    revenue: Flow
    opex: Flow
    capex: Flow
    resale: Flow

    @property
    def ebitda(self) -> Flow:
        """Revenue less running cost."""
        return self.revenue - self.opex


class Taxation(eqx.Module):
    """How profit is taxed: a rate, and what may be written off in each period (`write_offs`)."""

    rate: Scalar
    write_offs: Flow


class Cover(eqx.Module):
    """What lenders ask: planned cash over debt service (`dscr`, 0 for no loan) and interest per period (`rate`)."""

    dscr: Scalar
    rate: Scalar


class CashFlow(eqx.Module):
    """All flows of a project, and the two lines that investors look at.

    `ahead` is what customers pay before it is earned, negative where they have paid before; tax is on what is earned.
    """

    operations: Operations
    loan: LoanFlow
    tax: Flow
    operating_tax: Flow
    unlevered_tax: Flow
    ahead: Flow

    @property
    def available(self) -> Flow:
        """Cash available for debt service (CFADS): EBITDA less tax, neither with what is sold at the end."""
        return self.operations.ebitda + self.ahead - self.operating_tax

    @property
    def unlevered(self) -> Flow:
        """Free cash flow to all who gave capital; taxed as if there were no debt."""
        operations = self.operations
        earned = operations.ebitda + self.ahead - self.unlevered_tax
        return earned - operations.capex + operations.resale

    @property
    def equity(self) -> Flow:
        """What is left to the owners after loans and taxes."""
        operations, loan = self.operations, self.loan
        earned = operations.ebitda + self.ahead - self.tax
        return earned - operations.capex + operations.resale + loan.draw - loan.service


def even_write_off(life: Scalar, periods: int) -> Flow:
    """Straight line over a book life that need not be a whole number of periods."""
    ages = jnp.arange(periods, dtype=life.dtype)
    return jnp.clip(life - ages, 0.0, 1.0) / life


def write_offs(capex: Flow, schedule: Float[Array, " age"]) -> Flow:
    """Depreciation of each period: every vintage of capex runs through the schedule.

    `even_write_off` and `rates.declining_balance` make schedules.
    """
    return jnp.convolve(capex, schedule)[: capex.size]


def income_tax(income: Flow, rate: Scalar) -> Flow:
    """Tax on income with losses carried forward without end.

    Taxable is what lifts cumulative income above its highest level so far:
    tax_t = rate (M_t - M_{t-1}), M_t = max(0, max_{s<=t} sum_{q<=s} income_q)
    """
    peak = jax.lax.cummax(jnp.maximum(jnp.cumsum(income), 0.0))
    return rate * jnp.diff(peak, prepend=0.0)


def cash_flow(
    operations: Operations, loan: LoanFlow, taxation: Taxation, ahead: Flow | None = None
) -> CashFlow:
    """Put operations, loan and tax together; resale is taxed like income, interest is deducted."""
    earned = operations.ebitda - taxation.write_offs
    profit = earned + operations.resale
    return CashFlow(
        operations=operations,
        loan=loan,
        tax=income_tax(profit - loan.interest, taxation.rate),
        operating_tax=income_tax(earned - loan.interest, taxation.rate),
        unlevered_tax=income_tax(profit, taxation.rate),
        ahead=jnp.zeros_like(earned) if ahead is None else ahead,
    )


def planned_loan(income: Flow, paid: Flow, capex: Flow, taxation: Taxation, terms: Cover) -> LoanFlow:
    """A sculpted loan that keeps its cover after tax: interest lowers the tax, and tax the loan.

    Interest is put in until it stays; each time it changes by a small share of the change before.

    Args:
        income: planned EBITDA that secures the loan.
        paid: the part of it that customers have paid before, which serves no debt.
        capex: what is built.
        taxation: of the same plan.
        terms: cover and interest.
    """

    def sculpted(interest: Flow, _: None) -> tuple[Flow, LoanFlow]:
        tax = income_tax(income - taxation.write_offs - interest, taxation.rate)
        loan = sculpted_loan(income - paid - tax, capex, terms.dscr, terms.rate)
        return loan.interest, loan

    _, loans = jax.lax.scan(sculpted, jnp.zeros_like(income), length=SUBSTITUTIONS)
    return jax.tree.map(lambda each: each[-1], loans)
