"""What crosses wires: the link to the host, collectives among local accelerators, and the cost of a launch."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from clustermodel.bench.machine import seconds
from clustermodel.bench.rates import Measured, Sizes, per_call

_SMALL, _LARGE = 1 << 10, 1 << 24  # elements of a message: latency, bandwidth
_CHAIN = 256  # dependent kernels in one program
_AXIS = "accelerator"


def launches(sizes: Sizes) -> Iterator[Measured]:
    """Calling a compiled program that does nothing, and one more tiny kernel inside a program (s)."""
    x = jnp.eye(2)
    nothing = jax.jit(lambda a: a + 1)
    yield Measured("dispatch", "fp64", 1, seconds(lambda: nothing(x), sizes.repeats * 2), "s")
    chain = jax.jit(lambda a: jax.lax.fori_loop(0, _CHAIN, lambda _, b: b @ a, a))
    yield Measured("launch", "fp64", _CHAIN, seconds(lambda: chain(x), sizes.repeats) / _CHAIN, "s")


def host_link(sizes: Sizes) -> Iterator[Measured]:
    """Copies to and from the host; a processor that is its own host has no such link."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return
    here = np.ones(sizes.elements // 4, np.float32)
    there = jax.device_put(here, device)
    yield Measured(
        "host_to_accelerator",
        "fp32",
        here.nbytes,
        here.nbytes / seconds(lambda: jax.device_put(here, device)),
        "B/s",
    )
    fresh = jax.jit(lambda a: a + 1)  # a fetched array keeps its copy: fetch a new one each time
    both = seconds(lambda: np.asarray(fresh(there)))
    yield Measured(
        "accelerator_to_host",
        "fp32",
        here.nbytes,
        here.nbytes / (both - seconds(lambda: fresh(there))),
        "B/s",
    )


def collectives(sizes: Sizes) -> Iterator[Measured]:
    """All-reduce and all-to-all among the local accelerators: latency of a small one, rate of a large one.

    Rates count what one accelerator sends in the best algorithm: 2 (n - 1)/n of the message for an all-reduce,
    (n - 1)/n for an all-to-all [bus bandwidth of nccl-tests].
    """
    mesh = Mesh(np.array(jax.local_devices()), (_AXIS,))
    n = mesh.size
    if n < 2:
        return
    reduce = _shard_mapped(lambda a: jax.lax.psum(a, _AXIS), mesh)
    exchange = _shard_mapped(lambda a: jax.lax.all_to_all(a.reshape(n, -1), _AXIS, 0, 0).reshape(-1), mesh)
    for name, run, share in (("all_reduce", reduce, 2 * (n - 1) / n), ("all_to_all", exchange, (n - 1) / n)):
        for elements in (_SMALL, min(_LARGE, sizes.elements)):
            spread = NamedSharding(mesh, PartitionSpec(_AXIS))
            x = jax.device_put(jnp.ones(elements * n, jnp.float32), spread)
            clock = seconds if elements == _SMALL else per_call
            taken = clock(lambda run=run, x=x: run(x), sizes.repeats)
            message = elements * x.dtype.itemsize
            yield Measured(
                f"{name}_latency" if elements == _SMALL else name,
                "fp32",
                message,
                taken if elements == _SMALL else share * message / taken,
                "s" if elements == _SMALL else "B/s",
            )


def _shard_mapped(body: Any, mesh: Mesh) -> Any:
    spec = PartitionSpec(_AXIS)
    return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
