"""What first-stage decisions supply in every slot: systems, reservations, offers of others, and resources."""

import dataclasses

import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.columns import Columns, Meaning, Row
from clustermodel.fleet.dispatch import Supply
from clustermodel.fleet.first_stage import in_service, standing
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.resources import Resource, draws
from clustermodel.fleet.slots import per_slot


@dataclasses.dataclass(frozen=True, eq=False)
class SupplyMap:
    """How first-stage variables supply each slot: constant + matrix @ x, for each part of `Supply`."""

    owned: tuple[np.ndarray, sp.csr_matrix]
    reserved: tuple[np.ndarray, sp.csr_matrix]
    on_demand: tuple[np.ndarray, sp.csr_matrix]
    resource: tuple[np.ndarray, sp.csr_matrix]

    def __call__(self, x: np.ndarray) -> Supply:
        """Supply of every slot for the decisions `x`."""
        parts = (self.owned, self.reserved, self.on_demand, self.resource)
        return Supply(*((start + (matrix @ x).reshape(start.shape)).clip(0) for start, matrix in parts))


def supply_map(
    problem: FleetProblem, layout: Columns, resources: tuple[Resource, ...], unit: np.ndarray
) -> SupplyMap:
    """The supply of every slot; `unit` [slot, resource] is what one unit of each resource is, in SI."""
    blocks, (periods, count) = problem.shape["blocks"], layout.shape
    slots = periods * blocks
    service = in_service(problem, layout)
    usable = sp.diags_array(np.tile(problem.assets.usable, periods)) @ service
    each = np.repeat(np.arange(periods * count).reshape(periods, count), blocks, axis=0)
    owned = (problem.assets.legacy * problem.assets.usable).ravel()[each]
    entry = np.ones(each.size)
    reserve = (entry, (np.arange(each.size), layout.reserve.ravel()[each.ravel()]))
    reserved = sp.csr_matrix(reserve, shape=(each.size, layout.count))
    return SupplyMap(
        (owned, sp.csr_matrix(usable)[each.ravel()]),
        (np.zeros((slots, count)), reserved),
        (per_slot(problem, problem.rental.on_demand_most), sp.csr_matrix(reserved.shape)),
        _resource_supply(problem, layout, resources, unit),
    )


def _resource_supply(
    problem: FleetProblem, layout: Columns, resources: tuple[Resource, ...], unit: np.ndarray
) -> tuple[np.ndarray, sp.csr_matrix]:
    """What is left of every resource after standing use: limit - standing . (legacy + bought - retired + hosted)."""
    blocks, count = problem.shape["blocks"], layout.shape[1]
    slots = layout.shape[0] * blocks
    held = standing(problem, layout)
    start = np.ones((slots, len(resources)))
    matrix = sp.lil_matrix((slots * len(resources), layout.count))
    for r, resource in enumerate(resources):
        for slot, limit in resource.limits.items():
            draw = draws(problem, resource, slot)[0] / unit[slot, r]
            here = slice(slot // blocks * count, (slot // blocks + 1) * count)
            own = 0.0 if resource.kind == "carbon" else limit.value / unit[slot, r]
            start[slot, r] = own - draw @ problem.assets.legacy[slot // blocks]
            matrix[slot * len(resources) + r] = -(draw @ held[here])[None, :]
            if resource.kind == "carbon":
                mine = (layout.allow_limit == resource.index) & (layout.allow_slot == slot)
                matrix[slot * len(resources) + r, layout.allow[mine]] = 1.0
    return start, sp.csr_matrix(matrix)


def allowance_rows(supply: SupplyMap, resources: tuple[Resource, ...]) -> list[Row]:
    """A carbon allowance covers at least the standing emissions of its slot."""
    start, matrix = supply.resource
    made = []
    for r, resource in enumerate(resources):
        for slot in resource.limits if resource.kind == "carbon" else ():
            row = matrix[slot * len(resources) + r].tocoo()
            meaning = Meaning("carbon allowance", str(slot), relaxable=False)
            made.append(Row(row.coords[-1], row.data, -float(start[slot, r]), np.inf, meaning))
    return made
