"""How much of a book hangs on few names."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar

Exposure = Float[Array, " name"]


def shares(exposure: Exposure) -> Exposure:
    """Each name's share of the whole."""
    return exposure / jnp.sum(exposure)


def hhi(exposure: Exposure) -> Scalar:
    """Herfindahl-Hirschman index in points: sum (100 w_i)^2, 10 000 for a single name.

    Above 1 800 a market counts as highly concentrated. [US DoJ & FTC, Merger Guidelines 2023, section 2.1]
    """
    return jnp.sum((100 * shares(exposure)) ** 2)


def effective_names(exposure: Exposure) -> Scalar:
    """Number of equal names with the same index: 1 / sum w_i^2."""
    return 1 / jnp.sum(shares(exposure) ** 2)


def top_share(exposure: Exposure, count: int) -> Scalar:
    """Share of the `count` largest names."""
    return jnp.sum(jnp.sort(shares(exposure))[::-1][:count])


def known_names_hhi(known: Exposure, total: Scalar) -> Scalar:
    """Lower bound of the index when only some exposures are known and the rest is spread without end."""
    return jnp.sum((100 * known / total) ** 2)
