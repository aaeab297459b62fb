"""What a price leaves over a cost, and the price, rent or utilisation at which nothing is left."""

import jax.numpy as jnp

from clustermodel._types import Scalar


def gross_margin(revenue: Scalar, cost: Scalar) -> Scalar:
    """Share of revenue that is left: 1 - cost / revenue."""
    return 1 - cost / revenue


def cost_profit_margin(revenue: Scalar, cost: Scalar) -> Scalar:
    """Profit over *cost*, as DeepSeek reports it: (revenue - cost) / cost; 545 % is 84.5 % of revenue."""
    return (revenue - cost) / cost


def price_at_margin(cost: Scalar, margin: Scalar) -> Scalar:
    """Price that leaves a gross margin: cost / (1 - margin); at margin 0 the break-even price."""
    return cost / (1 - margin)


def break_even_utilisation(cost: Scalar, price: Scalar) -> Scalar:
    """Share of installed hours that must be sold at `price` to pay for all of them; above 1 it never pays."""
    return cost / price


def payback_rent(capital: Scalar, payback: Scalar, running: Scalar) -> Scalar:
    """Rent per unit of time that returns `capital` in `payback`, and a share `running` of that on top."""
    return capital / payback * (1 + running)


def break_even_volume(fixed: Scalar, price: Scalar, variable: Scalar) -> Scalar:
    """Volume at which owning, with fixed cost per month and a variable cost per token, meets buying at `price`.

    V = F / (p - v): tokens a month against a list price, or hours a month against a rent; infinite where each
    unit costs more to make than to buy.
    """
    saving = price - variable
    return jnp.where(saving > 0, fixed / jnp.where(saving > 0, saving, 1.0), jnp.inf)
