"""Shared coefficients and shrunk effects as one vector, and its robust least-squares fit."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustermodel.calibration.effects import NAMES, Group, Level
from clustermodel.calibration.targets import Target

Vector = NDArray[np.float64]


class Term(NamedTuple):
    """One unknown: the shift of a coefficient in every row of a group (of all rows where it is empty)."""

    name: str
    group: Group
    deviation: float  # of its Gaussian prior around 0


class Method(NamedTuple):
    """Robust Levenberg-Marquardt."""

    huber: float
    sigma: float
    worst_step: float
    iterations: int
    tolerance: float


@dataclasses.dataclass(frozen=True)
class Solution:
    """Shifts of all terms, their standard errors, and the errors they leave (predicted / measured - 1)."""

    terms: tuple[Term, ...]
    shifts: Vector
    deviations: Vector
    errors: Vector


@dataclasses.dataclass(frozen=True)
class Problem:
    """Rows of several targets with their weights, the terms to find, and where the search starts."""

    targets: Sequence[Target]
    terms: tuple[Term, ...]
    start: Vector  # row x name: link-space values before any shift
    member: NDArray[np.bool_]  # row x term
    weights: Vector
    method: Method

    @property
    def measured(self) -> Vector:
        """Log seconds of every row."""
        return np.concatenate([target.measured for target in self.targets])

    def links(self, shifts: Vector) -> Vector:
        """Link-space values of every row."""
        links = self.start.copy()
        names = np.array([NAMES.index(term.name) for term in self.terms])
        for name in np.unique(names):
            mine = names == name
            links[:, name] += self.member[:, mine] @ shifts[mine]
        return links

    def residuals(self, shifts: Vector) -> Vector:
        """log(predicted / measured) of every row."""
        return np.concatenate([t.value(part) for t, part in self._split(shifts)]) - self.measured

    def linearised(self, shifts: Vector) -> tuple[Vector, Vector]:
        """Residuals, and their derivative by every term."""
        found = [target.gradient(part) for target, part in self._split(shifts)]
        slopes = np.concatenate([slope for _, slope in found])
        columns = [NAMES.index(term.name) for term in self.terms]
        residuals = np.concatenate([value for value, _ in found]) - self.measured
        return residuals, self.member * slopes[:, columns]

    def _split(self, shifts: Vector) -> list[tuple[Target, Vector]]:
        ends = np.cumsum([len(target.measured) for target in self.targets])[:-1]
        return list(zip(self.targets, np.split(self.links(shifts), ends), strict=True))


def membership(terms: Sequence[Term], levels: Sequence[Level]) -> NDArray[np.bool_]:
    """Which rows each term shifts."""
    of_group: dict[Group, list[int]] = {}
    for number, term in enumerate(terms):
        of_group.setdefault(term.group, []).append(number)
    member = np.zeros((len(levels), len(terms)), dtype=bool)
    member[:, of_group.get((), [])] = True
    for row, level in enumerate(levels):
        for group in level.groups.values():
            member[row, of_group.get(group, [])] = True
    return member


def solve(problem: Problem, kept: NDArray[np.bool_] | None = None, start: Vector | None = None) -> Solution:
    """Minimise sum w rho(residual) / sigma^2 + sum (shift / deviation)^2, both halved; rho is pseudo-Huber.

    `kept` leaves rows out of the fit; their errors are reported all the same. Terms that no kept row has stay
    at zero, wherever the search starts.
    """
    method, prior = problem.method, np.array([term.deviation for term in problem.terms])
    weights = problem.weights if kept is None else np.where(kept, problem.weights, 0.0)
    if start is not None:
        start = np.where(problem.member[weights > 0].any(axis=0), start, 0.0)

    def loss(residuals: Vector, shifts: Vector) -> float:
        robust = 2 * method.huber**2 * (np.sqrt(1 + (residuals / method.huber) ** 2) - 1)
        return float(weights @ robust / method.sigma**2 + np.sum((shifts / prior) ** 2)) / 2

    shifts, damping = (np.zeros(len(prior)) if start is None else start.copy()), 1e-2
    residuals, jacobian = problem.linearised(shifts)
    least = loss(residuals, shifts)
    for _ in range(method.iterations):
        scaled = weights / np.sqrt(1 + (residuals / method.huber) ** 2) / method.sigma**2
        hessian = jacobian.T @ (jacobian * scaled[:, None]) + np.diag(prior**-2.0)
        slope = jacobian.T @ (scaled * residuals) + shifts / prior**2
        found = _damped_step(problem, (hessian, slope), (shifts, least, damping), loss)
        if found is None:
            break
        before, (shifts, least, damping) = least, found
        residuals, jacobian = problem.linearised(shifts)
        if before - least < method.tolerance * least:
            break
    scaled = weights / np.sqrt(1 + (residuals / method.huber) ** 2) / method.sigma**2
    hessian = jacobian.T @ (jacobian * scaled[:, None]) + np.diag(prior**-2.0)
    deviations = np.sqrt(np.diag(np.linalg.inv(hessian)))
    return Solution(problem.terms, shifts, deviations, np.expm1(residuals))


def _damped_step(problem, system, state, loss):
    """The first damped Gauss-Newton step that lowers the loss; None where none does."""
    (hessian, slope), (shifts, least, damping) = system, state
    worst = problem.method.worst_step
    for _ in range(6):
        step = -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), slope)
        tried = shifts + np.clip(step, -worst, worst)
        reached = loss(problem.residuals(tried), tried)
        if np.isfinite(reached) and reached < least:
            return tried, reached, max(damping / 4, 1e-6)
        damping *= 4
    return None
