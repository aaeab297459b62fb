"""Which bytes belong in which memory: placement over a hierarchy by reads per byte, and the time of a sweep.

Kinds of data differ in how many bytes they store and in the share of those that one step reads, their density:
1 for dense weights, the coverage for experts, the attended share for a sparsely read cache, 0 for what waits.
Where reads of different tiers follow each other the time is sum_k r_k / b_k, a transport problem that the
densest-first order solves. Where they overlap it is max_k r_k / b_k; the reads (r_k) that some placement
reaches are the bases of a polymatroid with rank F(sum of capacities), so the least maximum is known as well.
[J. Edmonds 1970, Submodular functions, matroids, and certain polyhedra; S. Fujishige 1980, Lexicographically
optimal base of a polymatroid with respect to a weight vector]
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.specs import MAX_TIERS, MemoryTier

Kinds = Float[Array, " kind"]
Tiers = Float[Array, " tier"]

_SUBSETS = np.array([[bool(code >> k & 1) for k in range(MAX_TIERS)] for code in range(1, 2**MAX_TIERS)])
"""Every set of tiers but the empty one, as masks."""


class ReadRate(eqx.Module):
    """How fast one kind of data is read where it lies, and what share of that time farther tiers take."""

    rate: Scalar  # B/s
    far: Scalar  # share of its read time
    near: Scalar  # share of its bytes that the nearest tier gives


class Placement(eqx.Module):
    """Where the data of a running replica live, per accelerator."""

    dense: ReadRate
    experts: ReadRate
    head: ReadRate
    cache: ReadRate
    beyond: Scalar  # bytes of farther tiers that running data may use
    stored: Tiers  # bytes of running data by tier
    read: Tiers  # bytes read from it in one decode step


def densest_first(stored: Kinds, density: Kinds, capacity: Tiers) -> Float[Array, "kind tier"]:
    """Bytes of each kind in each tier when the densest kinds fill the first tiers; ties keep their order.

    With the fastest tier first this minimises sum_k r_k / b_k over all divisions of the kinds
    [Hardy, Littlewood & Polya 1934, Inequalities, ch. 10: rearrangement]. What no tier holds is left out.
    """
    order = jnp.argsort(-density, stable=True)
    upper = jnp.zeros_like(stored).at[order].set(jnp.cumsum(stored[order]))[:, None]
    lower, end = upper - stored[:, None], jnp.cumsum(capacity)[None, :]
    start = end - capacity[None, :]
    return jnp.maximum(jnp.minimum(upper, end) - jnp.maximum(lower, start), 0.0)


def most_reads(stored: Kinds, density: Kinds, capacity: Scalar) -> Scalar:
    """F(c): bytes that one step reads of the densest `capacity` bytes; concave in the capacity."""
    order = jnp.argsort(-density, stable=True)
    sizes = stored[order]
    return jnp.sum(density[order] * jnp.clip(capacity - (jnp.cumsum(sizes) - sizes), 0.0, sizes))


def serial_time(reads: Tiers, rate: Tiers) -> Scalar:
    """Reads that follow each other: sum_k r_k / b_k (s)."""
    return jnp.sum(reads / rate)


def overlapped_time(stored: Kinds, density: Kinds, capacity: Tiers, rate: Tiers) -> Scalar:
    """Least time of one step whose reads of different tiers run side by side (s).

    min over placements of max_k r_k / b_k = max over sets A of tiers of [F(all) - F(C without A)] / b(A): what
    the other tiers cannot take off A, at the rate of A. Exact for kinds that may be divided.
    """
    masks = jnp.asarray(_SUBSETS, dtype=capacity.dtype)
    elsewhere = (1 - masks) @ capacity
    held = jax.vmap(most_reads, in_axes=(None, None, 0))(stored, density, elsewhere)
    needed = jnp.sum(stored * density) - held
    together = masks @ jnp.where(capacity > 0, rate, 0.0)
    bounds = jnp.where(together > 0, needed / jnp.where(together > 0, together, 1.0), 0.0)
    return jnp.max(bounds)


def swept_time(stored: Kinds, density: Kinds, capacity: Tiers, memory: MemoryTier, layers: Scalar) -> Scalar:
    """Time of one step's reads over a hierarchy whose tiers overlap in part, latencies included (s).

    T = (1 - o) sum_k (r_k / b_k + L l_k) + o T_overlapped,  with o the mean of the farther tiers' `overlap`
    weighted by their read time, and l_k the latency that each layer waits for where nothing is fetched ahead.
    """
    rate = read_rate(memory)
    reads = jnp.sum(densest_first(stored, density, capacity) * density[:, None], axis=0)
    far = (reads / rate)[1:]
    waits = far + jnp.where(reads[1:] > 0, layers * memory.latency[1:], 0.0)
    some = jnp.sum(far) > 0
    overlap = jnp.where(some, jnp.sum(far * memory.overlap[1:]) / jnp.where(some, jnp.sum(far), 1.0), 0.0)
    apart = reads[0] / rate[0] + jnp.sum(waits)
    return (1 - overlap) * apart + overlap * overlapped_time(stored, density, capacity, rate)


def read_rate(memory: MemoryTier) -> Tiers:
    """Bandwidth that each tier delivers (B/s): its peak times the share that its hardware reaches."""
    return memory.bandwidth * memory.efficiency
