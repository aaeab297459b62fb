"""Slots: the (period, block) pairs of a problem, periods first."""

import numpy as np

from clustermodel.fleet.problem import FleetProblem, Limit


def flat(array: np.ndarray) -> np.ndarray:
    """[..., period, block, workload] -> [..., slot, workload]."""
    return array.reshape(*array.shape[:-3], -1, array.shape[-1])


def slot_seconds(problem: FleetProblem) -> np.ndarray:
    """Seconds of each slot."""
    return np.outer(problem.horizon.seconds, problem.horizon.share).ravel()


def slot_value(problem: FleetProblem) -> np.ndarray:
    """Seconds of each slot times what a dollar then is worth now; undiscounted where money does not count."""
    discounted = problem.policy.objective != "served"
    discount = problem.horizon.discount if discounted else np.ones(problem.shape["periods"])
    return np.outer(problem.horizon.seconds * discount, problem.horizon.share).ravel()


def per_slot(problem: FleetProblem, array: np.ndarray) -> np.ndarray:
    """[period, ...] -> [slot, ...]."""
    return np.repeat(array, problem.shape["blocks"], axis=0)


def slots_of(problem: FleetProblem, limit: Limit) -> list[int]:
    """The slots in which a limit holds."""
    blocks = problem.shape["blocks"]
    periods = range(problem.shape["periods"]) if limit.period is None else [limit.period]
    return [t * blocks + k for t in periods for k in range(blocks)]
