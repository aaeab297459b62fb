"""What a data centre of a given power costs a year, and an accelerator in it a second."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity
from clustermodel.specs import quantity
from clustermodel.units import SECONDS_PER_YEAR


class Plant(eqx.Module):
    """A data centre as press and analysts describe it: two piles of capital and running costs."""

    it_capital: Scalar = quantity("USD", "servers and network")
    facility_capital: Scalar = quantity("USD", "building, power and cooling")
    operating: Scalar = quantity("USD/s", "energy, staff and upkeep")
    rate: Scalar = quantity("", "annual cost of capital")
    it_life: Scalar = quantity("s", "economic life of servers and network", least=1.0)
    facility_life: Scalar = quantity("s", "economic life of the building", least=1.0)


def plant_cost(plant: Plant) -> Scalar:
    """Levelized cost of the whole plant (USD/s): each pile at the annuity of its life, and running costs.

    [Epoch AI 2026-05-14, "AI data center cost breakdown", levelizes 1 GW this way]
    """
    it = plant.it_capital * annuity(plant.rate, plant.it_life / SECONDS_PER_YEAR)
    facility = plant.facility_capital * annuity(plant.rate, plant.facility_life / SECONDS_PER_YEAR)
    return (it + facility) / SECONDS_PER_YEAR + plant.operating


def accelerators_in(power: Scalar, rack_power: Scalar, per_rack: Scalar) -> Scalar:
    """Accelerators that a site of `power` feeds (not rounded)."""
    return power / rack_power * per_rack


def units_within(budget: Scalar, unit_cost: Scalar) -> Scalar:
    """Units, such as racks, that a budget buys (not rounded)."""
    return budget / unit_cost
