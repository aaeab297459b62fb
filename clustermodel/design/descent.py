"""Least value of a smooth function inside a box and under limits, by gradients; which limits bind, at what price."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from clustermodel._types import Scalar

Vector = Float[Array, " variable"]
Limits = Float[Array, " limit"]

_ROUNDS = 12  # updates of the multipliers
_STEPS = 60  # quasi-Newton steps between them
_PENALTY = 30.0  # weight of the squared violation; limits are relative, so of the order of 1
_EDGE = 6.0  # every round starts off the bounds, where the sigmoid still has a slope
_BOUND = 1e-4  # relative distance to a bound below which it counts as reached


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Where the least value is."""

    x: Vector
    value: float
    multipliers: Limits  # fall of ln(value) for each unit that a limit is loosened
    violation: float  # largest excess over a limit
    at_bound: tuple[bool, ...]  # which variables ended at an end of their range


def minimise(
    objective: Callable[[Vector], Scalar],
    limits: Callable[[Vector], Limits],
    start: Vector,
    lower: Vector,
    upper: Vector,
) -> Optimum:
    """Minimise a positive `objective` over lower <= x <= upper with limits(x) <= 0.

    L-BFGS on the logarithm of the objective, in logarithms of the variables folded into their box by a
    sigmoid; limits enter as an augmented Lagrangian [J. Nocedal & S. Wright 2006, Numerical Optimization,
    ch. 7.2 and 17.3; optax.lbfgs].
    """
    low, width = jnp.log(lower), jnp.log(upper / lower)
    unfold = lambda z: jnp.exp(low + width * jax.nn.sigmoid(z))
    inside = jnp.clip((jnp.log(start) - low) / width, 0.02, 0.98)

    @jax.jit
    def descend(z: Vector, multipliers: Limits) -> tuple[Vector, Limits]:
        def lagrangian(z: Vector) -> Scalar:
            x = unfold(z)
            pull = jnp.maximum(multipliers + _PENALTY * limits(x), 0.0)
            return jnp.log(objective(x)) + jnp.sum(pull**2 - multipliers**2) / (2 * _PENALTY)

        z = _lbfgs(lagrangian, z)
        return z, jnp.maximum(multipliers + _PENALTY * limits(unfold(z)), 0.0)

    z = jnp.log(inside / (1 - inside))
    multipliers = jnp.zeros_like(limits(start))
    rounds = _ROUNDS if multipliers.size else 2
    for _ in range(rounds):
        z, multipliers = descend(jnp.clip(z, -_EDGE, _EDGE), multipliers)
    x, share = unfold(z), jax.nn.sigmoid(z)
    ends = tuple(bool(each) for each in (share < _BOUND) | (share > 1 - _BOUND))
    excess = float(jnp.max(jnp.append(limits(x), 0.0)))
    return Optimum(x, float(objective(x)), multipliers, excess, ends)


def _lbfgs(function: Callable[[Vector], Scalar], z: Vector) -> Vector:
    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(function)

    def step(_: Array, carry: tuple) -> tuple:
        z, state = carry
        value, grad = value_and_grad(z, state=state)
        updates, state = solver.update(grad, state, z, value=value, grad=grad, value_fn=function)
        return optax.apply_updates(z, updates), state

    return jax.lax.fori_loop(0, _STEPS, step, (z, solver.init(z)))[0]
