"""Which systems to buy, when and where, under budget, power, supply and uncertain demand, with proof."""

from typing import TYPE_CHECKING, Any

from clustermodel.fleet.problem import Assets as Assets
from clustermodel.fleet.problem import Demand as Demand
from clustermodel.fleet.problem import FleetProblem as FleetProblem
from clustermodel.fleet.problem import Horizon as Horizon
from clustermodel.fleet.problem import Limit as Limit
from clustermodel.fleet.problem import Policy as Policy
from clustermodel.fleet.problem import Rental as Rental
from clustermodel.fleet.problem import Service as Service

if TYPE_CHECKING:
    from clustermodel.fleet.plan import Plan as Plan
    from clustermodel.fleet.planner import Options as Options

_HOME = {"Plan": "clustermodel.fleet.plan", "Options": "clustermodel.fleet.planner"}


def __getattr__(name: str) -> Any:
    """Import on first use: problems and dispatches need no solver, which machines for benchmarks may lack."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
