"""What is rented and stands in one's own hall draws there; what stands with others does not."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.fleet import FleetProblem

METHODS = ("highs", "benders")
IDLE, FULL, PLANNED, PUE = 100.0, 1000.0, 1200.0, 1.25


def problem(contracts, power="6 kW", **settings):
    """Ten units of work, one a box (100 W idle, 1 kW busy, planned with 1.2 kW), in a hall of 6 kW, PUE 1.25."""
    tables = {
        "systems": [{"system": "box", "idle_power": IDLE, "provisioned_power": PLANNED}],
        "sites": {"site": ["hall", "cloud"], "rented": [0.0, 1.0], "pue": PUE, "electricity": [1e-3, 0.0]},
        "workloads": [{"workload": "work", "penalty": 1e6}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0, "power": FULL}],
        "demand": [{"workload": "work", "demand": 10.0}],
        "constraints": [{"kind": "power", "value": power, "site": "hall"}],
        "contracts": [{"system": "box", "site": "hall", "price": 1.0} | row for row in contracts],
    }
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, **settings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["reserved", "on_demand"])
@pytest.mark.parametrize(("basis", "each"), [("provisioned", PLANNED), ("p90", PUE * FULL)])
def test_rented_systems_in_ones_own_hall_take_their_power_from_its_limit(kind, basis, each, method):
    plan = problem([{"kind": kind}], power_basis=basis).solve(method=method, gap=1e-7)
    assert plan.dispatch["busy_systems"].sum() == pytest.approx(6000 / each)
    assert plan.power["draw_mw"].tolist() == pytest.approx([6e-3])


@pytest.mark.parametrize("kind", ["reserved", "on_demand"])
@pytest.mark.parametrize(("basis", "each"), [("provisioned", 0.0), ("p90", PUE * (FULL - IDLE))])
def test_capacity_booked_under_a_site_but_standing_elsewhere_draws_no_more_than_its_load(kind, basis, each):
    plan = problem([{"kind": kind, "hosted": 0.0}], power_basis=basis).solve()
    assert plan.dispatch["busy_systems"].sum() == pytest.approx(min(10.0, 6000 / each if each else np.inf))


@pytest.mark.parametrize("kind", ["reserved", "on_demand"])
def test_what_stands_with_others_needs_none_of_the_hall(kind):
    plan = problem([{"kind": kind, "site": "cloud"}], "0 kW").solve()
    assert plan.dispatch["busy_systems"].sum() == pytest.approx(10.0)
    assert plan.power["draw_mw"].tolist() == [0.0]


@pytest.mark.parametrize("kind", ["reserved", "on_demand"])
def test_who_hosts_pays_all_the_energy(kind):
    """1000 W x 1.25 at 1e-3 USD/J for a second, beside the rent of 1 USD, whether rented ahead or on demand."""
    plan = problem([{"kind": kind}], "1 MW").solve()
    assert plan.objective == pytest.approx(10 * (1 + FULL * PUE * 1e-3))
    assert plan.cash_flow["present_usd"].sum() == pytest.approx(plan.objective)
    assert plan.to_frame()["energy_mwh"].sum() == pytest.approx(10 * FULL * PUE / 3.6e9)


def test_reserved_systems_that_stand_idle_draw_as_owned_ones_do():
    """Eight are signed for a hall of 9.6 kW: as planned they fill it, whatever work there is."""
    plan = problem([{"kind": "reserved", "least": 8.0}], "9.6 kW").solve()
    assert plan.dispatch["busy_systems"].sum() == pytest.approx(8.0)
    (price,) = plan.shadow_prices.query("constraint == 'power' and value > 0").to_dict("records")
    assert price["value"] == pytest.approx((1e6 - 1 - FULL * PUE * 1e-3) / 1.2, rel=1e-6)  # USD/kW


def test_a_contract_at_a_site_makes_nothing_for_sale_there():
    """Boxes may stand in the hall only; that others rent some out in the annex sells none there."""
    frames = {
        "systems": [{"system": "box", "site": "hall", "price": 1.0}],
        "sites": {"site": ["hall", "annex"]},
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 10.0}],
        "constraints": [{"kind": "systems", "value": "4", "site": "hall"}],
        "contracts": [{"system": "box", "site": "annex", "kind": "reserved", "price": 5.0}],
    }
    tables = {name: pd.DataFrame(rows) for name, rows in frames.items()}
    plan = FleetProblem.from_frames(tables, periods=["now"], period_length=1.0).solve()
    assert plan.objective == pytest.approx(4 * 1 + 6 * 5)
