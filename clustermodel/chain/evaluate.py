"""The whole chain for one operating point: serving, power, hour, token. Pure JAX; vmap it over anything."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.levelized import HourCost, holding_price, owned_cost, per_sold, rented_cost
from clustermodel.economics.tokens import TokenRates, UnitCost, holding_cost, token_costs
from clustermodel.physics.chassis import InletPower, system_power
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower, Phases
from clustermodel.serving.load import Load
from clustermodel.serving.placement import placed
from clustermodel.serving.power import replica_power, tier_reads
from clustermodel.serving.prefix import cache_tier, token_cache_bytes
from clustermodel.serving.steady import ServingPoint, closed_loop
from clustermodel.specs import Site, Terms, quantity


class Money(eqx.Module):
    """What the owner's side of the question is made of."""

    site: Site
    terms: Terms
    board: BoardPower
    all_in_price: Scalar = quantity("USD/s", "dated price of an accelerator; 0 means bottom-up", 0.0)
    reuse_interval: Scalar = quantity("s", "mean time a cached prefix waits for its next use", 300.0)


class Evaluation(eqx.Module):
    """One operating point from silicon to money (SI)."""

    point: ServingPoint
    board: Phases  # W by phase, per accelerator
    board_power: Scalar  # W, mean, per accelerator
    inlet: InletPower  # W, per accelerator, stranded accelerators' share included
    hour: HourCost  # USD/s per accelerator, after utilisation
    carried: Scalar  # accelerators whose cost the replica carries, stranded ones included
    unit: UnitCost  # USD/token, time-weighted
    holding: Scalar  # USD per cached token kept


def evaluate(deployment: Deployment, load: Load, money: Money) -> Evaluation:
    """Serve `load`, draw power, pay the bill and share it out among the tokens."""
    deployment = placed(deployment, load)
    point = closed_loop(deployment, load)
    board, board_power = replica_power(money.board, deployment, load, point)
    inlet = system_power(deployment.system, board_power, tier_reads(deployment, load, point))
    hour, carried = hour_cost(deployment, money, inlet.total), carried_accelerators(deployment)
    rates = token_rates(point, load)
    holding = holding_of(deployment, money, rates.cached, carried)
    unit = token_costs(hour.total * carried, rates, point.token_time, holding)
    return Evaluation(point, board, board_power, inlet, hour, carried, unit, holding)


def holding_of(deployment: Deployment, money: Money, rate: Scalar, carried: Scalar) -> Scalar:
    """Keeping one cached token until its next use (USD); inside a dated all-in price, so nothing then.

    Args:
        deployment: replica whose tier keeps it.
        money: price of its bytes, and the time until the next use.
        rate: cached tokens per second.
        carried: accelerators whose memory the replica pays for.
    """
    price = holding_price(cache_tier(deployment), money.terms)
    interval = kept_for(deployment, money.reuse_interval, rate, carried)
    cost = holding_cost(price, token_cache_bytes(deployment), interval)
    return jnp.where(money.all_in_price > 0, 0.0, cost)


def kept_for(deployment: Deployment, interval: Scalar, rate: Scalar, carried: Scalar) -> Scalar:
    """Time for which a cached token is kept (s): until its next use, or as long as its tier has room.

    Of `rate` tokens a second that wait T each, rate T are held (Little's law): T <= capacity / (rate x bytes).
    """
    room = deployment.engine.usable_fraction * cache_tier(deployment).capacity * carried
    written = rate * token_cache_bytes(deployment)
    some = written > 0
    return jnp.where(some, jnp.minimum(interval, room / jnp.where(some, written, 1.0)), interval)


def hour_cost(deployment: Deployment, money: Money, inlet_power: Scalar) -> HourCost:
    """One accelerator in use (USD/s): its parts, or the dated price, over the share of hours that is sold."""
    owned = owned_cost(deployment.system, money.site, money.terms, inlet_power)
    rented = rented_cost(money.all_in_price)
    quoted = money.all_in_price > 0
    hour = jax.tree.map(lambda a, b: jnp.where(quoted, a, b), rented, owned)
    return per_sold(hour, money.terms.utilisation)


def carried_accelerators(deployment: Deployment) -> Scalar:
    """Accelerators that a replica pays for: those it uses and its share of the stranded ones.

    A system of C accelerators holds floor(C / n) replicas of n; a replica of several systems pays for all of
    them.
    """
    count, n = deployment.system.count, deployment.layout.n_accelerators
    whole_systems = jnp.ceil(n / count) * count
    return jnp.where(n > count, whole_systems, count / jnp.maximum(jnp.floor(count / n), 1.0))


def token_rates(point: ServingPoint, load: Load) -> TokenRates:
    """Tokens per second of the replica by class."""
    return TokenRates(point.request_rate * load.uncached, point.request_rate * load.cached, point.output_rate)
