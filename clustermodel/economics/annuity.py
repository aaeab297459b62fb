"""What a sum today is worth a year at a rate of interest, and the reverse; smooth at a rate of zero.

Rates are effective annual rates, periods are years and need not be whole: a life of 4.5 years is 4.5.
"""

import jax.numpy as jnp

from clustermodel._types import Scalar

SERIES_RADIUS = 1e-3
"""Below it (e^x - 1)/x is summed as a series: five terms then leave less than 1e-17."""


def exprel(x: Scalar) -> Scalar:
    """(e^x - 1) / x, 1 at x = 0, with exact derivatives there."""
    small = jnp.abs(x) < SERIES_RADIUS
    safe = jnp.where(small, 1.0, x)
    series = 1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5)))
    return jnp.where(small, series, jnp.expm1(safe) / safe)


def discount(rate: Scalar, periods: Scalar) -> Scalar:
    """Present value of one unit paid after `periods`: (1 + r)^-n."""
    return jnp.exp(-periods * jnp.log1p(rate))


def annuity(rate: Scalar, periods: Scalar) -> Scalar:
    """Capital recovery factor: what one unit of capital costs each period.

    crf = r / (1 - (1 + r)^-n), and 1/n at r = 0  [Short, Packey & Holt 1995, NREL/TP-462-5173, eq. 2-11]

    Written as exprel(y) / (n exprel(-n y)) with y = ln(1 + r), which has no singular point.
    """
    log_growth = jnp.log1p(rate)
    return exprel(log_growth) / (periods * exprel(-periods * log_growth))


def present_value(rate: Scalar, periods: Scalar) -> Scalar:
    """Present value of one unit paid at the end of each period: 1 / crf."""
    return 1 / annuity(rate, periods)


def sinking_fund(rate: Scalar, periods: Scalar) -> Scalar:
    """What to lay aside each period to hold one unit at the end: crf (1 + r)^-n = crf - r."""
    return annuity(rate, periods) * discount(rate, periods)
