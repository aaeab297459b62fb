"""What one accelerator costs a second: capital, building, network, energy and hands, each levelized.

    cost = [ (K_it - RV (1 + r)^-n + K_net) crf(r, n) + K_fac P_it crf(r_f, n_f) + tax + m K_it + s P_it ] / A
           + P_mean PUE e

K_it purchase price, RV residual value, r WACC, n life, K_net network, K_fac building per W, P_it provisioned
IT power, m maintenance, s staff, A availability, P_mean mean IT power, e electricity price. What is owed in
every hour is carried by the hours in working order; energy is drawn in those hours only. Nominal rates give
a payment that stays; real ones (`rates.real_rate`) a payment in money of today that rises with inflation.
[fixed-charge form: Short, Packey & Holt 1995, NREL/TP-462-5173, ch. 3; items as listed by InferenceX's TCO]
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity, discount, present_value
from clustermodel.physics.facility import facility_power, provisioned_power
from clustermodel.specs import MemoryTier, Site, System, Terms, quantity
from clustermodel.units import SECONDS_PER_YEAR


class HourCost(eqx.Module):
    """Where the money of one accelerator in working order goes (USD/s).

    A dated all-in price fills `all_in` only: hardware, hosting and energy are inside it, never added again.
    """

    capital: Scalar = quantity("USD/s", "accelerators, hosts and everything else in the system price", 0.0)
    facility: Scalar = quantity("USD/s", "building, power and cooling", 0.0)
    network: Scalar = quantity("USD/s", "scale-out network", 0.0)
    energy: Scalar = quantity("USD/s", "electricity, facility overhead included", 0.0)
    maintenance: Scalar = quantity("USD/s", "spares and service contracts", 0.0)
    staff: Scalar = quantity("USD/s", "operations staff", 0.0)
    tax: Scalar = quantity("USD/s", "tax on what capital must earn", 0.0)
    all_in: Scalar = quantity("USD/s", "a price that contains all of the above", 0.0)

    @property
    def total(self) -> Scalar:
        """The sum of the parts (USD/s)."""
        return sum((getattr(self, field.name) for field in dataclasses.fields(self)), jnp.zeros(()))


def owned_cost(system: System, site: Site, terms: Terms, it_power: Scalar) -> HourCost:
    """Cost of one accelerator that its user owns, from its parts; the formula of this module.

    Args:
        system: gives the price and the provisioned power.
        site: building and electricity.
        terms: finance and operation.
        it_power: mean IT power of one accelerator with its share of the server (W), before PUE.
    """
    purchase = purchase_price(system, terms)
    network = purchase * terms.network_fraction * straight_charge(terms)
    power = provisioned_it_power(system, site)
    facility = power * building_price(system, site) * facility_charge(site)
    hardware = purchase * straight_charge(terms) + network
    fixed = HourCost(
        capital=purchase * capital_charge(terms),
        facility=facility,
        network=network,
        maintenance=purchase * terms.maintenance_fraction / SECONDS_PER_YEAR,
        staff=power * terms.staff,
        tax=hardware * hardware_tax(terms) + facility * facility_tax(site, terms),
    )
    energy = facility_power(it_power, site.pue) * site.electricity
    return eqx.tree_at(lambda cost: cost.energy, scaled(fixed, 1 / terms.availability), energy)


def rented_cost(price: Scalar) -> HourCost:
    """Cost of one accelerator at an all-in price (USD/s): a rent, or a published cost of ownership."""
    return HourCost(all_in=price)


def per_sold(cost: HourCost, utilisation: Scalar) -> HourCost:
    """Cost per *earning* second: idle seconds are paid by the busy ones. Apply once."""
    return scaled(cost, 1 / utilisation)


def scaled(cost: HourCost, factor: Scalar) -> HourCost:
    """Every part times `factor`."""
    return jax.tree.map(lambda part: part * factor, cost)


def running_cost(cost: HourCost) -> Scalar:
    """What stopping would save (USD/s): all but the sunk hardware and its tax; the hall finds another tenant."""
    return cost.facility + cost.energy + cost.maintenance + cost.staff


def purchase_price(system: System, terms: Terms) -> Scalar:
    """What the owner pays for one accelerator and its share of the system (USD), without scale-out network.

    P = f (P_system + (g - 1) P_memory) / n, with g the price of memory over that inside the catalogue's price.
    """
    return terms.price_factor * price_with_memory(system, terms.memory_factor) / system.count


def price_with_memory(system: System, factor: Scalar) -> Scalar:
    """Price of a system when memory costs `factor` of what it does inside the catalogue's price (USD).

    P_system + (g - 1) P_memory. Cheaper memory takes off its share of the price at most: where a price that
    somebody asks about is less than the memory inside, all of it is memory, and the price is g P_system.
    """
    memory = jnp.sum(memory_prices(system))
    return system.price + (factor - 1) * jnp.where(factor < 1, jnp.minimum(memory, system.price), memory)


def memory_prices(system: System) -> Float[Array, " tier"]:
    """Part of a system's price that each of its memory tiers is (USD): bytes x price per byte x markup."""
    memory = system.accelerator.memory
    return system.count * memory.capacity * memory.price * system.memory_markup


def straight_charge(terms: Terms) -> Scalar:
    """Levelized cost of one dollar of equipment that is worth nothing at the end (1/s)."""
    return annuity(terms.wacc, terms.life / SECONDS_PER_YEAR) / SECONDS_PER_YEAR


def capital_charge(terms: Terms) -> Scalar:
    """Levelized cost of one dollar of system, its resale at the end taken off (1/s)."""
    kept = terms.residual_fraction * discount(terms.wacc, terms.life / SECONDS_PER_YEAR)
    return (1 - kept) * straight_charge(terms)


def facility_charge(site: Site) -> Scalar:
    """Levelized cost of one dollar of building (1/s)."""
    return annuity(site.facility_rate, site.facility_life / SECONDS_PER_YEAR) / SECONDS_PER_YEAR


def hardware_tax(terms: Terms) -> Scalar:
    """Tax over the levelized cost of hardware, written off in equal parts over its life before the tax office.

    T (1 - D) / (1 - T), D the present value of the deductions: what `rates.fixed_charge_rate` adds to the annuity.
    A residual is taxed when it is earned, so it takes off as much after tax as before.
    """
    written_off = jnp.where(terms.tax_life > 0, terms.tax_life, terms.life) / SECONDS_PER_YEAR
    return _tax_uplift(terms.tax, terms.wacc, written_off)


def facility_tax(site: Site, terms: Terms) -> Scalar:
    """The same for the building, written off over its economic life."""
    return _tax_uplift(terms.tax, site.facility_rate, site.facility_life / SECONDS_PER_YEAR)


def _tax_uplift(tax: Scalar, rate: Scalar, years: Scalar) -> Scalar:
    return tax * (1 - present_value(rate, years) / years) / (1 - tax)


def building_price(system: System, site: Site) -> Scalar:
    """Price of building and cooling for one watt of this system (USD/W); liquid cooling costs extra."""
    return site.facility_capex + system.liquid_cooled * site.liquid_capex


def provisioned_it_power(system: System, site: Site) -> Scalar:
    """IT power that the building must be able to feed, per accelerator (W).

    `facility.provisioned_power` (what limits in MW are counted in) less the facility overhead inside it. The
    inlet limit is the system's largest power where known, else its typical power, else its boards' own limit.
    """
    chip, limit = system.accelerator, system.accelerator.tdp
    for power in (system.typical_power / system.count, system.max_power / system.count):
        limit = jnp.where(power > 0, power, limit)
    return provisioned_power(chip.provisioned_power, chip.provisioned_pue, limit, site.pue) / site.pue


def holding_price(tier: MemoryTier, terms: Terms) -> Scalar:
    """Levelized cost of keeping one byte in a tier for a second that earns (USD/B/s).

    h = p_byte g f (crf (1 - RV (1 + r)^-n) + m) / (A u), with f and g as in `purchase_price`: the
    byte's share of the system's `capital` and `maintenance` per earning second, not an addition to them.
    """
    charge = capital_charge(terms) + terms.maintenance_fraction / SECONDS_PER_YEAR
    price = tier.price * terms.memory_factor * terms.price_factor
    return price * charge / (terms.availability * terms.utilisation)
