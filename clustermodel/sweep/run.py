"""Run a sweep: tile by tile on every local accelerator, host by host, keeping only what the reduction keeps.

A tile is some replicas at some loads and all prices. Physics and serving are computed once for a replica and load,
money once for each price, and all of it is reduced where it was computed.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from clustermodel.catalog import ConfigError, require_float64
from clustermodel.chain.bulk import VECTOR, at_a_time, compiler_options
from clustermodel.chain.evaluate import evaluate
from clustermodel.kept import Kept
from clustermodel.serving.steady import ServingPoint
from clustermodel.sweep.reduce import Best, Chunk, merged, nearest_of, nothing, reduced
from clustermodel.sweep.space import Numbers, Space

_AXIS = "tiles"
_TILES = 64  # at most, in one call to an accelerator: between two calls a sweep can be stopped and says how far it is
_PRICES = 32  # points in a tile for each replica and load that a program takes at a time; more gain nothing on 2 cores
_FEW = 128  # loads up to which a few more would be work that counts

Told = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a space is cut: replicas and loads of one tile, and how many tiles there are of each."""

    replicas: int
    loads: int
    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Tiles of the whole space."""
        return self.rows * self.columns


def tiling(extent: tuple[int, int, int], points: int | None = None, most: int | None = None) -> Tiling:
    """Tiles of at most `points` points and `most` pairs of replica and load, but of at least one pair with all prices.

    By default what the program here takes at a time. Tiles at the edges may overlap. Many loads are cut into whole
    vectors.
    """
    most = most or at_a_time()
    points = points or _PRICES * most
    replicas, loads, prices = extent
    pairs = max(1, min(points // prices, most))
    wide = min(_rounded_up(loads), _rounded_down(pairs))
    high = min(replicas, max(1, pairs // wide))
    rows, columns = math.ceil(replicas / high), math.ceil(loads / wide)
    return Tiling(math.ceil(replicas / rows), _rounded_up(math.ceil(loads / columns)), rows, columns)


def _rounded_down(loads: int) -> int:
    return loads - loads % VECTOR if loads > _FEW else loads


def _rounded_up(loads: int) -> int:
    return loads + -loads % VECTOR if loads > _FEW else loads


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
    each; every host then returns the same. Memory is that of one tile of at most `chunk` points per accelerator,
    whatever the size. `told(done, size)` is called as points are finished, on this host's share.
    """
    _refuse_short_integers(space.size)
    mesh = Mesh(np.array(jax.local_devices()), (_AXIS,))
    cut = tiling(space.extent, chunk)
    start, end = _share(cut.count, jax.process_index(), jax.process_count())
    tiles = 1 if jax.default_backend() == "cpu" else min(_TILES, math.ceil((end - start) / mesh.size))
    step, wave = _step(mesh, cut, tiles), tiles * mesh.size
    best = jax.tree.map(lambda leaf: jnp.stack([leaf] * mesh.size), nothing(len(space.systems)))
    if mesh.size > 1:  # placed as a step returns it, or the second step would be compiled anew
        best = jax.device_put(best, NamedSharding(mesh, PartitionSpec(_AXIS)))
    asked = (jnp.asarray(space.group), jnp.asarray([max_ttft, max_tpot]))
    for first in range(start, end, wave):
        best = step(best, space, asked, jnp.asarray(first), jnp.asarray(end))
        done = min(first + wave, end) - start
        told(space.size * done // cut.count, space.size * (end - start) // cut.count)
    each = (jax.tree.map(lambda leaf, i=i: leaf[i], best) for i in range(mesh.size))
    return _of_all_hosts(functools.reduce(merged, each))


def _refuse_short_integers(size: int) -> None:
    largest = np.iinfo(np.asarray(jnp.zeros((), dtype=int)).dtype).max
    if 2 * size > largest:
        require_float64(f"indices of {size:,} points", "leave --dtype float32 out")
        raise ConfigError(f"{size:,} points are more than can be counted: write shorter axes")


def _share(tiles: int, host: int, hosts: int) -> tuple[int, int]:
    """First and last but one of a host's tiles."""
    return tiles * host // hosts, tiles * (host + 1) // hosts


@functools.lru_cache(maxsize=8)
def _step(mesh: Mesh, cut: Tiling, tiles: int) -> Any:
    """A compiled function that evaluates and reduces `tiles` tiles on every accelerator of the mesh."""

    def on_one(best: Best, space: Space, asked: tuple[Array, Array], first: Array, end: Array) -> Best:
        own = first if mesh.size == 1 else first + jax.lax.axis_index(_AXIS).astype(first.dtype) * tiles
        kept = jax.tree.map(lambda leaf: leaf[0], best)

        def body(i: Array, best: Best) -> Best:
            tile = jnp.minimum(own + i, end - 1)  # again the last one, which changes nothing
            return merged(best, _tile(space, cut, *asked, tile))

        if tiles == 1:
            kept = body(jnp.zeros_like(first), kept)
        else:
            kept = jax.lax.fori_loop(0, tiles, body, kept)
        return jax.tree.map(lambda leaf: leaf[None], kept)

    if mesh.size == 1:
        return Kept(on_one, cut, tiles, compiler_options=compiler_options())
    one, all_ = PartitionSpec(), PartitionSpec(_AXIS)
    specs = (all_, one, one, one, one)
    on_all = jax.shard_map(on_one, mesh=mesh, in_specs=specs, out_specs=all_, check_vma=False)
    return jax.jit(on_all, compiler_options=compiler_options())


def _tile(space: Space, cut: Tiling, group: Array, limits: Array, tile: Array) -> Best:
    """The best points of one tile."""
    replicas, loads, prices = space.extent
    rows = jnp.minimum(tile // cut.columns * cut.replicas + jnp.arange(cut.replicas), replicas - 1)
    columns = jnp.minimum(tile % cut.columns * cut.loads + jnp.arange(cut.loads), loads - 1)
    of_loads = jax.vmap(functools.partial(_cheapest, space, limits), in_axes=(None, 0))
    if cut.replicas == 1:  # half as long to trace
        found = jax.tree.map(lambda each: each[None], of_loads(rows[0], columns))
    else:
        found = jax.vmap(of_loads, in_axes=(0, None))(rows, columns)
    index = (rows[:, None] * loads + columns[None, :]) * prices + found.which
    groups = jnp.broadcast_to(group[rows][:, None], index.shape)
    chunk = Chunk(*(jnp.ravel(each) for each in (groups, found.tpot, found.price, index)))
    return reduced(len(space.systems), chunk, nearest_of(found.ttft, found.tpot, limits))


class _Pair(NamedTuple):
    """One replica at one load: latencies (s; infinite where it does not fit), its least price, and which that is."""

    ttft: Array
    tpot: Array
    price: Array
    which: Array


def _cheapest(space: Space, limits: Array, row: Array, column: Array) -> _Pair:
    """The cheapest of all prices of one replica at one load."""
    axes = space.axes
    places = jnp.unravel_index(column, space.lengths[1:4])
    concurrency, isl, osl = (axis[place] for axis, place in zip(axes[:3], places, strict=True))

    def priced(price: Array, energy: Array) -> tuple[Array, ServingPoint]:
        found = evaluate(*space.inputs(row, Numbers(concurrency, isl, osl, price, energy)))
        return found.unit.blended, found.point

    pairs = [jnp.ravel(each) for each in jnp.meshgrid(axes.price_factor, axes.energy_factor, indexing="ij")]
    if space.extent[2] == 1:
        found, point = priced(pairs[0][0], pairs[1][0])
        found = found[None]
    else:
        found, point = jax.vmap(priced, out_axes=(0, None))(*pairs)  # the point is the same at every price
    ttft, tpot = (jnp.where(point.memory.fits > 0, each, jnp.inf) for each in (point.ttft, point.tpot))
    allowed = (point.memory.fits > 0) & (ttft <= limits[0]) & (tpot <= limits[1])
    found = jnp.where(allowed & jnp.isfinite(found), found, jnp.inf)
    least = jnp.min(found)
    which = jnp.min(jnp.where(found == least, jnp.arange(found.size), found.size - 1))
    return _Pair(ttft, tpot, least, which)


def _of_all_hosts(best: Best) -> Best:
    if jax.process_count() == 1:
        return best
    from jax.experimental import multihost_utils

    gathered = multihost_utils.process_allgather(best)
    hosts = [jax.tree.map(lambda leaf, i=i: leaf[i], gathered) for i in range(jax.process_count())]
    return functools.reduce(merged, hosts)
