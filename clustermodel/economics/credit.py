"""What a credit spread says about the chance that an obligor defaults, and what a default costs.

Spreads and hazards are per year, recovery is the share of a claim that is paid after default.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar


def hazard(spread: Scalar, recovery: Scalar) -> Scalar:
    """Default intensity per year implied by a credit default swap: lambda = s / (1 - R).

    The credit triangle, for a flat spread. [Hull & White 2000, Valuing Credit Default Swaps I]
    """
    return spread / (1 - recovery)


def default_probability(hazard: Scalar, years: Scalar) -> Scalar:
    """Chance of default within `years` at a constant hazard: 1 - e^(-lambda t)."""
    return -jnp.expm1(-hazard * years)


def annual_default_probability(yearly: Scalar, years: Scalar) -> Scalar:
    """The same with one chance a year: 1 - (1 - lambda)^t, as the press compounds it."""
    return -jnp.expm1(years * jnp.log1p(-yearly))


def expected_loss(exposure: Float[Array, " year"], yearly: Scalar, recovery: Scalar) -> Scalar:
    """Expected loss on claims due at the end of each year.

    EL = sum_t EAD_t (1 - (1 - lambda)^t) (1 - R)
    """
    years = jnp.arange(1, exposure.size + 1, dtype=exposure.dtype)
    defaulted = -jnp.expm1(years * jnp.log1p(-yearly))
    return jnp.sum(exposure * defaulted) * (1 - recovery)
