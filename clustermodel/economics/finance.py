"""Time value of money: net present value, internal rate of return, loan payments.

Money that leaves is negative and the first flow is today's, as in numpy-financial (and unlike spreadsheets).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity, discount, present_value
from clustermodel.economics.roots import bisect, bracket_nearest_zero

LARGEST_LOG_GROWTH = 4.0
"""Internal rates are looked for between e^-4 - 1 = -98 % and e^4 - 1 = 5360 % a unit of time."""

GRID = 321
"""Points at which the sign of the present value is looked at, to tell several internal rates apart."""


def npv(rate: Scalar, flows: Float[Array, " period"]) -> Scalar:
    """Net present value: sum_t flow_t / (1 + r)^t."""
    periods = jnp.arange(flows.size, dtype=flows.dtype)
    return jnp.sum(flows * jnp.exp(-periods * jnp.log1p(rate)))


def irr(flows: Float[Array, " period"]) -> Scalar:
    """Internal rate of return a period: the rate at which the flows are worth nothing; NaN where there is none.

    Flows that change sign more than once can have several (`sign_changes` tells): this is the one nearest to
    zero. Differentiable by the implicit function theorem.
    """
    return internal_rate(flows, jnp.arange(flows.size, dtype=flows.dtype))


def internal_rate(flows: Float[Array, " period"], times: Float[Array, " period"]) -> Scalar:
    """`irr` of flows at ascending times of any spacing, per unit of these times.

    The r at which sum_k flow_k / (1 + r)^t_k = 0.
    """
    grid = jnp.linspace(-LARGEST_LOG_GROWTH, LARGEST_LOG_GROWTH, GRID, dtype=flows.dtype)

    def weights(log_growth: Scalar) -> Float[Array, " period"]:
        """Discount factors over the largest of them, so that no growth over many periods overflows."""
        return jnp.exp(-log_growth * (times - jnp.where(log_growth < 0, times[-1], times[0])))

    def value(log_growth: Scalar) -> Scalar:
        return jnp.sum(flows * weights(log_growth))

    worth = jax.vmap(weights)(grid) @ flows
    low, high = bracket_nearest_zero(worth, grid)
    root, crossed = bisect(value, low, high), jnp.any(jnp.sign(worth[1:]) != jnp.sign(worth[:-1]))
    end = jnp.where(jnp.abs(value(low)) < jnp.abs(value(high)), low, high)  # a root there, but for rounding
    root = jnp.where(jnp.isnan(root) & crossed, end, root)
    return jnp.where(jnp.any(flows != 0), jnp.expm1(root), jnp.nan)


def sign_changes(flows: Float[Array, " period"]) -> Scalar:
    """How often the flows change sign; more than once means that the internal rate may not be unique."""

    def step(last: Scalar, sign: Scalar) -> tuple[Scalar, Scalar]:
        return jnp.where(sign == 0, last, sign), jnp.where(sign * last < 0, 1.0, 0.0)

    signs = jnp.sign(flows)
    return jnp.sum(jax.lax.scan(step, signs[0], signs)[1])


def pmt(rate: Scalar, periods: Scalar, present: Scalar, future: Scalar | float = 0.0) -> Scalar:
    """Level payment at the end of each period that turns `present` into `-future` (numpy-financial's sign).

    pmt = -(PV + FV (1 + r)^-n) crf(r, n)
    """
    return -(present + future * discount(rate, periods)) * annuity(rate, periods)


def payback_irr(payback: Scalar, periods: Scalar) -> Scalar:
    """Internal rate of level flows over `periods` that return the outlay in `payback` periods.

    The rate at which present_value(r, n) = payback; a payback equal to the life earns nothing.
    """
    widest = jnp.full_like(payback, LARGEST_LOG_GROWTH)
    return jnp.expm1(bisect(lambda y: present_value(jnp.expm1(y), periods) - payback, -widest, widest))
