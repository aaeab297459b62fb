import importlib.util

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
