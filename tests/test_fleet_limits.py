"""All limits hold at once, on what stands there and on what is busy."""

import re

import numpy as np
import pandas as pd
import pytest

from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.fleet import FleetProblem
from clustermodel.fleet.change import scaled
from clustermodel.fleet.cures import round_up


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


def must_do(constraints, amount=4.0, whole=True, **more):
    """Boxes for 1000 USD that serve one unit each and draw 1 kW; everything has to be served."""
    tables = {
        "systems": [{"system": "box", "price": 1000.0, "provisioned_power": 1000.0}],
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": amount}],
        "constraints": [{"period": "total"} | row for row in constraints],
    } | more
    return one_period({name: rows for name, rows in tables.items() if len(rows)}, whole_systems=whole)


def cure_of(problem):
    with pytest.raises(InfeasibleError) as caught:
        problem.solve()
    return str(caught.value)


ROWS = [
    ({"kind": "supply", "value": "3"}, "supply raised by 33.4 % throughout (to 4 systems)"),
    ({"kind": "budget", "value": "3 kUSD"}, "budget raised by 33.4 % throughout (--budget '4000 USD')"),
    ({"kind": "budget", "value": "3999 USD"}, "budget raised by 0.0251 % throughout (--budget '4000 USD')"),
    ({"kind": "power", "value": "3 kW", "period": "each"}, "power raised by 33.4 % throughout (--power '4 kW')"),
    ({"kind": "power", "value": "3 kW", "period": "each", "site": "site"}, "raised by 33.4 % throughout (to 4 kW)"),
    ({"kind": "power", "value": "0 kW", "period": "each", "site": "site"}, "power raised to 4 kW throughout"),
    ({"kind": "budget", "value": "0 USD"}, "budget raised to 4000 USD throughout"),
]  # fmt: skip


@pytest.mark.parametrize("demand", [4.0, 3.5])
@pytest.mark.parametrize(("row", "words"), ROWS, ids=[words for _, words in ROWS])
def test_a_cure_says_the_least_that_does_with_whole_systems_rounded_so_that_it_does(row, words, demand):
    text = cure_of(must_do([row], demand))
    assert words in text
    kind = row["kind"]
    more = float(re.search(r"raised by ([\d.]+) %", text)[1]) / 100 if " by " in words else None
    if more is not None:
        assert scaled(must_do([row], demand), kind, 1 + more).solve().purchases["systems"].sum() == 4
    less = float(re.search(r"must_serve lowered by ([\d.]+) % throughout", text)[1]) / 100
    served = must_do([row], demand, workloads=[{"workload": "work", "must_serve": 1 - less}])
    assert served.solve().purchases["systems"].sum() <= 3


def test_a_minimum_is_lowered_to_what_the_budget_buys():
    rows = [{"kind": "budget", "value": "4500 USD"}, {"kind": "purchases", "value": "6"}]
    text = cure_of(must_do(rows, amount=1.0))
    assert "purchases lowered by 33.4 % throughout (to 4 systems)" in text
    assert "budget raised by 33.4 % throughout (--budget '6000 USD')" in text


def test_what_only_whole_systems_make_impossible_has_a_cure_too():
    """3.5 boxes would do and 3.51 can be had, but only 3 of them or 4 are whole."""
    text = cure_of(must_do([{"kind": "supply", "value": "3.51"}], amount=3.5))
    assert "with whole systems, though one with fractions does (--relaxed)" in text
    assert "supply raised by 14 % throughout (to 4 systems)" in text


def test_a_conflict_in_a_scenario_that_asks_for_little_is_found():
    """Nine futures ask for a lot that can be had, one for a little of what cannot."""
    names = [f"s{i}" for i in range(10)]
    demand = {
        "workload": ["many"] * 9 + ["few"], "scenario": names, "demand": [*range(50, 59), 10.0],
    }  # fmt: skip
    text = cure_of(
        must_do(
            [{"kind": "supply", "value": "5", "system": "rare"}],
            whole=False,
            systems={"system": ["box", "rare"], "price": [1000.0, 1.0]},
            workloads={"workload": ["many", "few"], "must_serve": 1.0},
            throughput={"system": ["box", "rare"], "workload": ["many", "few"], "throughput": 1.0},
            demand=demand,
            scenarios={"scenario": names, "probability": 0.1},
        )
    )
    assert "supply rare all (5 systems), must_serve of few (100 %) contradict each other" in text
    assert "supply raised by 100 % throughout (to 10 systems)" in text


def test_a_system_that_nobody_can_have_is_named():
    text = cure_of(must_do([], systems=[{"system": "box"}]))
    assert "box cannot be had at all: write a price, a contract or systems already in service" in text


def test_a_last_order_before_the_first_is_refused():
    row = {"system": "box", "price": 1.0, "available_from": "y1", "last_order": "y0"}
    frames = {
        "systems": [row],
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 1.0}],
    }
    tables = {name: pd.DataFrame(rows) for name, rows in frames.items()}
    with pytest.raises(
        ConfigError, match="row 0: box is available from y1, after its last order in y0; exchange"
    ):
        FleetProblem.from_frames(tables, periods=["y0", "y1"], period_length=1.0)


@pytest.mark.parametrize(
    ("value", "digits", "up"), [(33.3333, 3, 33.4), (25.00000001, 3, 25.0), (0.0250062, 3, 0.0251), (-1.2345, 3, -1.23)]
)  # fmt: skip
def test_numbers_round_up_to_what_does(value, digits, up):
    assert round_up(value, digits) == pytest.approx(up, rel=1e-12)


def test_the_power_table_has_its_periods_in_order_whatever_the_limits():
    tables = {
        "systems": [{"system": "box", "price": 1.0, "provisioned_power": 1000.0}],
        "workloads": [{"workload": "work", "penalty": 10.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 2.0}],
        "constraints": {"kind": "power", "period": ["y0", "y1"], "value": ["0 kW", "5 kW"]},
    }
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    plan = FleetProblem.from_frames(frames, periods=["y0", "y1"], period_length=1.0).solve()
    assert plan.power[["period", "draw_mw"]].to_numpy().tolist() == [["y0", 0.0], ["y1", 2e-3]]
