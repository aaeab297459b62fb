"""From the inlet of a rack to the meter of the site: cooling, planning power, carbon and water."""

import jax.numpy as jnp

from clustermodel._types import Scalar


def facility_power(it_power: Scalar, pue: Scalar) -> Scalar:
    """Power at the site's meter (W): IT power times power usage effectiveness, applied once."""
    return it_power * pue


def provisioned_power(published: Scalar, inlet_limit: Scalar, pue: Scalar) -> Scalar:
    """All-in planning power (W per accelerator): the published figure, else the inlet's limit times PUE.

    `inlet_limit` is the largest power of the system at its inlet over its accelerators. Facility overhead is
    inside the result; it is never multiplied by PUE again.
    """
    return jnp.where(published > 0, published, facility_power(inlet_limit, pue))


def planning_power(facility_power: Scalar, peak_to_mean: Scalar, reserve: Scalar) -> Scalar:
    """Power (W) to plan for from a measurement: facility power at P90 of the load, and a reserve above it.

    `peak_to_mean` is P90 over mean power of a fleet, `reserve` a share such as 0.1.
    """
    return facility_power * peak_to_mean * (1 + reserve)
