"""What quotes imply: forward rents, growth, revenue under falling prices, the premium for speed."""

import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.annuity import exprel


def forward_rent(short: Scalar, long: Scalar, short_term: Scalar, long_term: Scalar) -> Scalar:
    """Rent for the time after a short contract that makes it cost what the long contract does.

    f = (n_long p_long - n_short p_short) / (n_long - n_short)
    """
    return (long_term * long - short_term * short) / (long_term - short_term)


def log_growth(start: Scalar, end: Scalar, span: Scalar) -> Scalar:
    """Continuous growth rate between two readings: ln(b / a) / span."""
    return jnp.log(end / start) / span


def doubling_time(start: Scalar, end: Scalar, span: Scalar) -> Scalar:
    """Time in which a quantity doubles: ln 2 / growth rate; negative where it shrinks (a half-life)."""
    return jnp.log(2.0) / log_growth(start, end, span)


def stepped_revenue(first_year: Scalar, decline: Scalar, years: Scalar) -> Scalar:
    """Revenue over `years` when the price drops by the share `decline` once a year, volume constant.

    R = R_1 sum_(k < n) (1 - d)^k = R_1 (1 - q^n) / (1 - q),   q = 1 - d
    """
    log_kept = jnp.log1p(-decline)
    return first_year * years * exprel(years * log_kept) / exprel(log_kept)


def speed_exponent(price_ratio: Scalar, speed_ratio: Scalar) -> Scalar:
    """Exponent a of price = price_0 (v / v_0)^a from two points of a price-speed frontier."""
    return jnp.log(price_ratio) / jnp.log(speed_ratio)


def price_of_speed(price: Scalar, speed_ratio: Scalar, exponent: Scalar) -> Scalar:
    """Price at another interactivity: price (v / v_0)^a."""
    return price * speed_ratio**exponent
