"""What this machine can do at the best: bytes and elementwise operations per second, measured in the same run."""

import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_ELEMENTS = 1 << 24
_CHAIN = 64  # fused multiply-adds per element, enough to hide the traffic
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
    """Copy bandwidth and the rate of a chain of multiply-adds, both elementwise on one large array."""
    x = jnp.linspace(0.0, 1.0, _ELEMENTS, dtype=dtype)
    copy = jax.jit(lambda a: a + 1)

    @jax.jit
    def chain(a: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, _CHAIN, lambda _, b: b * a + a, a, unroll=_CHAIN)

    bytes_moved = 2 * x.size * x.dtype.itemsize
    return Rates(bytes_moved / seconds(lambda: copy(x)), 2 * _CHAIN * x.size / seconds(lambda: chain(x)))


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
