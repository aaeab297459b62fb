"""How many systems of each pool carry a request rate, and what their idle time does to the price of a token."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clustermodel.chain.pools.evaluate import PoolsEvaluation
from clustermodel.chain.pools.setup import PoolsSetup

_ROUNDING = 1e-9
NAMES = ("prefill", "decode")


def systems(
    setup: PoolsSetup, carried: Mapping[str, NDArray[np.float64]], capacity: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]]:
    """Whole systems of each pool for the question's mean rate at its peaks, some of them out of order.

    deployments = ceil(rate x peak-to-mean / (availability x requests/s of one); pools on one kind of system
    share them: the decode pool then counts them all.

    Args:
        setup: the question.
        carried: accelerators that each pool of a deployment pays for.
        capacity: requests/s that a deployment carries at the most.
    """
    needed, paid = deployments(setup, capacity), carried
    count = {name: float(getattr(setup, name).system.spec.count) for name in NAMES}
    if not setup.apart:
        together = carried["prefill"] + carried["decode"]
        paid = {"prefill": np.zeros_like(together), "decode": together}
    return {name: np.asarray(np.ceil(needed * paid[name] / count[name] - _ROUNDING)) for name in NAMES}


def deployments(setup: PoolsSetup, capacity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deployments that carry the question's rate, out of order ones included."""
    peak, working = _at_peak(setup)
    return np.asarray(np.ceil(peak / (working * capacity) - _ROUNDING))


def _at_peak(setup: PoolsSetup) -> tuple[float, float]:
    """The question's requests/s at its peaks, and the share of deployments that work."""
    decode = setup.decode
    peak = float(setup.question.rate or 0.0) * float(decode.workload.spec.peak_to_mean)
    return peak, float(decode.terms.spec.availability)


def deployment_arrivals(setup: PoolsSetup, capacity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Requests/s that reach each working deployment at the peaks; at most what it can carry."""
    peak, working = _at_peak(setup)
    return np.asarray(peak / (working * deployments(setup, capacity)))


def accelerators(evaluations: PoolsEvaluation) -> Mapping[str, NDArray[np.float64]]:
    """Accelerators that each pool of a deployment pays for."""
    return {name: np.atleast_1d(np.asarray(getattr(evaluations, name).carried, float)) for name in NAMES}


def fleet_price(
    setup: PoolsSetup, evaluations: PoolsEvaluation, capacity: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cost of a token of any class when whole systems are paid for and only the asked rate is served (USD)."""
    carried = accelerators(evaluations)
    needed = systems(setup, carried, capacity)
    bought = sum(needed[name] * float(getattr(setup, name).system.spec.count) for name in NAMES)
    bill = np.asarray(evaluations.unit.blended) * np.asarray(
        evaluations.point.request_rate
    )  # over tokens of one
    return np.asarray(bill * bought / sum(carried.values()) / float(setup.question.rate or np.nan))
