import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from clustermodel.catalog import load_catalog
from clustermodel.physics.facility import (
    expected_capacity,
    facility_power,
    footprint,
    oversubscribed,
    planning_power,
    pue_at_load,
)

CATALOG = load_catalog()
YEAR = 365 * 24 * 3600.0


def f(x):
    return jnp.asarray(x, dtype=float)


@given(st.floats(1.0, 1.6), st.floats(0.0, 0.05), st.floats(0.05, 1.0))
def test_pue_falls_towards_its_full_load_value(pue, fixed, load):
    fixed = min(fixed, pue - 1)
    at = float(pue_at_load(f(pue), f(fixed), f(load)))
    assert at >= pue - 1e-12
    np.testing.assert_allclose(pue_at_load(f(pue), f(fixed), f(1.0)), pue, rtol=1e-12)


def test_overhead_at_half_load_by_hand():
    # PUE 1.2 with 5 % fixed: overhead 0.05 + 0.15 x 0.5 = 0.125 of capacity over 0.5 of load
    np.testing.assert_allclose(pue_at_load(f(1.2), f(0.05), f(0.5)), 1.25, rtol=1e-12)


def test_planning_for_what_is_planned_leaves_a_tenth_of_the_time_short_at_p90_without_reserve():
    planned = planning_power(f(1000.0), f(1.1), f(0.0))
    risk = oversubscribed(planned, f(1000.0), f(1.1), f(1.0))
    np.testing.assert_allclose(risk.throttled_time, 0.1, rtol=1e-9)


@given(st.floats(1.02, 1.3), st.floats(1.0, 1.4), st.floats(1.0, 1.3))
def test_oversubscription_agrees_with_scipy_and_with_integration(p90, planned_ratio, factor):
    mean, planned = 1000.0, 1000.0 * planned_ratio
    risk = oversubscribed(f(planned), f(mean), f(p90), f(factor))
    spread, limit = mean * (p90 - 1) / norm.ppf(0.9), planned / factor
    np.testing.assert_allclose(risk.throttled_time, norm.sf(limit, mean, spread), rtol=1e-7, atol=1e-14)
    grid = np.linspace(limit, max(limit, mean) + 12 * spread, 200_001)
    short = np.trapezoid((grid - limit) * norm.pdf(grid, mean, spread), grid)
    np.testing.assert_allclose(risk.throttled_energy, short / mean, rtol=1e-4, atol=1e-9)


def test_thirty_percent_more_servers_are_safe_where_power_is_planned_at_nameplate():
    # POLCA: 30 % more servers under one limit. H100: 1370 W planned, 888 W of IT at a 600 W board, PUE 1.15
    mean = facility_power(f(888.0), f(1.15))
    risk = oversubscribed(f(1370.0), mean, f(1.10), f(1.3))
    assert risk.throttled_time < 0.7
    assert oversubscribed(f(1370.0), mean, f(1.10), f(1.1)).throttled_time < 0.02


@given(st.floats(1.0, 1.5), st.floats(1.0, 1.5))
def test_more_oversubscription_buys_more_accelerators_and_more_risk(a, b):
    low, high = (oversubscribed(f(1300.0), f(1000.0), f(1.15), f(x)) for x in sorted((a, b)))
    assert low.accelerators <= high.accelerators
    assert low.throttled_time <= high.throttled_time + 1e-15
    assert low.throttled_energy <= high.throttled_energy + 1e-15


def test_carbon_and_water_of_a_kilowatt_hour_by_hand():
    site = CATALOG.entry("sites", "us-average").spec
    per_kwh = footprint(f(3.6e6), site)
    np.testing.assert_allclose(per_kwh.carbon, 0.37 * site.pue, rtol=1e-9)
    np.testing.assert_allclose(per_kwh.water, 0.5 + 1.2 * site.pue, rtol=1e-9)


@pytest.mark.parametrize("slug", ["behind-the-meter-gas", "nuclear-ppa", "solar-storage", "us-average"])
def test_every_source_of_power_states_when_it_comes(slug):
    assert CATALOG.entry("sites", slug).spec.lead_time > 0


def test_gas_behind_the_meter_comes_years_before_the_grid():
    gas, grid = (CATALOG.entry("sites", slug).spec for slug in ("behind-the-meter-gas", "us-average"))
    assert grid.lead_time - gas.lead_time >= 2 * YEAR


def test_a_space_solar_reservation_counts_with_its_odds_and_not_before_2030():
    site = CATALOG.entry("sites", "space-solar").spec
    assert expected_capacity(site, f(3.0 * YEAR)) == 0.0  # 2029-11
    np.testing.assert_allclose(expected_capacity(site, f(5.0 * YEAR)), 1e9 * site.success)
    assert 0 < float(site.success) < 1


def test_presets_say_what_is_published_and_what_is_assumed():
    for slug, capacity in (
        ("space-solar", "published"),
        ("compute-commitment-5gw", "published"),
        ("india-visakhapatnam", "assumption"),
    ):
        entry = CATALOG.entry("sites", slug)
        assert "ublished" in entry.words["note"]
        assert "ssumed" in entry.words["note"]
        assert entry.provenance["capacity"].confidence == capacity
        assert entry.provenance["electricity"].confidence == "assumption"


def test_the_15_billion_hub_at_visakhapatnam_is_less_than_a_gigawatt_of_everything():
    # 15 GUSD announced; at Epoch's 38 GUSD for a gigawatt with its systems that is 0.4 GW, at the shell's price 1.3 GW
    site = CATALOG.entry("sites", "india-visakhapatnam").spec
    everything, shell = 15e9 / 38.0, 15e9 / float(site.facility_capex)
    low, high = CATALOG.entry("sites", "india-visakhapatnam").provenance["capacity"].range_si("W")
    assert low <= everything <= float(site.capacity) <= shell <= high


def test_a_commitment_of_200_billion_is_near_the_cost_of_a_gigawatt_year():
    # 200 GUSD / (5 years x 5 GW) = 8 GUSD per GW and year; Epoch's model of a gigawatt costs 8.5
    deal = CATALOG.entry("contracts", "google-anthropic").spec
    per_gigawatt_year = float(deal.value) / (float(deal.term) / YEAR) / (float(deal.power) / 1e9)
    np.testing.assert_allclose(per_gigawatt_year, 8.5e9, rtol=0.1)


def test_oversubscription_under_vmap_and_jit_agrees_with_a_loop_over_16400_points():
    factors = f(np.linspace(1, 1.5, 16_400))
    law = lambda x: oversubscribed(f(1300.0), f(1000.0), f(1.15), x).throttled_energy
    batched = jax.jit(jax.vmap(law))(factors)
    for i in (0, 8_191, 16_384, 16_399):
        np.testing.assert_allclose(batched[i], law(factors[i]), rtol=1e-12)
