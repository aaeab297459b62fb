"""What every dispatch draws on beside systems: power within a scope, and carbon allowances."""

import dataclasses

import numpy as np

from clustermodel.fleet.problem import FleetProblem, Limit
from clustermodel.fleet.slots import slot_seconds, slots_of


@dataclasses.dataclass(frozen=True)
class Resource:
    """Something every dispatch draws on: power within one scope in each period, or a carbon allowance."""

    kind: str
    scope: tuple[str, str, str]  # site, system, vendor
    limits: dict[int, Limit]  # slot -> the limit that sets it, the smallest of this scope
    index: int = -1  # of a carbon limit


def limited_resources(problem: FleetProblem) -> tuple[Resource, ...]:
    """Power of every scope with a limit, and every carbon limit."""
    power = [limit for limit in problem.limits if limit.kind == "power" and np.isfinite(limit.value)]
    found = []
    for scope in dict.fromkeys(limit.scope for limit in power):
        loosest_first = sorted((each for each in power if each.scope == scope), key=lambda each: -each.value)
        tightest = {slot: each for each in loosest_first for slot in slots_of(problem, each)}
        found.append(Resource("power", scope, dict(sorted(tightest.items()))))
    for index, limit in enumerate(problem.limits):
        if limit.kind == "carbon":
            slots = dict.fromkeys(slots_of(problem, limit), limit)
            found.append(Resource("carbon", limit.scope, slots, index))
    return tuple(found)


def draws(problem: FleetProblem, resource: Resource, slot: int) -> tuple[np.ndarray, np.ndarray]:
    """Standing [asset] and busy [asset, workload] use of a resource, in SI."""
    assets, period = problem.assets, slot // problem.shape["blocks"]
    counted = resource.limits[slot].covers(assets).astype(float)
    if resource.kind == "power":
        return assets.standing_draw * counted, problem.service.busy_draw[period] * counted[:, None]
    emission = assets.carbon * counted * slot_seconds(problem)[slot]
    return assets.standing_power * emission, problem.service.busy_power[period] * emission[:, None]
