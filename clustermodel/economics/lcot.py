"""The token price at which an investment just pays: levelized cost of tokens, and of energy alike.

Streams are per year and start with today's (the investment); `rate` discounts money. A nominal rate goes with
nominal money, a real rate with money of today.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.finance import npv


def lcot(rate: Scalar, costs: Float[Array, " year"], tokens: Float[Array, " year"]) -> Scalar:
    """Levelized cost of tokens: the constant price at which the present value of selling them is zero.

    LCOT = sum_t cost_t (1 + r)^-t / sum_t tokens_t (1 + r)^-t
    """
    return npv(rate, costs) / npv(rate, tokens)


def lcot_declining(
    rate: Scalar, costs: Float[Array, " year"], tokens: Float[Array, " year"], decline: Scalar
) -> Scalar:
    """Today's price that just pays if prices fall as e^(-d t): above `lcot`, since late tokens bring little.

    p_0 = sum_t cost_t (1 + r)^-t / sum_t tokens_t e^(-d t) (1 + r)^-t
    """
    years = jnp.arange(tokens.size, dtype=tokens.dtype)
    return npv(rate, costs) / npv(rate, tokens * jnp.exp(-decline * years))


def lcot_real(
    rate: Scalar, costs: Float[Array, " year"], tokens: Float[Array, " year"], inflation: Scalar
) -> Scalar:
    """Levelized cost in money of today, from nominal costs and rate: the price rises with inflation."""
    return lcot_declining(rate, costs, tokens, -jnp.log1p(inflation))


def lcoe(charge: Scalar, capital: Scalar, fixed: Scalar, output: Scalar, variable: Scalar) -> Scalar:
    """Levelized cost of a yearly output by the fixed-charge method: (FCR K + fixed) / output + variable.

    [Short, Packey & Holt 1995, NREL/TP-462-5173, ch. 3; SAM's Lcoefcr]
    """
    return (charge * capital + fixed) / output + variable
