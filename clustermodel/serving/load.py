"""What is asked of one replica: how many requests, how long, how much of them is already cached."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs import quantity


class Load(eqx.Module):
    """Requests in flight of one replica (closed loop) and their mean shape."""

    concurrency: Scalar = quantity("request", "requests in flight, the client's queue included")
    isl: Scalar = quantity("token", "mean input length")
    osl: Scalar = quantity("token", "mean output length")
    prefix_hit_rate: Scalar = quantity("", "share of input tokens found in the prefix cache", 0.0)
    equal_lengths: Scalar = quantity("", "1 where all requests have the same lengths", 0.0)
    draft_tokens: Scalar = quantity("token", "tokens drafted per sequence and step", 0.0)
    accepted_tokens: Scalar = quantity("token", "mean drafted tokens accepted per step", 0.0)
    adapters: Scalar = quantity("", "low-rank adapters kept in memory", 0.0)
    adapter_bytes: Scalar = quantity("B", "of one adapter", 0.0)
    adapter_share: Scalar = quantity("", "share of the requests that use one", 1.0)

    @property
    def context(self) -> Scalar:
        """Mean context of a decoding sequence (tokens)."""
        return self.isl + self.osl / 2

    @property
    def cached(self) -> Scalar:
        """Input tokens per request that come from the prefix cache."""
        return self.isl * self.prefix_hit_rate

    @property
    def uncached(self) -> Scalar:
        """Input tokens per request that have to be computed."""
        return self.isl * (1 - self.prefix_hit_rate)

    @property
    def prefill_context(self) -> Scalar:
        """Mean tokens a computed input token attends to: the cached prefix and half of the rest."""
        return self.cached + self.uncached / 2

    def chunk(self, most: Scalar) -> Scalar:
        """Prefill tokens of one request in one iteration."""
        return jnp.minimum(self.uncached, most)


def accepted_tokens(drafted: Scalar, acceptance: Scalar) -> Scalar:
    """Mean drafted tokens that a step accepts: a + a^2 + ... + a^n = a (1 - a^n)/(1 - a), n at a = 1.

    A drafted token counts only if all before it were accepted [Leviathan et al. 2023, arXiv:2211.17192, eq. 1].
    """
    sure = acceptance >= 1
    a = jnp.where(sure, 0.5, acceptance)
    return jnp.where(sure, drafted, a * (1 - a**drafted) / (1 - a))
