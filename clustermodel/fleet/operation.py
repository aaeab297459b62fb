"""How a fleet is used: every dispatch of every scenario, repaired to feasibility and summed up."""

import dataclasses

import jax
import numpy as np

from clustermodel.fleet.dispatch import Dispatch, Supply, Use, repaired, use_cost
from clustermodel.fleet.oracles import AbstractOracle
from clustermodel.fleet.two_stage import TwoStage
from clustermodel.kept import Kept

CHUNK_BYTES = 2**28
"""Memory for the busy systems of the scenarios that are looked at together."""


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """Use of a fleet in systems, work in the problem's own units per second, cost in scaled money."""

    busy: np.ndarray  # [slot, asset, workload] expected busy systems
    used: np.ndarray  # [scenario, slot, asset] busy systems
    reserved: np.ndarray  # [scenario, slot, asset] reserved systems that are used
    on_demand: np.ndarray  # [scenario, slot, asset]
    left_out: np.ndarray  # [scenario, slot, workload] work/s
    breach: np.ndarray  # [scenario, slot, workload] work/s that had to be served and is not
    cost: np.ndarray  # [scenario, slot]


def operation(program: TwoStage, x: np.ndarray, oracle: AbstractOracle) -> Operation:
    """Dispatch the fleet `x` in every scenario."""
    supply = program.supply(x)
    scenarios = len(program.probability)
    per_scenario = np.asarray(program.dispatch.rate).size * np.dtype(float).itemsize
    chunk = max(1, CHUNK_BYTES // per_scenario)
    mean, parts = np.zeros(program.dispatch.rate.shape), []
    for first in range(0, scenarios, chunk):
        demand = program.demand[first : first + chunk]
        busy = oracle.busy(supply, demand)
        use, cost = _used(program.dispatch, supply, demand, busy)
        mean += np.tensordot(program.probability[first : first + chunk], use.busy, axes=1)
        kept = (use.busy.sum(axis=-1), use.reserved, use.on_demand, use.left_out, use.breach, cost)
        parts.append(tuple(np.asarray(part) for part in kept))
    used, reserved, on_demand, left_out, breach, cost = (np.concatenate(p) for p in zip(*parts, strict=True))
    work = program.scale.work
    return Operation(mean, used, reserved, on_demand, left_out * work, breach * work, cost)


@Kept
def _used(dispatch: Dispatch, supply: Supply, demand: jax.Array, busy: jax.Array) -> tuple[Use, jax.Array]:
    def one(dispatch: Dispatch, supply: Supply, work: jax.Array, busy: jax.Array) -> tuple[Use, jax.Array]:
        use = repaired(dispatch, supply, work, busy)
        return use, use_cost(dispatch, use)

    return jax.vmap(jax.vmap(one), in_axes=(None, None, 0, 0))(dispatch, supply, demand, busy)
