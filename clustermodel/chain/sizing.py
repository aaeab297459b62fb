"""How many systems a request rate takes, and what their idle time does to the price of a token."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape
from clustermodel.chain.setup import Setup
from clustermodel.economics.levelized import HourCost


def replicas_per_system(setup: Setup, shapes: Sequence[Shape]) -> NDArray[np.float64]:
    """Replicas that one system holds; below 1 where a replica spans several."""
    count = float(setup.system.spec.count)
    n = np.asarray([shape[0] * shape[1] * shape[2] for shape in shapes], dtype=float)
    return np.where(n <= count, np.floor(count / n), 1 / np.ceil(n / count))


def systems(setup: Setup, shapes: Sequence[Shape], replica_rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole systems that carry the question's mean request rate at its peaks, some of them out of order.

    replicas = ceil(rate x peak-to-mean / (availability x requests/s of a replica)).
    """
    peak = float(setup.question.rate or 0.0) * float(setup.workload.spec.peak_to_mean)
    working = float(setup.terms.spec.availability)
    replicas = np.ceil(peak / (working * replica_rate) - 1e-9)
    return np.ceil(replicas / replicas_per_system(setup, shapes) - 1e-9)


def replica_arrivals(
    setup: Setup, shapes: Sequence[Shape], replica_rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Requests/s that reach each working replica of whole systems at the peaks; at most what it can carry."""
    peak = float(setup.question.rate or 0.0) * float(setup.workload.spec.peak_to_mean)
    working = float(setup.terms.spec.availability) * replicas_per_system(setup, shapes)
    return peak / (working * systems(setup, shapes, replica_rate))


def fleet_price(
    setup: Setup, shapes: Sequence[Shape], replica_rate: NDArray[np.float64], hour: HourCost
) -> NDArray[np.float64]:
    """Cost of a token of any class when whole systems are paid for and only the asked rate is served (USD).

    `replica_rate` is the most that a replica carries (requests/s). Each accelerator's hour already contains the
    utilisation that the question states.
    """
    parts = sum(np.asarray(getattr(hour, f.name)) for f in dataclasses.fields(hour))
    paid = systems(setup, shapes, replica_rate) * float(setup.system.spec.count)
    return paid * parts / (float(setup.question.rate or np.nan) * (setup.isl + setup.osl))
