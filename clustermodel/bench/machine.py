"""What this machine can do at the best: bytes and elementwise operations per second, measured in the same run."""

import functools
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from clustermodel.chain.bulk import compiler_options

_ELEMENTS = 1 << 24
_IN_CACHE = 1 << 18  # elements of a processor's array of which no traffic with memory is left
_CHAINS = 8  # independent of each other, enough to hide how long a multiply-add takes
_LENGTH = 64  # of each chain
_REPEATS = 5


class Rates(NamedTuple):
    """Measured limits of the default device."""

    bytes_per_s: float
    flops_per_s: float


def seconds(run: Callable[[], Any], repeats: int = _REPEATS) -> float:
    """Best wall time of a call that is already compiled, results waited for."""
    jax.block_until_ready(run())
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        best = min(best, time.perf_counter() - start)
    return best


def measured_rates(dtype: Any = float) -> Rates:
    """Copy bandwidth of one large array, and the rate of multiply-adds that read and write next to nothing."""
    x = jnp.linspace(0.0, 1.0, _ELEMENTS, dtype=dtype)
    few = x[:_IN_CACHE] if jax.default_backend() == "cpu" else x
    alone = functools.partial(jax.jit, compiler_options=compiler_options())
    copy = alone(lambda a: a + 1)

    @alone
    def products(a: jax.Array) -> jax.Array:
        chains = [a + i for i in range(_CHAINS)]
        for _ in range(_LENGTH):
            chains = [b * a + a for b in chains]
        return sum(chains[1:], chains[0])

    bytes_moved = 2 * x.size * x.dtype.itemsize
    flops = 2 * _CHAINS * _LENGTH * few.size
    return Rates(bytes_moved / seconds(lambda: copy(x)), flops / seconds(lambda: products(few)))


def machine() -> dict[str, Any]:
    """What ran: device, versions, cores."""
    device = jax.devices()[0]
    return {
        "backend": jax.default_backend(),
        "device": device.device_kind if device.platform != "cpu" else _processor(),
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
