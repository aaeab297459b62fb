"""From the inlet of a rack to the meter of the site: cooling, planning power, oversubscription, footprint."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm

from clustermodel._types import Scalar
from clustermodel.specs import Site

P90_DEVIATIONS = 1.2815515655446004
"""Standard deviations from the mean to the 90th percentile of a normal distribution."""


def facility_power(it_power: Scalar, pue: Scalar) -> Scalar:
    """Power at the site's meter (W): IT power times power usage effectiveness, applied once."""
    return it_power * pue


def pue_at_load(pue: Scalar, fixed_overhead: Scalar, load: Scalar) -> Scalar:
    """Power usage effectiveness at a share `load` of the IT capacity; `pue` at full load.

    PUE(L) = 1 + (a + b L) / L with a + b = PUE(1) - 1: the part `a` (`fixed_overhead`) of the overhead is
    there whatever the load.
    """
    return 1 + (fixed_overhead + (pue - 1 - fixed_overhead) * load) / load


def provisioned_power(published: Scalar, inside: Scalar, inlet_limit: Scalar, pue: Scalar) -> Scalar:
    """All-in planning power at a site (W per accelerator): IT power to plan for, times the site's PUE.

    IT power is the published all-in figure less the facility overhead inside it, a PUE of `inside`; else
    `inlet_limit`, the largest power of the system at its inlet over its accelerators. The result has the overhead
    of this site inside: it is never multiplied by PUE again.
    """
    return facility_power(jnp.where(published > 0, published / inside, inlet_limit), pue)


def planning_power(facility_power: Scalar, peak_to_mean: Scalar, reserve: Scalar) -> Scalar:
    """Power (W) to plan for from a measurement: facility power at P90 of the load, and a reserve above it.

    `peak_to_mean` is P90 over mean power of a fleet, `reserve` a share such as 0.1.
    """
    return facility_power * peak_to_mean * (1 + reserve)


class Oversubscription(eqx.Module):
    """What it buys and risks to plan for less than every accelerator's planning power."""

    accelerators: Scalar  # per W of the site
    throttled_time: Scalar  # share of time in which demand exceeds the site
    throttled_energy: Scalar  # share of the demanded energy that the site cannot give


def oversubscribed(planned: Scalar, mean: Scalar, peak_to_mean: Scalar, factor: Scalar) -> Oversubscription:
    """Fill a site with `factor` times the accelerators that their planning power allows.

    Power of the fleet is taken as normal with the given mean and P90 (W per accelerator, fleet-wide, so
    common movements are in it): D ~ N(mu, s), s = mu (P90/mu - 1) / 1.2816; with z = (limit - mu) / s the
    site is short for 1 - Phi(z) of the time, by E[(D - limit)+] = s (phi(z) - z (1 - Phi(z))).
    [POLCA, ASPLOS 2024, finds up to 30 % more servers under one limit.]
    """
    spread = jnp.maximum(mean * (peak_to_mean - 1) / P90_DEVIATIONS, 1e-9)
    z = (planned / factor - mean) / spread
    short = spread * (norm.pdf(z) - z * norm.sf(z))
    return Oversubscription(factor / planned, norm.sf(z), jnp.maximum(short, 0.0) / mean)


class Footprint(eqx.Module):
    """Per unit of whatever the energy was for."""

    carbon: Scalar  # kg
    water: Scalar  # L, at the site and at the power station


def footprint(it_energy: Scalar, site: Site) -> Footprint:
    """Carbon (kg) and water (L) of an IT energy (J): site water per IT energy, the rest per energy at the meter."""
    metered = it_energy * site.pue
    return Footprint(metered * site.carbon, it_energy * site.water + metered * site.grid_water)


def expected_capacity(site: Site, time: Scalar) -> Scalar:
    """Power that a source is expected to deliver at `time` (s from now), in W: nothing before its lead time.

    A source that may fail counts with its probability of success.
    """
    return jnp.where(time >= site.lead_time, site.capacity * site.success, 0.0)
