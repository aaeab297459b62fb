"""The same problem with other limits, or with another idea of what is best."""

import dataclasses
from typing import Any

import numpy as np

from clustermodel.catalog import ConfigError, did_you_mean
from clustermodel.fleet.problem import UNITS, FleetProblem, Limit, LimitKind


def with_overall(problem: FleetProblem, kind: LimitKind, value: float) -> FleetProblem:
    """One limit on the whole fleet instead of every limit of its kind.

    A budget then holds for the horizon together, a limit on power in every period (USD, W).
    """
    kept = tuple(limit for limit in problem.limits if limit.kind != kind)
    return dataclasses.replace(problem, limits=(*kept, Limit(kind, value)))


def scaled(problem: FleetProblem, kind: LimitKind, factor: float) -> FleetProblem:
    """Every limit of one kind times a factor; `supply` includes what vendors deliver at most."""
    if kind not in UNITS:
        raise ConfigError(f"no limits of kind {kind!r}{did_you_mean(kind, UNITS)}; {', '.join(UNITS)}")
    limits = tuple(
        dataclasses.replace(limit, value=limit.value * factor) if limit.kind == kind else limit
        for limit in problem.limits
    )
    if kind != "supply":
        return dataclasses.replace(problem, limits=limits)
    supply = np.floor(problem.assets.supply * factor) if factor > 0 else np.zeros(problem.assets.supply.shape)
    return dataclasses.replace(
        problem, limits=limits, assets=dataclasses.replace(problem.assets, supply=supply)
    )


def with_policy(problem: FleetProblem, **changes: Any) -> FleetProblem:
    """Another objective, risk preference or rule on whole systems; fields of `Policy`."""
    return dataclasses.replace(problem, policy=dataclasses.replace(problem.policy, **changes))


def without_fractions(problem: FleetProblem, whole: bool) -> FleetProblem:
    """Whole systems and reservations, or fractions of both."""
    return with_policy(problem, whole_systems=whole, whole_reservations=whole)
