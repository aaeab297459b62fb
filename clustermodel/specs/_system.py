"""What is bought as one: accelerators, and the chassis around them."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.specs._accelerator import Accelerator
from clustermodel.specs._quantity import quantity


class Chassis(eqx.Module):
    """What a server draws besides its accelerators; all zero where nobody has described it."""

    accelerators: Scalar = quantity("", "accelerators in the chassis", 0.0)
    fixed_power: Scalar = quantity("W", "CPUs, DRAM, NICs, drives and boards", 0.0)
    network_power: Scalar = quantity("W", "share of network switches and optics", 0.0)
    fan_power: Scalar = quantity("W", "fan power at full speed", 0.0)
    full_load: Scalar = quantity("W", "load before fans and supplies at which fans run fastest", 0.0)
    psu_capacity: Scalar = quantity("W", "capacity shared by the power supplies", 0.0)
    psu_efficiency_5: Scalar = quantity(
        "", "efficiency of the supplies at 5 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_10: Scalar = quantity(
        "", "efficiency of the supplies at 10 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_20: Scalar = quantity(
        "", "efficiency of the supplies at 20 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_50: Scalar = quantity(
        "", "efficiency of the supplies at 50 % load", 1.0, least=1e-6, most=1.0
    )
    psu_efficiency_100: Scalar = quantity(
        "", "efficiency of the supplies at full load", 1.0, least=1e-6, most=1.0
    )
    fan_duty_idle: Scalar = quantity("", "fan duty (share of full speed) without load", 0.0, most=1.0)
    fan_duty_span: Scalar = quantity("", "rise of the fan duty from no load to full load", 0.0, most=1.0)
    tray_power: Scalar = quantity("W", "CPUs and auxiliaries behind the trays' own converters", 0.0)
    tray_efficiency: Scalar = quantity(
        "", "efficiency of the trays' own converters", 1.0, least=1e-6, most=1.0
    )
    memory_inside: Scalar = quantity("W", "standing power of memory tiers that the figures above hold", 0.0)


class System(eqx.Module):
    """One server, rack or pod: `count` accelerators and everything bought with them."""

    accelerator: Accelerator
    chassis: Chassis
    count: Scalar = quantity("", "accelerators in the system", least=1.0, whole=True)
    scaleup_domain: Scalar = quantity("", "accelerators that share one scale-up fabric", 1.0, least=1.0)
    typical_power: Scalar = quantity("W", "typical power at the system inlet", 0.0)
    max_power: Scalar = quantity("W", "largest power at the system inlet", 0.0)
    price: Scalar = quantity("USD", "purchase price of the whole system", 0.0)
    memory_markup: Scalar = quantity("", "price of installed memory over its own purchase price", 1.0)
    rack_units: Scalar = quantity("", "height in rack units", 0.0, noted=True)
    liquid_cooled: Scalar = quantity("", "1 where liquid takes the heat from the accelerators", 0.0, most=1.0)
