"""How hard the compiler tries: little in tests, most of whose time is compilation, and fully for users.

`agreement.py` compares programs made both ways, and `XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 pytest` tests the
second.
"""

import importlib.metadata

FULL = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
LITTLE = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"  # half of the time; later jax does not know it
    if importlib.metadata.version("jax").startswith("0.10.")
    else "",
}


def other(environment):
    """The effort that this process, started with this environment, does not take."""
    return FULL if environment.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1" else LITTLE
