"""Many specs as one whose leaves have a leading axis, ready for `jax.vmap`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

Spec = TypeVar("Spec", bound=eqx.Module)
Tree = TypeVar("Tree")


def stack(specs: Sequence[Spec]) -> Spec:
    """Many like specs become one whose leaves have a leading axis, ready for `jax.vmap`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *specs)


def spread(tree: Tree, rows: int) -> Tree:
    """The same in every row, without copies: leaves with a leading axis (numpy)."""
    wide = lambda leaf: np.broadcast_to(leaf, (rows, *leaf.shape))
    return jax.tree.map(lambda leaf: wide(np.asarray(leaf)), tree)


def gather(trees: Sequence[Tree]) -> Tree:
    """`stack` of trees that share most of their leaves, which are not copied (numpy)."""

    def joined(*leaves: Any) -> Any:
        shared = all(leaf is leaves[0] for leaf in leaves)
        return spread(leaves[0], len(leaves)) if shared else np.stack([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(joined, *trees)
