"""How much capacity to hold when demand is uncertain and an unsold hour is lost.

Demand D is lognormal with median m and standard deviation s of its logarithm; demand and capacity share one
unit, and prices are per that unit.
"""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri

from clustermodel._types import Scalar
from clustermodel.economics.contracts import limited_mean
from clustermodel.specs import quantity


class Order(eqx.Module):
    """Economics of one unit of capacity, such as an installed accelerator-hour."""

    price: Scalar = quantity("", "what a unit sells for")
    cost: Scalar = quantity("", "what a unit costs whether sold or not")
    salvage: Scalar = quantity("", "what an unsold unit brings, below its cost", 0.0)


def critical_ratio(order: Order) -> Scalar:
    """Chance of meeting all demand at the best capacity: (p - c) / (p - s); 0 where a unit sells below its cost.

    [Arrow, Harris & Marschak 1951, Optimal Inventory Policy]
    """
    pays = order.price > order.cost
    ratio = (order.price - order.cost) / jnp.where(pays, order.price - order.salvage, 1.0)
    return jnp.where(pays, ratio, 0.0)


def best_capacity(order: Order, median: Scalar, spread: Scalar) -> Scalar:
    """Capacity with the largest expected profit: K = m e^(s Phi^-1((p - c) / (p - s)))."""
    return median * jnp.exp(spread * ndtri(critical_ratio(order)))


def expected_profit(order: Order, capacity: Scalar, median: Scalar, spread: Scalar) -> Scalar:
    """Expected profit of a capacity: (p - s) E[min(D, K)] - (c - s) K."""
    sold = limited_mean(median, spread, capacity)
    return (order.price - order.salvage) * sold - (order.cost - order.salvage) * capacity


def expected_utilisation(capacity: Scalar, median: Scalar, spread: Scalar) -> Scalar:
    """Expected share of the capacity that is sold: E[min(D, K)] / K."""
    return limited_mean(median, spread, capacity) / capacity
