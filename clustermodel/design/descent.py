"""Least value of a smooth function inside a box and under limits, by gradients; which limits bind, at what price."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from numpy.typing import NDArray

from clustermodel._types import Scalar

Vector = Float[Array, " variable"]
Limits = Float[Array, " limit"]
Outcome = Callable[[Vector], tuple[Scalar, Limits]]

_ROUNDS = 12  # updates of the multipliers
_STEPS = 60  # quasi-Newton steps between them
_HALVINGS = 30  # of a step that does not lower the function
_PENALTY = 30.0  # weight of the squared violation; limits are relative, so of the order of 1
_EDGE = 6.0  # every round starts off the bounds, where the sigmoid still has a slope
_BOUND = 1e-4  # relative distance to a bound below which it counts as reached
_FLAT = 1e-11  # slope of the logarithm at which to stop
_ENOUGH = 1e-4  # share of the promised fall that a step must bring [Armijo 1966]


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Where the least value is."""

    x: Vector
    value: float
    multipliers: NDArray[np.float64]  # fall of ln(value) for each unit that a limit is loosened
    violation: float  # largest excess over a limit
    at_bound: tuple[bool, ...]  # which variables ended at an end of their range


def minimise(outcome: Outcome, start: Vector, lower: Vector, upper: Vector) -> Optimum:
    """Minimise a positive value over lower <= x <= upper, with every excess at most 0; `outcome` gives both.

    L-BFGS on the logarithm of the value, in logarithms of the variables folded into their box by a sigmoid;
    limits enter as an augmented Lagrangian [J. Nocedal & S. Wright 2006, Numerical Optimization, ch. 7.2 and
    17.3; optax.scale_by_lbfgs]. The function is compiled once, with its derivatives along every variable.
    """
    low, width = jnp.log(lower), jnp.log(upper / lower)

    def stacked(z: Vector) -> Float[Array, " outcome"]:
        value, excess = outcome(jnp.exp(low + width * jax.nn.sigmoid(z)))
        return jnp.concatenate([jnp.log(value)[None], excess])

    along = lambda z, way: jax.jvp(stacked, (z,), (way,))
    both = jax.jit(lambda z: jax.vmap(along, in_axes=(None, 0), out_axes=(None, 0))(z, jnp.eye(len(z))))
    inside = jnp.clip((jnp.log(start) - low) / width, 0.02, 0.98)
    z = jnp.log(inside / (1 - inside))
    multipliers = np.zeros(len(both(z)[0]) - 1)
    for _ in range(_ROUNDS if len(multipliers) else 2):
        z = _descend(both, multipliers, jnp.clip(z, -_EDGE, _EDGE))
        multipliers = np.maximum(multipliers + _PENALTY * np.asarray(both(z)[0])[1:], 0.0)
    values, share = np.asarray(both(z)[0]), np.asarray(jax.nn.sigmoid(z))
    ends = tuple(bool(each) for each in (share < _BOUND) | (share > 1 - _BOUND))
    x = jnp.exp(low + width * jax.nn.sigmoid(z))
    return Optimum(x, float(np.exp(values[0])), multipliers, float(np.max(values[1:], initial=0.0)), ends)


def _descend(both: Callable[[Vector], tuple[Array, Array]], multipliers: NDArray, z: Vector) -> Vector:
    """Quasi-Newton steps down the augmented Lagrangian until it is flat or no step lowers it."""

    def lagrangian(z: Vector) -> tuple[float, Vector]:
        values, slopes = map(np.asarray, both(z))
        pull = np.maximum(multipliers + _PENALTY * values[1:], 0.0)
        value = values[0] + np.sum(pull**2 - multipliers**2) / (2 * _PENALTY)
        return float(value), jnp.asarray(slopes[:, 0] + slopes[:, 1:] @ pull)

    solver = optax.scale_by_lbfgs()
    state, (value, slope) = solver.init(z), lagrangian(z)
    for _ in range(_STEPS):
        way, state = _direction(slope, state, z)
        promised = float(jnp.vdot(way, slope))
        tried = (z - way / 2**n for n in range(_HALVINGS))
        found = ((there, *lagrangian(there)) for there in tried)
        lower = (each for each in found if each[1] <= value - _ENOUGH * promised * _step(z, way, each[0]))
        taken = next(lower, None)
        if taken is None or float(jnp.max(jnp.abs(slope))) < _FLAT:
            break
        z, value, slope = taken
    return z


@jax.jit
def _direction(slope: Vector, state: optax.OptState, z: Vector) -> tuple[Vector, optax.OptState]:
    way, state = optax.scale_by_lbfgs().update(slope, state, z)
    return jnp.stack(jax.tree.leaves(way))[0], state


def _step(z: Vector, way: Vector, there: Vector) -> float:
    """Length of the step taken over the full one."""
    return float(jnp.linalg.norm(z - there) / jnp.maximum(jnp.linalg.norm(way), 1e-300))
