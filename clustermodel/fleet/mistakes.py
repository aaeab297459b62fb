"""What makes the numbers of a problem unusable, a sentence each."""

from collections.abc import Iterator

import numpy as np

from clustermodel.fleet.problem import FleetProblem

PROBABILITY_TOLERANCE = 1e-9
MOST_SYSTEMS = 1e12
"""Systems for one workload up to which answers have been checked."""


def mistakes(problem: FleetProblem) -> Iterator[str]:
    """Everything that makes the numbers unusable, a sentence each."""
    sizes = problem.shape
    if missing := [axis for axis, size in sizes.items() if size == 0]:
        yield f"no {', no '.join(missing)}; a plan needs at least one of each"
        return
    yield from _unusable_numbers(problem)
    total = problem.demand.probability.sum()
    if abs(total - 1) > PROBABILITY_TOLERANCE:
        yield f"probabilities of the scenarios sum to {total:.9g}, not to 1"
    if abs(problem.horizon.share.sum() - 1) > PROBABILITY_TOLERANCE:
        yield f"shares of the load blocks sum to {problem.horizon.share.sum():.9g}, not to 1"
    if not (0 <= problem.policy.omega <= 1 and 0 <= problem.policy.alpha < 1):
        yield "omega must be in [0, 1] and alpha in [0, 1)"
    idle = ~np.any(problem.service.rate > 0, axis=(0, 1))
    for name, unserved in zip(problem.service.workloads, idle, strict=True):
        if unserved:
            yield f"throughput: no system can serve workload {name}; give it a row on at least one"
    yield from _unheard_of(problem)
    yield from _without_power(problem)


def _without_power(problem: FleetProblem) -> Iterator[str]:
    """Systems that may stand at own sites under a limit on power and that draw nothing as far as is known."""
    assets, rental, service = problem.assets, problem.rental, problem.service
    limits = [limit for limit in problem.limits if limit.kind == "power" and np.isfinite(limit.value)]
    counted = np.any([limit.covers(assets) for limit in limits], axis=0) if limits else np.zeros(1, bool)
    there = np.any([part.any(axis=0) for part in (assets.supply, assets.legacy, rental.hosted)], axis=0)
    unknown = counted & there & (assets.standing_draw == 0) & ~service.busy_draw.any(axis=(0, 2))
    for name in dict.fromkeys(np.array(assets.systems)[unknown]):
        yield (
            f"systems: {name} draws nothing that the limit on power counts; write its provisioned_power, or with "
            "power_basis p90 its idle_power and the power of its throughput"
        )


def _unheard_of(problem: FleetProblem) -> Iterator[str]:
    """Demands that would take more systems than solvers can count: always a mistake in a unit."""
    work, rate = problem.demand.work.max(axis=(0, 1, 2)), problem.service.rate.max(axis=(0, 1))
    systems = work / np.where(rate > 0, rate, np.inf)
    for w in np.nonzero(systems > MOST_SYSTEMS)[0]:
        yield (
            f"demand: {problem.service.workloads[w]} asks for {systems[w]:.3g} systems of the fastest kind, more than "
            f"{MOST_SYSTEMS:g}; check the units of its demand and its throughput"
        )


def _unusable_numbers(problem: FleetProblem) -> Iterator[str]:
    for part in ("horizon", "assets", "service", "rental", "demand"):
        group = getattr(problem, part)
        for name, array in vars(group).items():
            if not isinstance(array, np.ndarray):
                continue
            if np.isnan(array).any():
                yield f"{part}.{name}: not a number at index {_first(np.isnan(array))}"
            elif (array < 0).any():
                yield f"{part}.{name}: negative ({array[array < 0][0]:g}) at index {_first(array < 0)}"
    for limit in problem.limits:
        if np.isnan(limit.value) or limit.value < 0:
            yield f"limit {limit.kind}: {limit.value:g} is no amount"


def _first(where: np.ndarray) -> str:
    return str(tuple(int(axis[0]) for axis in np.nonzero(where)))
