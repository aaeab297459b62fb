"""Least value of a function inside a box and under limits: a search of the box, then gradients; which limits bind."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.optimize import NonlinearConstraint, differential_evolution, nnls

from clustermodel._types import Scalar

Vector = Float[Array, " variable"]
Limits = Float[Array, " limit"]
Outcome = Callable[[Vector], tuple[Scalar, Limits]]
Outcomes = NDArray[np.float64]  # logarithm of the value, then the excess over each limit
Slopes = NDArray[np.float64]  # of these, [variable, outcome]
Stacked = Callable[[Vector], tuple[Outcomes, Slopes]]

KEPT = 1e-6
"""Relative excess up to which a limit counts as kept."""

_GENERATIONS, _POPULATION = 80, 12  # of the search of the box; candidates per variable
_ALIKE = 1e-4  # spread of the candidates at which the search stops
_NEAR = 1e-2  # room over a limit below which it may bind
_WEIGHTS = (30.0, 1000.0)  # of the squared excess: light is exact, heavy stays in a valley that is not convex
_ROUNDS = 12  # updates of the multipliers
_STEPS = 60  # quasi-Newton steps between them
_HALVINGS = 30  # of a step that does not lower the function
_EDGE = 6.0  # every round starts off the bounds, where the sigmoid still has a slope
_BOUND = 1e-4  # relative distance to a bound below which it counts as reached
_FLAT = 1e-11  # slope of the logarithm at which to stop
_ENOUGH = 1e-4  # share of the promised fall that a step must bring [Armijo 1966]


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Where the least value is, or, where no point keeps the limits, the one that misses them least."""

    x: Vector
    value: float
    multipliers: NDArray[np.float64]  # fall of ln(value) for each unit that a limit is loosened
    excess: NDArray[np.float64]  # over each limit, relative; below 0 where there is room
    at_bound: tuple[bool, ...]  # which variables ended at an end of their range

    @property
    def kept(self) -> bool:
        """Whether the value is a number and every limit is kept."""
        return bool(np.isfinite(self.value) and np.max(self.excess, initial=0.0) <= KEPT)


def minimise(outcome: Outcome, lower: Vector, upper: Vector) -> Optimum:
    """Minimise a positive value over lower <= x <= upper, with every excess at most 0; `outcome` gives both.

    Values have several valleys (a limit on power can be kept by little memory or by few requests) and kinks, so
    the box is searched by differential evolution first [R. Storn & K. Price 1997, J. Global Optim. 11, 341;
    scipy.optimize]. From its best point L-BFGS goes down the logarithm of the value, in logarithms of the
    variables folded into their box by a sigmoid; limits enter as an augmented Lagrangian [J. Nocedal &
    S. Wright 2006, Numerical Optimization, ch. 7.2 and 17.3; optax.scale_by_lbfgs]. The function is compiled
    once, with its derivatives along every variable.
    """
    low, width = jnp.log(lower), jnp.log(upper / lower)
    inside = lambda z: jnp.exp(low + width * jax.nn.sigmoid(z))

    def stacked(z: Vector) -> Float[Array, " outcome"]:
        value, excess = outcome(inside(z))
        return jnp.concatenate([jnp.log(value)[None], excess])

    along = lambda z, way: jax.jvp(stacked, (z,), (way,))
    compiled = jax.jit(lambda z: jax.vmap(along, in_axes=(None, 0), out_axes=(None, 0))(z, jnp.eye(len(low))))

    def both(z: Vector) -> tuple[Outcomes, Slopes]:
        values, slopes = map(np.asarray, compiled(z))
        return np.where(np.isfinite(values), values, np.inf), slopes

    begun = _searched(both, len(low))
    reached = [(begun, _multipliers(*both(begun)))]
    if np.all(np.isfinite(both(begun)[0])):
        reached += [each for weight in _WEIGHTS for each in _settled(both, *reached[0], weight)]
    z, multipliers = min(reached, key=lambda each: _rank(both(each[0])[0]))
    values, share = both(z)[0], np.asarray(jax.nn.sigmoid(z))
    ends = tuple(bool(each) for each in (share < _BOUND) | (share > 1 - _BOUND))
    return Optimum(inside(z), float(np.exp(values[0])), multipliers, values[1:], ends)


def _rank(values: Outcomes) -> tuple[bool, float]:
    """Order of outcomes: those that keep the limits by their value, then the others by their excess."""
    excess = float(np.max(values[1:], initial=0.0))
    return excess > KEPT, excess if excess > KEPT else float(values[0])


def _searched(both: Stacked, n: int) -> Vector:
    """The best of the box by differential evolution, the same every time."""
    seen: dict[bytes, Outcomes] = {}

    def at(z: NDArray[np.float64]) -> Outcomes:
        key = z.tobytes()
        if key not in seen:
            seen[key] = both(jnp.asarray(z))[0]
        return seen[key]

    found = differential_evolution(
        lambda z: at(z)[0],
        [(-_EDGE, _EDGE)] * n,
        constraints=[NonlinearConstraint(lambda z: at(z)[1:], -np.inf, 0.0)]
        if len(at(np.zeros(n))) > 1
        else (),
        popsize=_POPULATION,
        maxiter=_GENERATIONS,
        tol=_ALIKE,
        init="sobol",
        polish=False,
        rng=0,
    )
    return jnp.asarray(found.x)


def _settled(
    both: Stacked, z: Vector, multipliers: NDArray[np.float64], weight: float
) -> Iterator[tuple[Vector, NDArray[np.float64]]]:
    """Where the augmented Lagrangian settles, round by round, and the multipliers there."""
    for _ in range(_ROUNDS if len(multipliers) else 2):
        z = _descend(both, multipliers, weight, jnp.clip(z, -_EDGE, _EDGE))
        multipliers = np.maximum(multipliers + weight * both(z)[0][1:], 0.0)
        yield z, multipliers


def _multipliers(values: Outcomes, slopes: Slopes) -> NDArray[np.float64]:
    """Those of the limits that may bind, with which the Lagrangian is flattest: non-negative least squares."""
    found, binds = np.zeros(len(values) - 1), values[1:] > -_NEAR
    if binds.any() and np.all(np.isfinite(slopes)):
        found[binds] = nnls(slopes[:, 1:][:, binds], -slopes[:, 0])[0]
    return found


def _descend(both: Stacked, multipliers: NDArray[np.float64], weight: float, z: Vector) -> Vector:
    """Quasi-Newton steps down the augmented Lagrangian until it is flat or no step lowers it."""

    def lagrangian(z: Vector) -> tuple[float, Vector]:
        values, slopes = both(z)
        pull = np.maximum(multipliers + weight * values[1:], 0.0)
        value = values[0] + np.sum(pull**2 - multipliers**2) / (2 * weight)
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
