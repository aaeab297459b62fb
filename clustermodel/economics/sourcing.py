"""Own, rent or call: the volume from which tokens of one's own cost less than bought ones.

Capacity costs a fixed sum whether it works or not, and something for each token; bought tokens, and hours
of capacity rented when they are needed, have a price per token and nothing fixed.
"""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.margin import break_even_volume
from clustermodel.specs import quantity


class Capacity(eqx.Module):
    """What capacity of one's own costs and can do."""

    fixed: Scalar = quantity("USD/s", "owed whether tokens are asked for or not")
    variable: Scalar = quantity("USD/tok", "what each token costs on top, such as energy")
    capacity: Scalar = quantity("tok/s", "tokens at full use")

    @property
    def full_use(self) -> Scalar:
        """Cost of a token when nothing ever idles (USD/token): the least it can be."""
        return self.fixed / self.capacity + self.variable


def break_even_rate(owned: Capacity, price: Scalar) -> Scalar:
    """Tokens per second from which owned capacity is cheaper than tokens at `price` (USD/token).

    r = F / (p - v) where F + v C <= p C; infinite where even full use costs more, since then more of
    the same capacity does not help.
    """
    rate = break_even_volume(owned.fixed, price, owned.variable)
    return jnp.where(rate <= owned.capacity, rate, jnp.inf)


def monthly_saving(owned: Capacity, price: Scalar, rate: Scalar) -> Scalar:
    """What owned capacity saves against tokens at `price` (USD/s) at `rate` up to its capacity: p r - F - v r."""
    return (price - owned.variable) * rate - owned.fixed
