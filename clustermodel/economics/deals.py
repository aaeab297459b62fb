"""Announced deals made comparable: per watt and year, net of the supplier's own money, against cost."""

import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.scenarios import Contract


def capacity_price(contract: Contract) -> Scalar:
    """Headline value per capacity and time (USD/W/s); 1 USD/W/year is 1e9 USD per GW-year.

    Announced power is that of the full ramp, so a ramping deal looks cheaper than it is.
    """
    return contract.value / (contract.power * contract.term)


def deal_margin(price: Scalar, cost: Scalar) -> Scalar:
    """Gross margin of capacity sold at `price` that costs `cost` to own, both in USD/W/s: 1 - c/p."""
    return 1 - cost / price


def vendor_money(contract: Contract) -> Scalar:
    """Equity, loans and shares that flow from the supplier to the buyer (USD)."""
    return contract.vendor_funding + contract.warrants


def circularity(contract: Contract) -> Scalar:
    """Supplier's money over the contract's value: above 1 the supplier pays more than it is owed."""
    return vendor_money(contract) / contract.value


def net_value(contract: Contract) -> Scalar:
    """Contract value less the supplier's own money (USD); never counted below zero."""
    return jnp.maximum(contract.value - vendor_money(contract), 0.0)


def buyer_funded_capex(contract: Contract, capex: Scalar) -> Scalar:
    """Capex left to the supplier when the buyer brings or prepays part of the hardware (USD)."""
    return capex * (1 - contract.buyer_hardware)


def payback_price(contract: Contract, capex: Scalar, opex: Scalar) -> Scalar:
    """Revenue (USD/s) that returns `capex` within the contract's payback time, after `opex` (USD/s)."""
    return capex / contract.payback + opex
