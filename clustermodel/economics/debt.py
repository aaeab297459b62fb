"""Loans that build data centres: drawn as equipment arrives, repaid inside the contract that secures them.

Rates are per period and periods are equally long; flows fall on the end of a period, draws included.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import sinking_fund
from clustermodel.specs import quantity

Flow = Float[Array, " period"]


class Loan(eqx.Module):
    """Terms of a delayed-draw term loan; times count periods from the first one."""

    advance: Scalar = quantity("", "share of capex that is lent")
    rate: Scalar = quantity("", "interest per period")
    first_repayment: Scalar = quantity("", "period of the first repayment; only interest is paid before")
    maturity: Scalar = quantity("", "period after the last repayment")


class LoanFlow(eqx.Module):
    """What is drawn, paid and still owed in each period (USD)."""

    draw: Flow
    interest: Flow
    principal: Flow
    balance: Flow

    @property
    def service(self) -> Flow:
        """Interest and repayment."""
        return self.interest + self.principal


def no_loan(periods: int) -> LoanFlow:
    """Nothing drawn, nothing owed."""
    return LoanFlow(*(jnp.zeros(periods) for _ in range(4)))


def level_loan(loan: Loan, capex: Flow) -> LoanFlow:
    """Draw with the capex, pay interest, then repay in level payments until maturity.

    principal_t = B_t [crf(r, n_t) - r] with n_t periods to maturity, so later draws are repaid by then too.
    """

    def step(owed: Scalar, now: tuple[Scalar, Scalar]) -> tuple[Scalar, tuple[Scalar, ...]]:
        period, drawn = now
        left = jnp.maximum(loan.maturity - period, 1.0)
        due = (period >= loan.first_repayment) & (period < loan.maturity)
        repaid = jnp.where(due, owed * sinking_fund(loan.rate, left), 0.0)
        after = owed - repaid + drawn
        return after, (owed * loan.rate, repaid, after)

    drawn = loan.advance * capex
    periods = jnp.arange(capex.size, dtype=capex.dtype)
    _, (interest, principal, balance) = jax.lax.scan(step, jnp.zeros_like(loan.rate), (periods, drawn))
    return LoanFlow(drawn, interest, principal, balance)


def debt_capacity(cash: Flow, dscr: Scalar, rate: Scalar) -> Scalar:
    """Debt (USD, one period before the first flow) that `cash` can serve at a constant cover.

    D = sum_t cash_t / DSCR / (1 + k)^t, t = 1, 2, ...
    """
    periods = jnp.arange(1, cash.size + 1, dtype=cash.dtype)
    return jnp.sum(jnp.maximum(cash, 0.0) / dscr * jnp.exp(-periods * jnp.log1p(rate)))


def sculpted_loan(cash: Flow, capex: Flow, dscr: Scalar, rate: Scalar) -> LoanFlow:
    """A loan whose service is the planned cash over `dscr` in every period; dscr 0 stands for no loan.

    Drawn in proportion to capex, which must come before the cash for the balance to stay positive; the draws are
    worth as much at `rate` as the service, so the balance ends at zero.
    """
    cover = jnp.where(dscr > 0, dscr, jnp.inf)
    service = jnp.maximum(cash, 0.0) / cover
    worth = jnp.exp(-jnp.arange(1, cash.size + 1, dtype=cash.dtype) * jnp.log1p(rate))
    spent = jnp.sum(capex * worth)
    scale = jnp.sum(service * worth) / jnp.where(spent > 0, spent, 1.0)
    drawn = jnp.where(spent > 0, scale, 0.0) * capex

    def step(owed: Scalar, now: tuple[Scalar, Scalar]) -> tuple[Scalar, tuple[Scalar, Scalar]]:
        new, paid = now
        after = owed * (1 + rate) - paid + new
        return after, (owed * rate, after)

    _, (interest, balance) = jax.lax.scan(step, jnp.zeros_like(rate), (drawn, service))
    return LoanFlow(drawn, interest, service - interest, balance)
