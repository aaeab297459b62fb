import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.physics.chassis import fan_power, it_power, supply_efficiency
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
    np.testing.assert_allclose(provisioned_power(f(1730), f(1275), f(1.3)), 1730)
    np.testing.assert_allclose(provisioned_power(f(0), f(1275), f(1.3)), 1657.5)


def test_planning_power_adds_the_reserve_to_the_ninetieth_percentile():
    np.testing.assert_allclose(planning_power(f(1000), f(1.1), f(0.1)), 1210)
