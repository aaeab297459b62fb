"""The cube root of positive numbers, ten times faster than the general power function and without a division."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from clustermodel._types import Scalar

_STEP = (1 / 3, 2 / 9, 14 / 81)  # series of (1 - h)^(-1/3) after its 1
_LAST = (2 / 3, 5 / 9, 40 / 81)  # series of (1 - h)^(-2/3) after its 1

_GUESS = {"float64": 0x553EE800, "float32": 0x54A1F000}  # of least largest error: |h| <= 0.103
_THIRD = 0x55555556  # 2^32 / 3


@jax.custom_jvp
def cube_root(x: Scalar) -> Scalar:
    """x^(1/3) for x > 0, exact to a few units in the last place.

    A third of the bits read as an integer is a third of the exponent, which gives a first guess of z = x^(-1/3); the
    residual h = 1 - x z^3 then corrects z by the series of (1 - h)^(-1/3), which takes |h| from 0.1 to 5e-5, and
    x z^2 by that of (1 - h)^(-2/3), which leaves rounding.
    [A. S. Householder 1970, The numerical treatment of a single nonlinear equation, ch. 4: iterations of order 4;
    W. Kahan & D. Bindel 2001, Computing a real cube root: first guess from the exponent]
    """
    z = _first_guess(x)
    z = z + z * _series(_STEP, 1 - x * z * z * z)
    root = x * z * z
    root = root + root * _series(_LAST, 1 - root * z)
    return jnp.where(jnp.isfinite(x), root, x)


def _first_guess(x: Scalar) -> Scalar:
    """About x^(-1/3); of 64 bits the upper 32 do, whose third is one product of 32-bit numbers."""
    guess = _GUESS[x.dtype.name]
    if x.dtype == jnp.float32:
        third = lax.div(lax.bitcast_convert_type(x, jnp.int32), jnp.int32(3))
        return lax.bitcast_convert_type(guess - third, x.dtype)
    upper = lax.shift_right_logical(lax.bitcast_convert_type(x, jnp.int64), jnp.int64(32))
    third = lax.shift_right_logical(upper * _THIRD, jnp.int64(32))
    return lax.bitcast_convert_type(lax.shift_left(guess - third, jnp.int64(32)), x.dtype)


def _series(terms: tuple[float, float, float], h: Scalar) -> Scalar:
    return h * (terms[0] + h * (terms[1] + h * terms[2]))


@cube_root.defjvp
def _derivative(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (x,), (dx,) = primals, tangents
    y = cube_root(x)
    return y, y / (3 * x) * dx
