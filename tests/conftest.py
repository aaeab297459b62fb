import importlib.util
import os
import pathlib

# Workers and the commands that tests start share what is compiled; jax reads these when it is imported.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache/jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jax
import pytest
from hypothesis import HealthCheck, settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile("clustermodel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clustermodel")

if importlib.util.find_spec("beartype"):  # every annotation becomes a check while testing
    from jaxtyping import install_import_hook

    install_import_hook("clustermodel", "numeric_tower.checked")


def pytest_collection_modifyitems(items):
    if jax.default_backend() != "gpu":
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no GPU here"))
