"""Which rate to charge for capital: nominal or real, before or after tax; and the fixed charge it makes."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity
from clustermodel.specs import quantity


class Funding(eqx.Module):
    """Who pays for an asset and what they want for it; rates per year, nominal."""

    debt_share: Scalar = quantity("", "share of the asset that lenders pay")
    debt_rate: Scalar = quantity("", "interest on debt")
    equity_rate: Scalar = quantity("", "return that owners require")
    tax: Scalar = quantity("", "corporate tax rate", 0.0)


def wacc(funding: Funding) -> Scalar:
    """Weighted average cost of capital after tax: E/V k_e + D/V k_d (1 - tax).

    [Modigliani & Miller 1963, Corporate Income Taxes and the Cost of Capital]
    """
    debt = funding.debt_share * funding.debt_rate * (1 - funding.tax)
    return (1 - funding.debt_share) * funding.equity_rate + debt


def real_rate(nominal: Scalar, inflation: Scalar) -> Scalar:
    """Rate above inflation: (1 + i)/(1 + pi) - 1.

    [Fisher 1930, The Theory of Interest]
    """
    return (nominal - inflation) / (1 + inflation)


def nominal_rate(real: Scalar, inflation: Scalar) -> Scalar:
    """Rate with inflation: (1 + r)(1 + pi) - 1."""
    return real + inflation + real * inflation


def declining_balance(life: int) -> Float[Array, " year"]:
    """Share of the price that tax law lets an owner deduct in each year of a `life`-year asset (MACRS).

    Double declining balance with a half year at either end, straight line once that is more.
    [IRS Publication 946, table A-1: 20, 32, 19.2, 11.52, 11.52 and 5.76 % for five years]
    """
    shares, left = [], 1.0
    for year in range(life + 1):
        months = 1.0 if year else 1 / 2
        remaining = max(life - year + 1 / 2, 1.0) if year else life
        shares.append(min(left, months * left * max(2 / life, 1 / remaining)))
        left -= shares[-1]
    return jnp.asarray(shares)


def straight_line(life: int) -> Float[Array, " year"]:
    """Equal deductions over `life` years."""
    return jnp.full(life, 1 / life)


def deductions_value(rate: Scalar, shares: Float[Array, " year"]) -> Scalar:
    """Present value of tax deductions taken at the end of each year, per unit of price."""
    years = jnp.arange(1, shares.size + 1, dtype=shares.dtype)
    return jnp.sum(shares * jnp.exp(-years * jnp.log1p(rate)))


def fixed_charge_rate(rate: Scalar, years: Scalar, tax: Scalar, deductions: Scalar) -> Scalar:
    """Revenue before tax that one unit of capital needs each year: crf (1 - T PVDEP) / (1 - T).

    `deductions` is `deductions_value`; at tax 0 this is the capital recovery factor.
    [Short, Packey & Holt 1995, NREL/TP-462-5173, eq. 3-11; NREL Annual Technology Baseline, "FCR"]
    """
    return annuity(rate, years) * (1 - tax * deductions) / (1 - tax)
