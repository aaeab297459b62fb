"""All limits hold at once, on what stands there and on what is busy."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.fleet import FleetProblem


def one_period(tables, **settings):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, **settings)


def boxes(constraints, contracts=(), **settings):
    """Ten units of work, each served by one box that draws 100 W idle and 1 kW busy; work left out costs most."""
    tables = {
        "systems": [{"system": "box", "price": 1.0, "idle_power": 100.0, "provisioned_power": 1200.0}],
        "sites": {"site": ["home", "cloud"], "rented": [0.0, 1.0]},
        "workloads": [{"workload": "work", "penalty": 1e6}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0, "power": 1000.0}],
        "demand": [{"workload": "work", "demand": 10.0}],
        "constraints": constraints,
        "contracts": contracts,
    }
    return one_period({k: v for k, v in tables.items() if len(v)}, whole_systems=False, **settings)


def power(value, **scope):
    return {"kind": "power", "value": value, "site": "", "system": "", "vendor": ""} | scope


@pytest.mark.parametrize("scope", [{"site": "home"}, {"site": "home", "system": "box"}, {"system": "box"}])
@pytest.mark.parametrize("first", ["3 kW", "8 kW"])
def test_of_several_limits_on_load_the_tightest_holds_whatever_their_order_and_scope(scope, first):
    second = {"3 kW": "8 kW", "8 kW": "3 kW"}[first]
    plan = boxes([power(first, site="home"), power(second, **scope)], power_basis="p90").solve()
    assert plan.dispatch["busy_systems"].sum() == pytest.approx(3.0)
    assert plan.power["draw_mw"].to_numpy() == pytest.approx(3e-3)
    assert plan.power["limit_mw"].min() == pytest.approx(3e-3)
    (binding,) = plan.shadow_prices.query("constraint == 'power' and value > 0").to_dict("records")
    tight = {"site": "home", "system": ""} if first == "3 kW" else {"site": "", "system": ""} | scope
    assert {name: binding[name] for name in tight} == tight
    assert binding["value"] == pytest.approx(1e6 - 1.0, rel=1e-6)  # USD/kW: a kW is a box, which costs 1 USD


@pytest.mark.parametrize("basis", ["provisioned", "p90"])
def test_power_of_systems_of_others_counts_against_no_limit(basis):
    rent = [{"system": "box", "site": "cloud", "kind": "on_demand", "price": 2.0}]
    plan = boxes([power("3 kW")], rent, power_basis=basis).solve()
    busy = plan.dispatch.set_index("site")["busy_systems"]
    owned = 3.0 if basis == "p90" else 2.5
    assert busy["home"] == pytest.approx(owned)
    assert busy["cloud"] == pytest.approx(10 - owned)
    assert np.max(plan.power["draw_mw"]) == pytest.approx(3e-3)
