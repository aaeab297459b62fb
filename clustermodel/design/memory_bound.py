"""The memory wall on one page: users, tokens and break-even price of a server that waits for memory alone."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity
from clustermodel.specs import quantity
from clustermodel.units import SECONDS_PER_YEAR


class MemoryServer(eqx.Module):
    """A server described by its memory."""

    capacity: Scalar = quantity("B", "usable bytes")
    bandwidth: Scalar = quantity("B/s", "bytes read a second in practice")


class Residency(eqx.Module):
    """What the users of a model keep resident, and how much of it a token touches."""

    weights: Scalar = quantity("B", "weights, read once a step")
    cache: Scalar = quantity("B", "cache of one user")
    touched: Scalar = quantity("", "share of the cache that one step reads", 1.0)
    slowest: Scalar = quantity("s", "longest step that users accept", float("inf"))


def resident_users(server: MemoryServer, residency: Residency) -> Scalar:
    """Users at a time: what capacity holds, and what bandwidth reads within the slowest step; whole users.

    b = floor(min((C - W) / K, (t B - W) / (f K)))
    """
    held = (server.capacity - residency.weights) / residency.cache
    swept = residency.slowest * server.bandwidth - residency.weights
    in_time = swept / (residency.touched * residency.cache)
    return jnp.maximum(jnp.floor(jnp.minimum(held, in_time)), 0.0)


def step_time(server: MemoryServer, residency: Residency, users: Scalar) -> Scalar:
    """(W + b f K) / B (s): the weights once, the touched share of every user's cache."""
    return (residency.weights + users * residency.touched * residency.cache) / server.bandwidth


def token_rate(server: MemoryServer, residency: Residency) -> Scalar:
    """Output tokens/s with as many users as memory carries."""
    users = resident_users(server, residency)
    return users / step_time(server, residency, users)


class Upkeep(eqx.Module):
    """What an owner pays beside the purchase."""

    running: Scalar = quantity("USD/s", "energy, space and hands")
    wacc: Scalar = quantity("", "annual cost of capital")
    life: Scalar = quantity("s", "economic life", least=1.0)


def memory_breakeven(rate: Scalar, token_cost: Scalar, upkeep: Upkeep) -> Scalar:
    """Purchase price at which a server of `rate` tokens/s matches `token_cost` (USD); 0 where none does.

    P = (rate c_ref - running) / crf
    """
    crf = annuity(upkeep.wacc, upkeep.life / SECONDS_PER_YEAR) / SECONDS_PER_YEAR
    return jnp.maximum((rate * token_cost - upkeep.running) / crf, 0.0)


def best_capacity(weights: Scalar, fixed_price: Scalar, byte_price: Scalar) -> Scalar:
    """Memory that minimises the price of a token on a server of fixed bandwidth (B).

    With price a + p M and a sweep of all M bytes every step, cost ~ (a + p M) M / (M - W), least at
    M* = W + sqrt(W^2 + a W / p): more memory shares the weights among more users until users wait too long.
    """
    return weights + jnp.sqrt(weights**2 + fixed_price * weights / byte_price)
