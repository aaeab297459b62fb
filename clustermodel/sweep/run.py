"""Run a sweep: chunk by chunk on every local accelerator, host by host, keeping only what the reduction keeps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from clustermodel.catalog import ConfigError
from clustermodel.sweep.reduce import Best, merged, nothing, reduced
from clustermodel.sweep.space import Space

_AXIS = "points"
_IN_CACHE, _CHUNK = 8192, 1 << 20  # points at a time on one processor, on one accelerator
_CHUNKS = 64  # at most, in one call: between two calls a sweep can be stopped and says how far it is

Told = Callable[[int, int], None]


def sweep(
    space: Space,
    *,
    max_ttft: float = np.inf,
    max_tpot: float = np.inf,
    chunk: int | None = None,
    told: Told = lambda done, size: None,
) -> Best:
    """The best points of a space that fit and keep both limits (s).

    Runs on all local accelerators, and on those of every host once `jax.distributed.initialize()` was called on
    each; every host then returns the same. Memory is that of one chunk per accelerator, whatever the size.
    `told(done, size)` is called as points are finished, on this host's share.
    """
    _refuse_short_integers(space.size)
    mesh = Mesh(np.array(jax.local_devices()), (_AXIS,))
    points = chunk or (_IN_CACHE if jax.default_backend() == "cpu" else _CHUNK)
    start, end = _share(space.size, jax.process_index(), jax.process_count())
    wave = points * mesh.size
    chunks = min(_CHUNKS, -(-(end - start) // wave))
    step = _step(mesh, points, chunks)
    best = nothing(len(space.systems))
    group, limits = jnp.asarray(space.group), jnp.asarray([max_ttft, max_tpot])
    for first in range(start, end, wave * chunks):
        found = step(space, group, limits, jnp.asarray(first), jnp.asarray(end))
        best = functools.reduce(
            merged, (jax.tree.map(lambda a, i=i: a[i], found) for i in range(mesh.size)), best
        )
        told(min(first + wave * chunks, end) - start, end - start)
    return _of_all_hosts(best)


def _refuse_short_integers(size: int) -> None:
    largest = np.iinfo(np.asarray(jnp.zeros((), dtype=int)).dtype).max
    if 2 * size > largest:
        raise ConfigError(
            f"{size:,} points need 64-bit numbers: add jax.config.update('jax_enable_x64', True) before the call"
        )


def _share(size: int, host: int, hosts: int) -> tuple[int, int]:
    """First and last but one of a host's points."""
    return size * host // hosts, size * (host + 1) // hosts


@functools.lru_cache(maxsize=8)
def _step(mesh: Mesh, points: int, chunks: int) -> Any:
    """A compiled function that evaluates and reduces `chunks` chunks on every accelerator of the mesh."""
    one, all_ = PartitionSpec(), PartitionSpec(_AXIS)

    def on_one(space: Space, group: Array, limits: Array, first: Array, end: Array) -> Best:
        own = first + jax.lax.axis_index(_AXIS).astype(first.dtype) * (points * chunks)

        def body(i: Array, best: Best) -> Best:
            index = own + i.astype(own.dtype) * points + jnp.arange(points, dtype=own.dtype)
            return merged(best, _chunk(space, group, limits, index, end))

        best = jax.lax.fori_loop(0, chunks, body, nothing(len(space.systems)))
        return jax.tree.map(lambda leaf: leaf[None], best)

    mapped = jax.shard_map(
        on_one, mesh=mesh, in_specs=(one, one, one, one, one), out_specs=all_, check_vma=False
    )
    return jax.jit(mapped)


def _chunk(space: Space, group: Array, limits: Array, index: Array, end: Array) -> Best:
    inside = jnp.minimum(index, end - 1)

    def one(i: Array) -> tuple[Array, Array, Array]:
        found = space.evaluate(i)
        point, price = found.point, found.unit.blended
        allowed = (point.memory.fits > 0) & (point.ttft <= limits[0]) & (point.tpot <= limits[1])
        return point.tpot, jnp.where(allowed & jnp.isfinite(price), price, jnp.inf), space.position(i)[0]

    tpot, price, row = jax.vmap(one)(inside)
    price = jnp.where(index < end, price, jnp.inf)
    return reduced(len(space.systems), group[row].astype(index.dtype), tpot, price, index)


def _of_all_hosts(best: Best) -> Best:
    if jax.process_count() == 1:
        return best
    from jax.experimental import multihost_utils

    gathered = multihost_utils.process_allgather(best)
    hosts = [jax.tree.map(lambda leaf, i=i: leaf[i], gathered) for i in range(jax.process_count())]
    return functools.reduce(merged, hosts)
