"""Price a fleet by solving every dispatch of every scenario: what an oracle is, and one that solves all at once."""

import abc
import dataclasses

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from clustermodel.fleet import interior_point
from clustermodel.fleet.dispatch import (
    Bound,
    Dispatch,
    Multipliers,
    Supply,
    bound_value,
    dual_bound,
    repaired,
    use_cost,
)
from clustermodel.fleet.two_stage import TwoStage
from clustermodel.kept import Kept

WORKING_BYTES = 2**31
"""Memory that one batch of the interior-point oracle may take."""
ARRAYS_ALIVE = 40
"""Arrays of [asset, workload] that it holds per dispatch, roughly."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recourse:
    """Bounds on the cost of every dispatch [scenario, slot], and the affine bounds that prove the lower ones."""

    lower: np.ndarray
    upper: np.ndarray
    bound: Bound  # leading axes [scenario, slot]


class AbstractOracle(abc.ABC):
    """Prices a fleet: what it costs to serve the demand with it."""

    name: str

    @abc.abstractmethod
    def recourse(self, supply: Supply, demand: np.ndarray) -> Recourse:
        """Bounds for `supply` [slot, ...] and `demand` [scenario, slot, workload]."""

    @abc.abstractmethod
    def busy(self, supply: Supply, demand: np.ndarray) -> np.ndarray:
        """Busy systems [scenario, slot, asset, workload] of a best dispatch."""


@Kept
def certified(
    dispatch: Dispatch, prices: Multipliers, supply: Supply, demand: jax.Array
) -> tuple[Bound, jax.Array]:
    """Affine bounds and their values for multipliers [scenario, slot, ...]."""
    bounds = jax.vmap(jax.vmap(dual_bound), in_axes=(None, 0))(dispatch, prices)
    return bounds, jax.vmap(jax.vmap(bound_value), in_axes=(0, None, 0))(bounds, supply, demand)


class InteriorPointOracle(AbstractOracle):
    """All dispatches at once on the default backend, scenarios shared out over its devices.

    Approximate, and certified: lower bounds in closed form, upper bounds from repaired dispatches.
    """

    name = "interior-point"

    def __init__(self, program: TwoStage):
        self._dispatch = program.dispatch
        self._devices = np.array(jax.devices())
        per_scenario = program.dispatch.rate.size * ARRAYS_ALIVE * np.dtype(float).itemsize
        self._chunk = max(1, int(WORKING_BYTES // per_scenario))

    def recourse(self, supply: Supply, demand: np.ndarray) -> Recourse:
        """Certified bounds of every dispatch."""
        bound, lower, upper, _ = self._solve(supply, demand)
        return Recourse(lower, np.maximum(lower, upper), bound)

    def busy(self, supply: Supply, demand: np.ndarray) -> np.ndarray:
        """Busy systems of dispatches that meet every limit."""
        return self._solve(supply, demand)[3]

    def _solve(self, supply: Supply, demand: np.ndarray) -> tuple[Bound, np.ndarray, np.ndarray, np.ndarray]:
        """Chunks of equal size, so that one compiled program serves them all; the last is filled up."""
        devices, scenarios = len(self._devices), len(demand)
        chunk = -(-min(self._chunk, scenarios) // devices) * devices
        spread = NamedSharding(Mesh(self._devices, ("scenario",)), PartitionSpec("scenario"))
        parts = []
        for first in range(0, scenarios, chunk):
            part = demand[first : first + chunk]
            padded = np.concatenate([part, np.repeat(part[-1:], chunk - len(part), axis=0)])
            parts.append(_solved(self._dispatch, supply, jax.device_put(padded, spread)))
        return jax.tree.map(lambda *pieces: np.concatenate(pieces)[:scenarios], *parts)


@Kept
def _solved(
    dispatch: Dispatch, supply: Supply, demand: jax.Array
) -> tuple[Bound, jax.Array, jax.Array, jax.Array]:
    """Affine bound, lower and upper bound of the cost, and busy systems, for [scenario, slot]."""

    def one(
        dispatch: Dispatch, supply: Supply, work: jax.Array
    ) -> tuple[Bound, jax.Array, jax.Array, jax.Array]:
        busy, prices = interior_point.solve(dispatch, supply, work)
        use, bound = repaired(dispatch, supply, work, busy), dual_bound(dispatch, prices)
        return bound, bound_value(bound, supply, work), use_cost(dispatch, use), use.busy

    return jax.vmap(jax.vmap(one), in_axes=(None, None, 0))(dispatch, supply, demand)
