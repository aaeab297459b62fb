"""Where a function of one number is zero, with derivatives by the implicit function theorem."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar

HALVINGS = 64
"""Bisections: an interval shrinks below the spacing of float64."""


def bisect(function: Callable[[Scalar], Scalar], low: Scalar, high: Scalar) -> Scalar:
    """The root of `function` between `low` and `high`; NaN if it has the same sign at both.

    Differentiable in whatever `function` closes over: dx/da = -(df/da) / (df/dx).
    """
    start, stop = function(low), function(high)

    def halve(residual: Callable[[Scalar], Scalar], _: Scalar) -> Scalar:
        rising = residual(high) > 0

        def step(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
            left, right = interval
            middle = (left + right) / 2
            beyond = (residual(middle) > 0) == rising
            return jnp.where(beyond, left, middle), jnp.where(beyond, middle, right)

        left, right = jax.lax.fori_loop(0, HALVINGS, step, (low, high))
        return (left + right) / 2

    root = jax.lax.custom_root(function, low, halve, lambda slope, y: y / slope(jnp.ones_like(y)))
    return jnp.where(start * stop <= 0, root, jnp.nan)


def bracket_nearest_zero(values: Float[Array, " n"], grid: Float[Array, " n"]) -> tuple[Scalar, Scalar]:
    """The cell of `grid`, nearest to zero, over which `values` change sign; the whole grid if none does."""
    signs = jnp.sign(values)
    crosses = signs[:-1] != signs[1:]
    distance = jnp.where(crosses, jnp.abs(grid[:-1] + grid[1:]), jnp.inf)
    nearest = jnp.argmin(distance)
    any_crossing = jnp.any(crosses)
    low = jnp.where(any_crossing, grid[nearest], grid[0])
    high = jnp.where(any_crossing, grid[nearest + 1], grid[-1])
    return low, high
