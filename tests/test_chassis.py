import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from clustermodel.calibration.power import described
from clustermodel.catalog import load_catalog
from clustermodel.physics.chassis import fan_power, it_power, memory_power, supply_efficiency, system_power
from clustermodel.physics.facility import facility_power, planning_power, provisioned_power
from clustermodel.specs import Chassis

CURVE = {
    "psu_efficiency_5": 0.8864,
    "psu_efficiency_10": 0.9238,
    "psu_efficiency_20": 0.9448,
    "psu_efficiency_50": 0.964,
    "psu_efficiency_100": 0.9556,
    "fan_duty_idle": 0.22,
    "fan_duty_span": 0.58,
}
HOPPER = Chassis(
    accelerators=8,
    fixed_power=1271.6,
    network_power=405,
    fan_power=835.3,
    full_load=7214,
    psu_capacity=19800,
    **CURVE,
)
B200 = Chassis(
    accelerators=8,
    fixed_power=1271.6,
    network_power=405,
    fan_power=1113.2,
    full_load=9614,
    psu_capacity=15750,
    **CURVE,
)


def f(x):
    return jnp.asarray(x, dtype=float)


@pytest.mark.parametrize(
    ("chassis", "board", "inlet"),
    [
        (HOPPER, 140, 380),
        (HOPPER, 350, 607),
        (HOPPER, 525, 802),
        (HOPPER, 700, 1000),
        (B200, 200, 441),
        (B200, 500, 764),
        (B200, 750, 1036),
        (B200, 1000, 1324),
    ],
)
def test_inlet_power_reproduces_the_published_evaluations_to_the_watt(chassis, board, inlet):
    drawn = it_power(chassis, f(board), f(8)).total
    np.testing.assert_allclose(drawn, inlet, atol=1.0)  # the evaluations are printed in whole watts


def test_hand_computed_hopper_chassis_at_full_load():
    load = 8 * 700 + 1271.6
    duty = 0.22 + 0.58 * load / 7214
    fans = 835.3 * duty**3
    share = (load + fans) / 19800
    efficiency = 0.9448 + (share - 0.2) / 0.3 * (0.964 - 0.9448)
    expected = ((load + fans) / efficiency + 405) / 8
    np.testing.assert_allclose(it_power(HOPPER, f(700), f(8)).total, expected, rtol=1e-12)


def test_causes_add_up_and_none_is_negative():
    parts = it_power(B200, f(640), f(8))
    causes = (parts.boards, parts.trays, parts.fixed, parts.fans, parts.conversion, parts.network)
    np.testing.assert_allclose(sum(causes), parts.total, rtol=1e-12)
    assert all(float(cause) >= 0 for cause in causes)


def test_supplies_are_as_efficient_as_certified_at_the_certified_loads():
    for share, efficiency in ((0.05, 0.8864), (0.1, 0.9238), (0.2, 0.9448), (0.5, 0.964), (1.0, 0.9556)):
        np.testing.assert_allclose(supply_efficiency(HOPPER, f(share * 19800)), efficiency, rtol=1e-9)
    np.testing.assert_allclose(supply_efficiency(HOPPER, f(0)), 0.8864, rtol=1e-9)


def test_fans_never_exceed_the_duty_they_are_set_to():
    np.testing.assert_allclose(fan_power(HOPPER, f(1e6)), 835.3 * 0.8**3, rtol=1e-12)


def test_a_chassis_nobody_described_adds_nothing():
    np.testing.assert_allclose(it_power(Chassis(), f(500), f(1)).total, 500.0, rtol=1e-12)


def test_facility_power_counts_overhead_once_and_provisioned_power_not_again():
    np.testing.assert_allclose(facility_power(f(1000), f(1.3)), 1300)
    np.testing.assert_allclose(provisioned_power(f(1730), f(1.2), f(1275), f(1.2)), 1730)
    np.testing.assert_allclose(provisioned_power(f(1730), f(1.2), f(1275), f(1.3)), 1730 * 1.3 / 1.2)
    np.testing.assert_allclose(provisioned_power(f(0), f(1.2), f(1275), f(1.3)), 1657.5)


def test_planning_power_adds_the_reserve_to_the_ninetieth_percentile():
    np.testing.assert_allclose(planning_power(f(1000), f(1.1), f(0.1)), 1210)


CATALOG = load_catalog()
REFERENCE = tomllib.loads((Path(__file__).parent / "reference" / "power_chassis.toml").read_text())


def inlet(system, board_w):
    spec = CATALOG.entry("systems", system).spec
    return it_power(spec.chassis, f(board_w), spec.count), float(spec.count)


@pytest.mark.parametrize("point", REFERENCE["chassis"], ids=lambda p: f"{p['system']}-{p['board_w']}")
def test_shipped_chassis_reproduce_the_evaluated_points(point):
    parts, count = inlet(point["system"], point["board_w"])
    kind = "racks" if count > 8 else "chassis"
    np.testing.assert_allclose(
        parts.total * count, point["inlet_w"], rtol=REFERENCE["tolerance"][kind], atol=1.0
    )


def test_a_fully_loaded_hgx_h100_node_is_within_6_percent_of_the_measured_8_4_kilowatt():
    # Latif et al., IEEE Access 13 (2025): 8.4 kW is the maximum under training, boards at their TDP
    parts, count = inlet("hgx-h100", 700)
    np.testing.assert_allclose(parts.total * count, 8400, rtol=0.06)


@pytest.mark.parametrize("board_w", [850, 900, 950, 975])
def test_eight_b200_under_serving_load_draw_what_mlperf_measured_at_the_wall(board_w):
    # MLPerf Inference v5.1, 8x B200: 9.01-9.44 kW (llama3.1-8b), 10.40-10.44 kW (llama2-70b); boards then run at
    # 85 to 97.5 % of their TDP
    parts, count = inlet("hgx-b200", board_w)
    assert 9000 <= parts.total * count <= 10440


def test_gb300_rack_worked_example():
    # 3000.75 W per tray of four accelerators and two Grace modules gives 74.9 kW at the inlet of the rack
    spec = CATALOG.entry("systems", "gb300-nvl72").spec
    grace = 2 * 98.8
    drawn = it_power(spec.chassis, f((3000.75 - grace) / 4), spec.count).total * 72
    np.testing.assert_allclose(drawn, 74_900, rtol=0.03)
    per_accelerator = planning_power(facility_power(drawn / 72, f(1.1)), f(1.0), f(0.1))
    np.testing.assert_allclose(per_accelerator, 1259, rtol=0.03)


def test_planning_by_measurement_buys_two_thirds_more_accelerators_per_gigawatt_than_nameplate():
    # evidence: 1.259 kW from measurement against 2.10 kW provisioned (InferenceX, 2026-04): 1.67x
    np.testing.assert_allclose(provisioned_power(f(2100), f(1.2), f(0), f(1.2)) / f(1259), 1.67, rtol=2e-3)


def test_memory_beside_the_boards_is_a_first_order_term_of_a_128_terabyte_server():
    spec = described(CATALOG, CATALOG.entry("systems", "prometheus-128tb")).spec
    none = jnp.zeros_like(spec.accelerator.memory.bandwidth)
    standing = memory_power(spec.accelerator.memory, none) * spec.count
    np.testing.assert_allclose(standing, 128e12 * 0.045e-9, rtol=1e-9)  # 5.8 kW
    reading = memory_power(spec.accelerator.memory, spec.accelerator.memory.bandwidth) * spec.count
    np.testing.assert_allclose(reading - standing, 25.6e12 * 8 * 15e-12, rtol=1e-9)  # 15 pJ/bit


def test_memory_on_the_boards_and_memory_inside_the_chassis_figures_is_not_counted_again():
    spec = CATALOG.entry("systems", "hgx-h100").spec
    none = jnp.zeros_like(spec.accelerator.memory.bandwidth)
    alone = it_power(spec.chassis, f(600), spec.count).total
    np.testing.assert_allclose(system_power(spec, f(600), none).total, alone, rtol=1e-9)
    nearest = none.at[0].set(spec.accelerator.hbm_bandwidth)
    np.testing.assert_allclose(system_power(spec, f(600), nearest).total, alone, rtol=1e-9)


@pytest.mark.parametrize("slug", ["vr200-nvl72", "mi450-helios", "prometheus-128tb", "hgx-a100", "tpu-v7"])
def test_a_system_without_a_chassis_draws_its_typical_power_with_all_boards_at_their_limit(slug):
    entry = CATALOG.entry("systems", slug)
    full = described(CATALOG, entry)
    assert "no chassis is described" in full.provenance["chassis.fixed_power"].note
    spec = full.spec
    none = jnp.zeros_like(spec.accelerator.memory.bandwidth)
    drawn = system_power(spec, spec.accelerator.tdp, none).total * spec.count
    assert drawn >= spec.typical_power * (1 - 1e-6)  # more only where the boards alone exceed it


def test_vmap_and_jit_of_a_chassis_agree_with_a_loop_over_16400_points():
    watts = f(np.linspace(0, 1000, 16_400))
    law = lambda w: it_power(B200, w, f(8)).total
    batched = jax.jit(jax.vmap(law))(watts)
    np.testing.assert_allclose(batched, jax.vmap(law)(watts), rtol=1e-13)
    for i in (0, 8_191, 16_384, 16_399):
        np.testing.assert_allclose(batched[i], law(watts[i]), rtol=1e-13)


def test_gradient_of_the_inlet_power_agrees_with_finite_differences():
    check_grads(lambda w: it_power(B200, f(w), f(8)).total, (f(630.0),), order=1, modes=["rev"], rtol=1e-5)
