import gc
import importlib.util
import os
import pathlib

# Workers and the commands that tests start share what is compiled; jax reads these when it is imported.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache/jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import effort

for name, value in effort.LITTLE.items():
    os.environ.setdefault(name, value)

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile("clustermodel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clustermodel")

ARRAYS = ("physics", "serving", "economics", "chain", "sweep", "design", "fleet", "risk", "bench")
"""Packages whose annotations, shapes among them, become checks; the others are checked statically."""

THOROUGH = os.environ.get("THOROUGH") == "1"
"""`make thorough`: tests that take long as well, and shapes checked at run time."""

if THOROUGH and importlib.util.find_spec("beartype"):
    from jaxtyping import install_import_hook

    install_import_hook([f"clustermodel.{name}" for name in ARRAYS], "numeric_tower.checked")


gc.set_threshold(
    100_000, 20, 100
)  # programs that were traced are a million objects, to be looked through again and again

LONGEST = (
    "notebooks", "docs", "sweep", "design", "validate", "fleet_command", "fleet_solvers", "bench_model", "gpu",
    "calibrate", "chain", "design_asked", "risk_by_hand", "over_time", "open_loop", "pools", "report", "explore",
)  # fmt: skip
"""Files that start first, so that no worker is left with one of them at the end."""


def pytest_collection_modifyitems(items):
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    here = jax.default_backend() == "gpu"
    left_out = {} if here else {"gpu": "no GPU here"}
    left_out |= {} if here or THOROUGH else {"slow": "for `make thorough`"}
    for item in items:
        for name, reason in left_out.items():
            if name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_teardown(item, nextitem):
    """What the tests of a file leave behind is not looked through again."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture
def optimised():
    """The compiler tries hard where a test computes for longer than it compiles."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
