"""How many operating points one program takes at a time, how it is compiled, and in which numbers."""

import contextlib
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel.catalog import ConfigError

Tree = TypeVar("Tree")

DTYPES = ("float64", "float32")

_ON_A_PROCESSOR = 1 << 15
_ON_AN_ACCELERATOR = 1 << 20

VECTOR = 8
"""Float64 in 512 bits. Over an odd number of points a processor takes two to six times as long (jax 0.10.1)."""


def at_a_time() -> int:
    """Points of one call of a program.

    On a processor few enough for caches and for the 32 MB that its allocator keeps between calls (glibc's largest
    mmap threshold: more is paged in anew every time), and in a straight program: of the body of a loop the compiler
    makes more pieces (jax 0.10.1: 54 instead of 48, without `process.set_flags` 91 instead of 81).
    """
    return _ON_A_PROCESSOR if jax.default_backend() == "cpu" else _ON_AN_ACCELERATOR


def compiler_options() -> dict[str, str | bool]:
    """How a program of many points is compiled.

    On a processor with vectors as long as it has: the compiler prefers half of what AVX-512 offers, and a sweep takes
    1.4 to 1.6 times as long (jax 0.10.1, AMD Zen 4). Processors with shorter ones compute as before.
    """
    return {"xla_cpu_prefer_vector_width": "512"} if jax.default_backend() == "cpu" else {}


def check_dtype(dtype: str) -> None:
    """Refuse numbers that the chain is not computed in."""
    if dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype!r}: write {' or '.join(DTYPES)}")


def numbers(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """Where new numbers are of this type."""
    return jax.enable_x64(dtype == "float64")


def cast(dtype: str, tree: Tree) -> Tree:
    """Every number of a tree as this type; whole numbers stay whole."""
    whole = lambda leaf: np.issubdtype(leaf.dtype, np.integer)
    return jax.tree.map(lambda leaf: leaf if whole(leaf) else jnp.asarray(np.asarray(leaf), dtype), tree)
