"""How many systems of each pool carry a request rate, and what their idle time does to the price of a token."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clustermodel.chain.pools.evaluate import PoolsEvaluation
from clustermodel.chain.pools.setup import PoolsSetup

_ROUNDING = 1e-9


def systems(setup: PoolsSetup, evaluations: PoolsEvaluation) -> Mapping[str, NDArray[np.float64]]:
    """Whole systems of each pool for the question's mean rate at its peaks, some of them out of order.

    deployments = ceil(rate x peak-to-mean / (availability x requests/s of one); pools on one kind of system
    share them: the decode pool then counts them all.
    """
    decode, deployments = setup.decode, _deployments(setup, evaluations)
    paid = {name: np.asarray(getattr(evaluations, name).carried) for name in ("prefill", "decode")}
    count = {"prefill": float(setup.prefill.system.spec.count), "decode": float(decode.system.spec.count)}
    if not setup.apart:
        together = paid["prefill"] + paid["decode"]
        paid = {"prefill": np.zeros_like(together), "decode": together}
    return {name: np.asarray(np.ceil(deployments * paid[name] / count[name] - _ROUNDING)) for name in paid}


def _deployments(setup: PoolsSetup, evaluations: PoolsEvaluation) -> NDArray[np.float64]:
    peak, working = _at_peak(setup)
    return np.asarray(np.ceil(peak / (working * np.asarray(evaluations.point.request_rate)) - _ROUNDING))


def _at_peak(setup: PoolsSetup) -> tuple[float, float]:
    """The question's requests/s at its peaks, and the share of deployments that work."""
    decode = setup.decode
    peak = float(setup.question.rate or 0.0) * float(decode.workload.spec.peak_to_mean)
    return peak, float(decode.terms.spec.availability)


def deployment_arrivals(setup: PoolsSetup, evaluations: PoolsEvaluation) -> NDArray[np.float64]:
    """Requests/s that reach each working deployment at the peaks; at most what it can carry."""
    peak, working = _at_peak(setup)
    return np.asarray(peak / (working * _deployments(setup, evaluations)))


def fleet_price(setup: PoolsSetup, evaluations: PoolsEvaluation) -> NDArray[np.float64]:
    """Cost of a token of any class when whole systems are paid for and only the asked rate is served (USD)."""
    needed = systems(setup, evaluations)
    bought = sum(needed[name] * float(getattr(setup, name).system.spec.count) for name in needed)
    carried = np.asarray(evaluations.prefill.carried) + np.asarray(evaluations.decode.carried)
    rate = np.asarray(evaluations.point.request_rate)
    tokens = setup.decode.isl + setup.decode.osl
    bill = np.asarray(evaluations.unit.blended) * rate * tokens  # of one deployment
    return bill / carried * bought / (float(setup.question.rate or np.nan) * tokens)
