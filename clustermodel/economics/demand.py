"""How much capacity is asked for: adoption, token budgets, price response, and demand that capacity creates."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.scenarios import Demand

Path = Float[Array, " period"]


def adoption(demand: Demand, times: Path) -> Path:
    """Share of full demand at `times`: pilots at once, budgets along a logistic.

    a + (1 - a) / (1 + e^(-r (t - t0)))
    """
    budgeted = 1 / (1 + jnp.exp(-demand.speed * (times - demand.midpoint)))
    return demand.pilot + (1 - demand.pilot) * budgeted


def token_demand(users: Scalar, tasks: Scalar, tokens: Scalar, undershoot: Scalar) -> Scalar:
    """Tokens per second: users x tasks per user and second x tokens per task x (1 - undershoot)."""
    return users * tasks * tokens * (1 - undershoot)


def independent_demand(demand: Demand, token_price: Path, spread_normal: Scalar, times: Path) -> Path:
    """Demand over planned capacity that would be there without any feedback.

    level S(t) e^((g - h) t) p_t^-eps (1 - undershoot) (1 - shock after its time) e^(spread n)
    """
    growth = (demand.growth - demand.efficiency) * times - demand.elasticity * jnp.log(token_price)
    missed = jnp.where(times >= demand.shock_time, demand.shock, 0.0)
    level = demand.level * (1 - demand.undershoot) * jnp.exp(demand.spread * spread_normal)
    return level * adoption(demand, times) * jnp.exp(growth) * (1 - missed)


def reflexive_demand(independent: Path, capacity: Path, feedback: Scalar, times: Path) -> Path:
    """Demand when capacity in service creates demand of its own, which then grows like all other demand.

    D_{k+1} = D_k d_{k+1}/d_k + kappa C_k dt_k, solved as D_k = d_k (1 + sum_{j<k} kappa C_j dt_j / d_{j+1})
    with d the independent demand. Where that is nothing there is no growth to share: nothing is created.
    """
    wanted = independent[1:] > 0
    created = feedback * capacity[:-1] * jnp.diff(times) / jnp.where(wanted, independent[1:], 1.0)
    created = jnp.where(wanted, created, 0.0)
    return independent * (1 + jnp.concatenate([jnp.zeros(1), jnp.cumsum(created)]))
