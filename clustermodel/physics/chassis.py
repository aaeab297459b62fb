"""From boards to the power inlet of a server or rack: hosts, fans, power supplies, network."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.tiers import Tiers
from clustermodel.specs import Chassis, MemoryTier, System

SUPPLY_LOADS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Loads at which power supplies are certified (80 PLUS), shares of their capacity."""


_ROUNDING = 1e-3  # W; figures in configs are written to the watt


class InletPower(eqx.Module):
    """IT power at the inlet by cause, W per accelerator."""

    boards: Scalar
    memory: Scalar  # tiers beside the boards
    trays: Scalar
    fixed: Scalar
    fans: Scalar
    conversion: Scalar
    network: Scalar

    @property
    def total(self) -> Scalar:
        """IT power per accelerator (W)."""
        inside = self.boards + self.memory + self.trays + self.fixed
        return inside + self.fans + self.conversion + self.network


def _share(part: Scalar, whole: Scalar) -> Scalar:
    """Ratio of part to whole, and 0 where there is no whole."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), 0.0)


def supply_efficiency(chassis: Chassis, load: Scalar) -> Scalar:
    """Efficiency of the power supplies at `load` W, linear between the certified loads, flat outside."""
    share = _share(load, chassis.psu_capacity)
    points = (
        chassis.psu_efficiency_5,
        chassis.psu_efficiency_10,
        chassis.psu_efficiency_20,
        chassis.psu_efficiency_50,
        chassis.psu_efficiency_100,
    )
    efficiency = points[0]
    for i in range(len(SUPPLY_LOADS) - 1):
        way = (share - SUPPLY_LOADS[i]) / (SUPPLY_LOADS[i + 1] - SUPPLY_LOADS[i])
        efficiency = efficiency + (points[i + 1] - points[i]) * jnp.clip(way, 0.0, 1.0)
    return efficiency


def fan_power(chassis: Chassis, load: Scalar) -> Scalar:
    """Fan power (W) for a heat load (W): nameplate duty^3, duty rising linearly up to full load."""
    share = jnp.minimum(_share(load, chassis.full_load), 1.0)
    duty = chassis.fan_duty_idle + chassis.fan_duty_span * share
    return chassis.fan_power * duty**3


def memory_power(memory: MemoryTier, reads: Tiers) -> Scalar:
    """Power of the memory outside the boards (W per accelerator): what keeping and reading its bytes takes.

    P = sum over tiers with standing power of (capacity standing + reads access energy)

    `reads` are B/s per accelerator from each tier. A tier without standing power is on the board, whose own
    power covers it.
    """
    kept = memory.capacity * memory.standing_power
    read = jnp.where(memory.standing_power > 0, reads * memory.access_energy, 0.0)
    return jnp.sum(kept + read)


def it_power(chassis: Chassis, board_power: Scalar, accelerators: Scalar) -> InletPower:
    """Power at the inlet of a chassis with `accelerators` boards at `board_power` W each, by cause.

    P = ((n P_board + trays) / eta_tray + fixed + fans) / eta_supply(load) + network, all over n

    [SemiAnalysis PowerX, system power model, draft of 2026]. A chassis that nobody has described adds
    nothing: fill it first (`calibration.power.described`).
    """
    return _inlet(chassis, board_power, jnp.zeros_like(board_power), accelerators)


def system_power(system: System, board_power: Scalar, reads: Tiers) -> InletPower:
    """`it_power` of a system with all its boards, and with the memory tiers that stand beside them.

    `reads` are B/s per accelerator from each tier. What the chassis' own figures hold of the tiers' standing
    power (`memory_inside`) is not counted again.
    """
    count = system.count
    beside = memory_power(system.accelerator.memory, reads) - system.chassis.memory_inside / count
    return _inlet(system.chassis, board_power, jnp.where(beside > _ROUNDING, beside, 0.0), count)


def _inlet(chassis: Chassis, board_power: Scalar, memory: Scalar, accelerators: Scalar) -> InletPower:
    trays = accelerators * board_power + chassis.tray_power
    load = trays / chassis.tray_efficiency + chassis.fixed_power + accelerators * memory
    fans = fan_power(chassis, load)
    drawn = (load + fans) / supply_efficiency(chassis, load + fans)
    conversion = drawn - (trays + chassis.fixed_power + accelerators * memory + fans)
    return InletPower(
        boards=board_power,
        memory=memory,
        trays=chassis.tray_power / accelerators,
        fixed=chassis.fixed_power / accelerators,
        fans=fans / accelerators,
        conversion=conversion / accelerators,
        network=chassis.network_power / accelerators,
    )
