"""Small plans that can be worked out by hand, in the corners where solvers and bookkeeping part."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.catalog import ConfigError
from clustermodel.fleet import FleetProblem
from clustermodel.fleet.highs import Status, highs_model, run, run_from
from clustermodel.fleet.monolith import monolith
from clustermodel.units import SECONDS_PER_YEAR

METHODS = ("highs", "benders")
PER_YEAR = 1 / SECONDS_PER_YEAR


def problem(tables, count=1, length=1.0, **settings):
    base = {
        "systems": [{"system": "box", "price": 10.0}],
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 4.0}],
    }
    frames = {name: pd.DataFrame(rows) for name, rows in (base | tables).items()}
    periods = [f"y{t}" for t in range(count)]
    return FleetProblem.from_frames(frames, periods=periods, period_length=length, **settings)


def levels(*work):
    names = [f"s{i}" for i in range(len(work))]
    return {
        "demand": {"workload": "work", "scenario": names, "demand": list(work)},
        "scenarios": {"scenario": names, "probability": 1 / len(work)},
    }


def cloud(*offers):
    rows = [{"system": "box", "site": "cloud"} | offer for offer in offers]
    return {
        "systems": [{"system": "box"}],
        "sites": [{"site": "cloud", "rented": 1.0}],
        "contracts": pd.DataFrame(rows),
    }


DEAR = {"kind": "reserved", "price": 3.0, "take_or_pay": 0.0, "least": 2.0, "most": 100.0}
SPOT = {"kind": "on_demand", "price": 1.0, "take_or_pay": 0.0, "least": 0.0, "most": 3.0}


@pytest.mark.parametrize("method", METHODS)
def test_rent_on_demand_comes_first_where_it_costs_less_to_use_than_a_reservation(method):
    plan = problem(cloud(DEAR, SPOT)).solve(method=method)
    assert plan.objective == pytest.approx(3 * 1 + 1 * 3)
    assert plan.gap <= 1e-4
    assert plan.cash_flow["present_usd"].sum() == pytest.approx(plan.objective)


def test_of_reservations_that_cost_nothing_unused_no_more_are_made_than_are_used():
    """Two are signed, four are used in the larger future; a hundred are on offer for nothing until used."""
    plan = problem(cloud(DEAR) | levels(1.0, 4.0)).solve()
    assert plan.reservations["systems"].tolist() == pytest.approx([4.0])
    assert plan.objective == pytest.approx(3 * 2.5)
    less = problem(cloud(DEAR) | levels(0.5, 1.0)).solve()
    assert less.reservations["systems"].tolist() == pytest.approx([2.0])


@pytest.mark.parametrize("method", METHODS)
def test_the_cost_of_what_stands_there_is_part_of_the_cost_of_a_plan(method):
    """Four boxes are kept for two years: 1 % of 10 USD a year each for maintenance, 5 USD of energy each."""
    box = {"system": "box", "price": 10.0, "maintenance": 0.01 * PER_YEAR, "idle_power": 1.0}
    tables = {
        "systems": [box],
        "sites": [{"site": "home", "electricity": 5.0 * PER_YEAR}],
        "legacy": [{"system": "box", "site": "home", "systems": 4.0}],
    }
    made = problem(tables, 2, SECONDS_PER_YEAR, discount_rate=0.25 * PER_YEAR)
    plan = made.solve(method=method)
    assert plan.objective == pytest.approx(4 * 5.1 * (1 + 1 / 1.25))
    assert plan.cash_flow["present_usd"].sum() == pytest.approx(plan.objective)
    assert plan.gap == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("demand", [4.0, 0.0])
def test_nothing_to_buy_is_a_plan(demand, method):
    tables = {"demand": [{"workload": "work", "demand": demand}]}
    owned = {"sites": [{"site": "home"}], "legacy": [{"system": "box", "site": "home", "systems": 4.0}]}
    plan = problem(tables | owned).solve(method=method)
    assert plan.objective == pytest.approx(0.0, abs=1e-9)
    assert plan.purchases.empty
    assert not plan.shadow_prices.isna().any().any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("whole", [False, True])
def test_as_much_as_possible_is_served_whatever_the_numbers_of_work(whole, method):
    """A budget of 35 USD buys 3 boxes, or 3.5; a period lasts two years, so work is counted in 1e12."""
    tables = {
        "workloads": [{"workload": "work"}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1e4}],
        "demand": [{"workload": "work", "demand": 7e4}],
        "constraints": [{"kind": "budget", "value": "35 USD", "period": "total"}],
    }
    made = problem(tables, 1, 2 * SECONDS_PER_YEAR, objective="served", whole_systems=whole)
    plan = made.solve(method=method, gap=1e-7)
    assert -plan.objective == pytest.approx((3 if whole else 3.5) * 1e4 * 2 * SECONDS_PER_YEAR, rel=1e-6)


def test_a_gap_counts_the_revenue_at_stake():
    """All can be served at a loss of nothing: the best value is the revenue, the cost left over is 0."""
    tables = {
        "workloads": [{"workload": "work", "revenue": 10.0}],
        "systems": [{"system": "box", "price": 0.0}],
    }
    plan = problem(tables, objective="npv").solve(method="benders", seconds=5.0)
    assert plan.solution.status is Status.OPTIMAL
    assert plan.objective == pytest.approx(-40.0)


def test_a_start_that_is_handed_back_as_the_best_is_not_believed(monkeypatch):
    """HiGHS has returned the point it was told about together with the objective of a better one."""
    program = monolith(problem({}).solve().program, whole=True)
    best = run(highs_model(program))
    told, runs = np.where(program.integer, 7.0, best.x), []

    def misstated(model, stop=None):
        runs.append(stop)
        answer = run(model, stop)
        return type(answer)(**(vars(answer) | {"x": told})) if len(runs) == 1 else answer

    monkeypatch.setattr("clustermodel.fleet.highs.run", misstated)
    answer = run_from(highs_model(program), told, None)
    assert len(runs) == 2
    np.testing.assert_allclose(answer.x, best.x)


def test_a_system_in_the_hall_without_planning_power_is_refused_under_a_limit_on_power():
    tables = {"constraints": [{"kind": "power", "value": "1 kW"}]}
    with pytest.raises(
        ConfigError, match="systems: box draws nothing that the limit on power counts; write its prov"
    ):
        problem(tables)
    known = {"throughput": [{"system": "box", "workload": "work", "throughput": 1.0, "power": 100.0}]}
    assert problem(tables | known, power_basis="p90").solve().objective == pytest.approx(40.0)
