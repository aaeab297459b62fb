"""One dispatch: which systems serve which work in one load block of one future, given what is owned.

With the fleet fixed, every (scenario, period, block) is a small linear program of its own,

    min  sum_aw cost z + sum_a (reserved_cost y + on_demand_cost o) + sum_w (penalty u + breach v)
    capacity   sum_w z_aw - y_a - o_a <= owned_a          multiplier mu_a   >= 0
    resource   sum_aw draw_raw z_aw   <= resource_r       multiplier pi_r   >= 0
    demand     sum_a rate_aw z_aw + u_w + v_w >= D_w      multiplier lambda_w
    y <= reserved, o <= on_demand, u <= spare * D, z >= 0, v >= 0

with z systems busy, y reserved and o on-demand systems used, u work left out at its penalty, v work left out
against a must-serve limit. Any mu, pi >= 0 prove a lower bound in closed form and any z repairs to an upper
bound, so an inexact solver still gives certified answers. Functions are for one dispatch; `jax.vmap` batches,
and the leaves of batches have leading axes.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from clustermodel._types import Scalar

if TYPE_CHECKING:
    Leaf = Any
else:
    Leaf = Array | np.ndarray  # tracers within kernels, numpy outside


class Dispatch(eqx.Module):
    """Coefficients that all scenarios of a period and block share; money, work and limits in scaled units."""

    rate: Float[Leaf, "*batch asset workload"]  # work per busy system; 0 where the pair is impossible
    cost: Float[Leaf, "*batch asset workload"]  # per busy system
    draw: Float[Leaf, "*batch resource asset workload"]  # share of a site's limit per busy system
    reserved_cost: Float[Leaf, "*batch asset"]
    on_demand_cost: Float[Leaf, "*batch asset"]
    penalty: Float[Leaf, "*batch workload"]  # per unit of work left out
    breach: Float[Leaf, "*batch workload"]  # per unit left out beyond what may be left out; >= penalty
    spare: Float[Leaf, "*batch workload"]  # share of demand that may be left out


class Supply(eqx.Module):
    """What a dispatch may use: owned, reserved and on-demand systems, and what is left of each limit."""

    owned: Float[Leaf, "*batch asset"]
    reserved: Float[Leaf, "*batch asset"]
    on_demand: Float[Leaf, "*batch asset"]
    resource: Float[Leaf, "*batch resource"]


class Multipliers(eqx.Module):
    """Prices of capacity (per system) and of resources; any non-negative values prove a bound."""

    capacity: Float[Leaf, "*batch asset"]
    resource: Float[Leaf, "*batch resource"]


class Use(eqx.Module):
    """A feasible dispatch, in busy systems and units of work."""

    busy: Float[Leaf, "*batch asset workload"]
    reserved: Float[Leaf, "*batch asset"]
    on_demand: Float[Leaf, "*batch asset"]
    left_out: Float[Leaf, "*batch workload"]
    breach: Float[Leaf, "*batch workload"]


def work_price(dispatch: Dispatch, prices: Multipliers) -> Float[Array, "workload"]:
    """Marginal cost of one more unit of each workload at these prices.

    lambda_w = min(breach_w, min_a (cost_aw + mu_a + sum_r pi_r draw_raw) / rate_aw)
    """
    draw = jnp.tensordot(prices.resource, dispatch.draw, axes=1)
    total = dispatch.cost + prices.capacity[:, None] + draw
    possible = dispatch.rate > 0
    unit = jnp.where(possible, total / jnp.where(possible, dispatch.rate, 1), jnp.inf)
    return jnp.minimum(dispatch.breach, unit.min(axis=0))


class Bound(eqx.Module):
    """An affine function of demand D and supply that never exceeds the cost of the best dispatch.

    cost >= work . D - owned . owned - reserved . reserved - on_demand . on_demand - resource . resource
    """

    work: Float[Leaf, "*batch workload"]
    owned: Float[Leaf, "*batch asset"]
    reserved: Float[Leaf, "*batch asset"]
    on_demand: Float[Leaf, "*batch asset"]
    resource: Float[Leaf, "*batch resource"]


def dual_bound(dispatch: Dispatch, prices: Multipliers) -> Bound:
    """Lower bound on the dispatch cost from any multipliers; negative ones are clipped, which keeps it valid.

    sum_w [lambda - (lambda - penalty)^+ spare] D - sum_a [mu owned + (mu - reserved_cost)^+ reserved
    + (mu - on_demand_cost)^+ on_demand] - pi . resource
    """
    clipped = Multipliers(jnp.maximum(prices.capacity, 0), jnp.maximum(prices.resource, 0))
    price = work_price(dispatch, clipped)
    return Bound(
        work=price - jnp.maximum(price - dispatch.penalty, 0) * dispatch.spare,
        owned=clipped.capacity,
        reserved=jnp.maximum(clipped.capacity - dispatch.reserved_cost, 0),
        on_demand=jnp.maximum(clipped.capacity - dispatch.on_demand_cost, 0),
        resource=clipped.resource,
    )


def bound_value(bound: Bound, supply: Supply, demand: Float[Array, "workload"]) -> Scalar:
    """The lower bound at one supply and demand."""
    systems = bound.owned @ supply.owned + bound.reserved @ supply.reserved
    return (
        bound.work @ demand - systems - bound.on_demand @ supply.on_demand - bound.resource @ supply.resource
    )


def repaired(
    dispatch: Dispatch, supply: Supply, demand: Float[Array, "workload"], busy: Float[Array, "asset workload"]
) -> Use:
    """A feasible dispatch near `busy`: scaled into demand, then capacity, then limits.

    Beyond what is owned, of reserved and on-demand systems those that cost less to use come first.
    """
    busy = jnp.where(dispatch.rate > 0, jnp.maximum(busy, 0), 0)
    busy = busy * _fit(demand, jnp.sum(busy * dispatch.rate, axis=0))[None, :]
    capacity = supply.owned + supply.reserved + supply.on_demand
    busy = busy * _fit(capacity, busy.sum(axis=1))[:, None]
    drawn = jnp.sum(dispatch.draw * busy[None], axis=(1, 2))
    factor = jnp.where(drawn > 0, _fit(supply.resource, drawn), 1)
    uses = jnp.where(dispatch.draw > 0, factor[:, None, None], 1).min(axis=0, initial=1.0)
    busy = busy * uses
    short = jnp.maximum(busy.sum(axis=1) - supply.owned, 0)
    ahead = jnp.where(dispatch.reserved_cost <= dispatch.on_demand_cost, 0.0, supply.on_demand)
    reserved = jnp.clip(short - ahead, 0, supply.reserved)
    missing = jnp.maximum(demand - jnp.sum(busy * dispatch.rate, axis=0), 0)
    left_out = jnp.minimum(missing, dispatch.spare * demand)
    return Use(busy, reserved, short - reserved, left_out, missing - left_out)


def use_cost(dispatch: Dispatch, use: Use) -> Scalar:
    """Cost of a dispatch in scaled money: an upper bound on the cost of the best one."""
    systems = dispatch.reserved_cost @ use.reserved + dispatch.on_demand_cost @ use.on_demand
    unmet = dispatch.penalty @ use.left_out + dispatch.breach @ use.breach
    return jnp.sum(dispatch.cost * use.busy) + systems + unmet


def _fit(limit: Array, used: Array) -> Array:
    """Factor that brings `used` down to `limit`, 1 where it already fits."""
    over = used > limit
    return jnp.where(over, jnp.maximum(limit, 0) / jnp.where(over, used, 1), 1)
