"""Layouts of a pool's workers that are worth combining: those on the front of effort against time."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from clustermodel.assembly.layouts import Shape, stack_layouts
from clustermodel.chain.evaluate import carried_accelerators
from clustermodel.chain.pools.setup import PoolsSetup, shapes
from clustermodel.chain.search import concurrencies, lower_envelope
from clustermodel.chain.setup import Setup
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load
from clustermodel.serving.memory import memory_use
from clustermodel.serving.placement import placed
from clustermodel.serving.pools import Pool, decode_iteration, decode_room, prefill_wave

_LAYOUTS = 6
"""Layouts of each pool that a search keeps, spread over its front."""


def prefill_front(setup: PoolsSetup) -> list[Shape]:
    """Layouts of a prefill worker that no other beats in accelerator-seconds a request and in time alike."""
    every = shapes(setup.prefill)
    template, load = _alone(setup.prefill)
    effort, time = in_chunks(functools.partial(_prefill_effort, template, load), stack_layouts(every))
    return _kept(every, np.asarray(effort, float), np.asarray(time, float), np.arange(len(every)))


def decode_front(setup: PoolsSetup) -> list[Shape]:
    """Layouts of a decode worker that at some batch no other beats in accelerator-seconds a token and in TPOT."""
    every = shapes(setup.decode)
    template, load = _alone(setup.decode)
    batches = concurrencies(float(setup.decode.engine.spec.max_num_seqs))
    owner = np.repeat(np.arange(len(every)), len(batches))
    layouts = stack_layouts([every[i] for i in owner])
    sizes = np.tile(batches, len(every)) * np.asarray(layouts.dp)
    effort, time = in_chunks(functools.partial(_decode_effort, template, load), layouts, sizes)
    return _kept(every, np.asarray(effort, float), np.asarray(time, float), owner)


def _alone(setup: Setup) -> tuple[Deployment, Load]:
    one = jax.tree.map(lambda axis: axis[0], stack_layouts([(1, 1, 1, 1)]))
    return setup.deployment(one), setup.load(jnp.ones(()))


def _kept(
    every: list[Shape], effort: NDArray[np.float64], time: NDArray[np.float64], owner: NDArray[np.int64]
) -> list[Shape]:
    """Layouts with a point on the lower envelope of effort against time, at most `_LAYOUTS` spread over it.

    Without any point (nothing fits) the largest layout stands for all, so that the answer can say what is short.
    """
    front = owner[lower_envelope(effort, time, np.isfinite(effort))]
    found = list(dict.fromkeys(front.tolist()))
    if not found:
        return [max(every, key=lambda shape: math.prod(shape[:3]))]
    spread = np.unique(np.round(np.linspace(0, len(found) - 1, _LAYOUTS)).astype(int))
    return [every[found[i]] for i in spread]


@Kept
def _prefill_effort(template: Deployment, load: Load, layouts: Layout) -> tuple[Array, Array]:
    def one(layout: Layout) -> tuple[Array, Array]:
        worker = placed(eqx.tree_at(lambda d: d.layout, template, layout), load)
        wave = prefill_wave(Pool(worker, jnp.ones(())), load)
        fits = memory_use(worker, load).fits > 0
        return jnp.where(fits, carried_accelerators(worker) / wave.rate, jnp.inf), wave.time

    return jax.vmap(one)(layouts)


@Kept
def _decode_effort(template: Deployment, load: Load, layouts: Layout, batch: Array) -> tuple[Array, Array]:
    def one(layout: Layout, sequences: Array) -> tuple[Array, Array]:
        asked = eqx.tree_at(lambda each: each.concurrency, load, sequences)
        worker = placed(eqx.tree_at(lambda d: d.layout, template, layout), asked)
        pool, memory = Pool(worker, jnp.ones(())), memory_use(worker, asked)
        tpot = decode_iteration(pool, asked, sequences).tpot
        possible = (memory.fits > 0) & (sequences <= decode_room(pool, memory))
        return jnp.where(possible, carried_accelerators(worker) * tpot / sequences, jnp.inf), tpot

    return jax.vmap(one)(layouts, batch)
