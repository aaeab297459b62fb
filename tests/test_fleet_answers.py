"""Problems whose answers are known on paper or published."""

import dataclasses

import equinox as eqx
import numpy as np
import pandas as pd
import pytest

from clustermodel.fleet import FleetProblem


def policy(problem, **changes):
    return eqx.tree_at(lambda p: p.policy, problem, dataclasses.replace(problem.policy, **changes))


def one_period(tables, **settings):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, **settings)


def newsvendor(omega):
    """One purchase at 3.05 before a demand of 1 to 100 is known; each unit short costs 10."""
    demand = np.arange(1.0, 101.0)
    names = [f"d{int(d)}" for d in demand]
    return one_period(
        {
            "systems": [{"system": "unit", "price": 3.05, "life": 1.0}],
            "workloads": [{"workload": "sales", "penalty": 10.0}],
            "throughput": [{"system": "unit", "workload": "sales", "throughput": 1.0}],
            "demand": {"workload": "sales", "scenario": names, "demand": demand},
            "scenarios": {"scenario": names, "probability": np.full(100, 0.01)},
        },
        omega=omega,
        alpha=0.9,
    )


@pytest.mark.parametrize(
    ("omega", "units", "cost"), [(0.0, 70, 260.00), (1.0, 97, 301.85), (0.3, 92, 293.92)]
)
@pytest.mark.parametrize("method", ["highs", "benders"])
def test_newsvendor_orders_the_quantile_of_its_risk_measure(omega, units, cost, method):
    plan = newsvendor(omega).solve(method=method, gap=1e-9)
    assert plan.purchases["systems"].tolist() == [units]
    assert plan.objective == pytest.approx(cost, rel=1e-9)
    assert plan.lower_bound <= plan.objective <= plan.lower_bound * (1 + 1e-8)


def test_continuous_routing_of_melange_costs_4_68_with_one_of_each():
    problem = FleetProblem.load("melange")
    plan = problem.solve()
    assert plan.objective == pytest.approx(4.68, abs=1e-6)  # a knife-edge: capacity is exactly one A10G
    assert dict(zip(plan.reservations["system"], plan.reservations["systems"], strict=True)) == {
        "a10g": 1,
        "a100-80gb": 1,
    }
    assert plan.unit == "USD/h"


def test_relaxation_of_melange_costs_4_12875():
    relaxed = policy(FleetProblem.load("melange"), whole_reservations=False, whole_systems=False)
    assert relaxed.solve().objective == pytest.approx(4.12875, abs=1e-9)


@pytest.mark.parametrize(("only", "cost"), [("a10g", 12.12), ("a100-80gb", 7.34)])
def test_melange_with_one_kind_of_accelerator(only, cost):
    problem = FleetProblem.load("melange")
    offered = np.array([[np.inf if system == only else 0.0 for system in problem.assets.systems]])
    plan = eqx.tree_at(lambda p: p.rental.most, problem, offered).solve()
    assert plan.objective == pytest.approx(cost, abs=1e-6)


def ten_billion(budget, gb200_supply=None):
    """Most performance under $10B and 500 MW: GB200 69,667 USD all-in, 2.1 kW, 6.27; H200 46,908, 1.73 kW, 1."""
    constraints = [{"kind": "budget", "value": budget}, {"kind": "power", "value": "500 MW", "site": "site"}]
    if gb200_supply:
        constraints.append({"kind": "supply", "value": str(gb200_supply), "system": "gb200"})
    return one_period(
        {
            "systems": {
                "system": ["gb200", "h200"],
                "price": [69667.0, 46908.0],
                "provisioned_power": [2100.0, 1730.0],
            },
            "workloads": [{"workload": "inference"}],
            "throughput": {
                "system": ["gb200", "h200"], "workload": "inference", "throughput": [6.27, 1.0],
            },
            "demand": [{"workload": "inference", "demand": 1e8}],
            "constraints": constraints,
        },
        objective="served",
        whole_systems=False,
    )  # fmt: skip


def shadow(plan, constraint):
    rows = plan.shadow_prices
    return rows.loc[rows["constraint"] == constraint, "value"].sum()


@pytest.mark.parametrize(
    ("budget", "supply", "gb200", "h200", "megawatts", "spent", "per_dollar", "per_kw", "per_system"),
    [
        ("10 GUSD", None, 143540, 0, 301.434, 10.0e9, 9.0e-5, 0.0, 0.0),
        ("20 GUSD", None, 238095, 0, 500.0, 16.587e9, 0.0, 2.9857, 0.0),
        ("10 GUSD", 80000, 80000, 94370, 331.258, 10.0e9, 2.1318e-5, 0.0, 4.7848),
        ("20 GUSD", 80000, 80000, 191908, 500.0, 14.575e9, 0.0, 0.57803, 5.0561),
    ],
)  # fmt: skip
def test_ten_billion_dollars_and_500_megawatts(
    budget, supply, gb200, h200, megawatts, spent, per_dollar, per_kw, per_system
):
    plan = ten_billion(budget, supply).solve()
    bought = plan.purchases.groupby("system")["systems"].sum()
    close = lambda value: pytest.approx(value, rel=1e-4)  # the published question asks for this much
    assert bought["gb200"] == close(gb200)
    assert bought.get("h200", 0.0) == close(h200)
    assert plan.power["draw_mw"].sum() == close(megawatts)
    assert plan.purchases["spend_usd"].sum() == close(spent)
    assert shadow(plan, "budget") == close(per_dollar)
    assert shadow(plan, "power") == close(per_kw)
    assert shadow(plan, "supply") == close(per_system)
    assert -plan.objective == close(6.27 * gb200 + h200)


@pytest.mark.parametrize(("utilisation", "owns"), [(0.30, False), (0.45, True)])
def test_owning_beats_renting_above_the_break_even_utilisation(utilisation, owns):
    """Own for 4 USD a period or rent for 10 USD a busy period: break-even at 40 % of the time."""
    problem = one_period(
        {
            "systems": [{"system": "box", "price": 4.0, "life": 1.0}],
            "sites": {"site": ["home", "cloud"], "rented": [0.0, 1.0]},
            "workloads": [{"workload": "work", "must_serve": 1.0}],
            "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
            "contracts": [{"system": "box", "site": "cloud", "kind": "on_demand", "price": 10.0}],
            "demand": {"workload": "work", "block": ["busy", "idle"], "demand": [1.0, 0.0]},
        },
        blocks=[{"name": "busy", "share": utilisation}, {"name": "idle", "share": 1 - utilisation}],
        whole_systems=False,
    )
    plan = problem.solve()
    assert plan.purchases["systems"].sum() == pytest.approx(1.0 if owns else 0.0, abs=1e-9)
    assert plan.objective == pytest.approx(min(4.0, 10 * utilisation), rel=1e-9)


def test_reservation_stops_where_the_chance_of_using_it_meets_its_price():
    """Reserve while P(D > q) >= top / (odm - 1 + top): here 0.7 / 1.5 = 0.4667 of demands 1 to 100, q = 54."""
    demand = np.arange(1.0, 101.0)
    names = [f"d{int(d)}" for d in demand]
    contracts = [
        {"system": "box", "site": "site", "kind": "reserved", "price": 1.0, "take_or_pay": 0.7},
        {"system": "box", "site": "site", "kind": "on_demand", "price": 1.8, "take_or_pay": 1.0},
    ]
    problem = one_period(
        {
            "systems": [{"system": "box"}],
            "workloads": [{"workload": "work", "must_serve": 1.0}],
            "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
            "contracts": contracts,
            "demand": {"workload": "work", "scenario": names, "demand": demand},
            "scenarios": {"scenario": names, "probability": np.full(100, 0.01)},
        }
    )
    plan = problem.solve(method="highs")
    assert plan.reservations["systems"].tolist() == pytest.approx([54.0])
