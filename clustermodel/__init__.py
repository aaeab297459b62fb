"""From silicon to money: what a million tokens cost, and why."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustermodel.api import Answer as Answer
    from clustermodel.api import bench_device as bench_device
    from clustermodel.api import bench_model as bench_model
    from clustermodel.api import bench_serve as bench_serve
    from clustermodel.api import compare as compare
    from clustermodel.api import cost_per_token as cost_per_token
    from clustermodel.api import frontier as frontier
    from clustermodel.catalog import Catalog as Catalog
    from clustermodel.catalog import ConfigError as ConfigError
    from clustermodel.catalog import InfeasibleError as InfeasibleError
    from clustermodel.catalog import load as load
    from clustermodel.catalog import load_catalog as load_catalog
    from clustermodel.fleet import FleetProblem as FleetProblem
    from clustermodel.specs import stack as stack

__version__ = "0.1.0"

_PUBLIC = {
    "clustermodel.api": (
        "Answer",
        "bench_device",
        "bench_model",
        "bench_serve",
        "compare",
        "cost_per_token",
        "frontier",
    ),
    "clustermodel.catalog": ("Catalog", "ConfigError", "InfeasibleError", "load", "load_catalog"),
    "clustermodel.fleet": ("FleetProblem",),
    "clustermodel.specs": ("stack",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line's help must not wait for jax."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
