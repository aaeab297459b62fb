"""The memory hierarchy of an accelerator, nearest tier first."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs._batch import stack
from clustermodel.specs._quantity import quantity

MAX_TIERS = 4
"""Length of every memory hierarchy, so that unlike systems stack; missing tiers have no capacity."""


class MemoryTier(eqx.Module):
    """One level of a memory hierarchy, per accelerator; nearest first when stacked."""

    capacity: Scalar = quantity("B", "bytes that software can address")
    bandwidth: Scalar = quantity("B/s", "peak read bandwidth")
    standing_power: Scalar = quantity("W/B", "power per byte kept, refresh included", 0.0)
    access_energy: Scalar = quantity("J/B", "energy per byte read", 0.0)
    price: Scalar = quantity("USD/B", "purchase price per byte", 0.0)
    efficiency: Scalar = quantity(
        "", "share of the peak that the hardware delivers", 1.0, least=1e-6, most=1.0
    )
    latency: Scalar = quantity("s", "wait for the first byte where nothing is fetched ahead", 0.0)
    direct: Scalar = quantity(
        "", "1 where running data may live here, beyond the nearest tier", 0.0, most=1.0
    )
    overlap: Scalar = quantity("", "share of its reads that run beside those of nearer tiers", 0.0, most=1.0)


def tiers(rows: Sequence[MemoryTier]) -> MemoryTier:
    """Stack a memory hierarchy, nearest first, padded with empty tiers to `MAX_TIERS`.

    Empty tiers hold nothing and read at 1 B/s, so that no division by zero enters a gradient.
    """
    if len(rows) > MAX_TIERS:
        raise ValueError(f"a memory hierarchy has at most {MAX_TIERS} tiers, got {len(rows)}")
    empty = MemoryTier(capacity=jnp.zeros(()), bandwidth=jnp.ones(()))
    return stack([*rows, *[empty] * (MAX_TIERS - len(rows))])
