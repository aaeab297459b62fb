"""How long hardware earns when better hardware pushes its rent down, and what it must earn at first.

The rent falls as p e^(-g t); the owner stops when it no longer pays the running cost c, whatever the books
say.
Times are in one unit throughout, such as years: capital K in USD, p and c in USD per unit of time, g and the
interest r per unit of time, both continuous.
"""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.annuity import exprel
from clustermodel.economics.levelized import owned_cost, purchase_price, running_cost
from clustermodel.economics.roots import bisect
from clustermodel.specs import Site, System, Terms
from clustermodel.units import SECONDS_PER_YEAR

LARGEST_LOG_RATIO = 50.0
"""First rents up to e^50 times the running cost are looked for."""

SLOWEST_DECLINE = 2.0**-40
"""Slowest decline that is told from none, as a share of the fastest that pays."""


class EconomicLife(eqx.Module):
    """When an asset stops paying, and the first rent that repays it by then."""

    rent: Scalar
    life: Scalar


def economic_life(rent: Scalar, running: Scalar, decline: Scalar) -> Scalar:
    """Time until the falling rent meets the running cost: T = ln(p / c) / g."""
    return jnp.log(rent / running) / decline


def rental_value(log_ratio: Scalar, running: Scalar, life: Scalar, rate: Scalar) -> Scalar:
    """Present value of rent less running cost until they meet after `life`.

    V = int_0^T (p e^(-g t) - c) e^(-r t) dt = c T [e^u exprel(-(u + r T)) - exprel(-r T)],  u = ln(p/c) = g T
    """
    earned = jnp.exp(log_ratio) * exprel(-(log_ratio + rate * life))
    return running * life * (earned - exprel(-rate * life))


def break_even_rent(capital: Scalar, running: Scalar, decline: Scalar, rate: Scalar) -> EconomicLife:
    """First rent, and economic life, at which an asset of price `capital` just pays.

    Solves V(p, g) = K with p e^(-g T) = c.
    """

    def surplus(log_ratio: Scalar) -> Scalar:
        return rental_value(log_ratio, running, log_ratio / decline, rate) - capital

    log_ratio = bisect(surplus, jnp.zeros_like(capital), jnp.full_like(capital, LARGEST_LOG_RATIO))
    return EconomicLife(rent=running * jnp.exp(log_ratio), life=log_ratio / decline)


def implied_obsolescence(rent: Scalar, capital: Scalar, running: Scalar, rate: Scalar) -> Scalar:
    """Decline g that a market believes in when it pays `rent` for a new asset; NaN if none is slow enough.

    The inverse of `break_even_rent`: buyers who expect slower obsolescence would take less.
    """
    log_ratio = jnp.log(rent / running)
    fastest = log_ratio * (rent - running) / capital  # the life is never shorter than the payback

    def surplus(decline: Scalar) -> Scalar:
        return rental_value(log_ratio, running, log_ratio / decline, rate) - capital

    return bisect(surplus, fastest * SLOWEST_DECLINE, fastest)


def front_loaded_rent(
    system: System, site: Site, terms: Terms, it_power: Scalar, decline: Scalar
) -> EconomicLife:
    """First rent of one accelerator (USD/s) and its economic life (s) if rents fall at `decline` (1/s).

    `terms.life` is the life in the books and plays no part; `break_even_rent` says when the owner stops.
    """
    return break_even_rent(*_sunk_and_running(system, site, terms, it_power), decline, _interest(terms))


def believed_decline(system: System, site: Site, terms: Terms, it_power: Scalar, rent: Scalar) -> Scalar:
    """Obsolescence (1/s) that a market rent of one accelerator (USD/s) pays for; see `implied_obsolescence`."""
    return implied_obsolescence(rent, *_sunk_and_running(system, site, terms, it_power), _interest(terms))


def _sunk_and_running(system: System, site: Site, terms: Terms, it_power: Scalar) -> tuple[Scalar, Scalar]:
    """Hardware and network of one accelerator (USD) and what stopping would save (USD/s)."""
    capital = purchase_price(system, terms) * (1 + terms.network_fraction)
    return capital, running_cost(owned_cost(system, site, terms, it_power))


def _interest(terms: Terms) -> Scalar:
    """Continuous interest per second of an effective annual rate."""
    return jnp.log1p(terms.wacc) / SECONDS_PER_YEAR
