"""What it costs to own a system: the site where it stands, and how it is financed."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.specs._quantity import quantity


class Site(eqx.Module):
    """Where systems stand: energy, cooling and the building."""

    electricity: Scalar = quantity("USD/J", "delivered energy price")
    pue: Scalar = quantity("", "facility power over IT power", least=1.0)
    facility_capex: Scalar = quantity("USD/W", "building, power and cooling per W of IT power")
    facility_life: Scalar = quantity("s", "economic life of the building", least=1.0)
    facility_rate: Scalar = quantity("", "annual cost of capital of the building", most=1.0)
    liquid_capex: Scalar = quantity("USD/W", "what liquid cooling adds to facility_capex", 0.0)
    carbon: Scalar = quantity("kg/J", "grid carbon per energy", 0.0)
    water: Scalar = quantity("L/J", "site water per IT energy", 0.0)
    grid_water: Scalar = quantity("L/J", "water of the power stations per energy at the meter", 0.0)
    fixed_overhead: Scalar = quantity("", "cooling and losses without load over IT capacity", 0.0)
    capacity: Scalar = quantity("W", "power that the site or source can deliver; 0 where not stated", 0.0)
    lead_time: Scalar = quantity("s", "from today to its first power", 0.0)
    success: Scalar = quantity("", "probability that the power comes at all", 1.0, most=1.0)


class Terms(eqx.Module):
    """How an owner finances and runs a system."""

    wacc: Scalar = quantity("", "annual weighted average cost of capital", most=1.0)
    life: Scalar = quantity("s", "economic life of the system", least=1.0)
    residual_fraction: Scalar = quantity("", "resale value over purchase price", 0.0, most=1.0)
    price_factor: Scalar = quantity("", "volume price paid over the catalogue price", 1.0, least=1e-9)
    memory_factor: Scalar = quantity("", "price of memory now over that in the catalogue's prices", 1.0)
    network_fraction: Scalar = quantity("", "scale-out network over system price", 0.0)
    maintenance_fraction: Scalar = quantity("", "annual maintenance over purchase price", 0.0)
    staff: Scalar = quantity("USD/W/s", "operations staff per W of IT power and second", 0.0)
    utilisation: Scalar = quantity("", "share of installed hours that earn", 1.0, least=1e-6, most=1.0)
    availability: Scalar = quantity("", "share of hours in working order", 1.0, least=1e-6, most=1.0)
    tax: Scalar = quantity("", "corporate tax rate; at 0 costs are before tax", 0.0, most=0.99)
    tax_life: Scalar = quantity("s", "time over which tax law writes the system off; 0 for its life", 0.0)
