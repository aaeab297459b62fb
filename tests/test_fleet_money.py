"""Maintenance, resale, rent and served work count when and as often as the columns say."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.fleet import FleetProblem
from clustermodel.units import SECONDS_PER_YEAR

PER_YEAR = 1 / SECONDS_PER_YEAR


def years(count, settings=(), **tables):
    base = {
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 1.0}],
    }
    frames = {name: pd.DataFrame(rows) for name, rows in (base | tables).items()}
    periods = [f"y{t}" for t in range(count)]
    return FleetProblem.from_frames(frames, periods=periods, period_length=SECONDS_PER_YEAR, **dict(settings))


def asked(*amounts):
    return {"workload": "work", "period": [f"y{t}" for t in range(len(amounts))], "demand": amounts}


BOX = {"system": "box", "price": 1000.0, "maintenance": 0.1 * PER_YEAR}


def test_maintenance_is_a_share_of_the_price_paid_while_new_systems_get_cheaper():
    """One box for 1000 USD, another next year for 500: maintenance of 3 x 100 and 2 x 50 USD."""
    plan = years(3, systems=[BOX | {"price_change": -0.5 * PER_YEAR}], demand=asked(1.0, 2.0, 2.0)).solve()
    assert plan.objective == pytest.approx(1000 + 500 + 3 * 100 + 2 * 50)
    assert plan.cash_flow["standing_usd"].tolist() == pytest.approx([100, 150, 150])
    assert plan.cash_flow["present_usd"].sum() == pytest.approx(plan.objective)


def test_maintenance_goes_on_when_the_system_is_no_longer_sold():
    tables = {"systems": [{"system": "box", "maintenance": 0.1 * PER_YEAR}]}
    plan = years(3, **tables, prices=[{"system": "box", "period": "y0", "price": 1000.0}]).solve()
    assert plan.objective == pytest.approx(1000 + 3 * 100)


def test_a_system_retired_early_saves_the_maintenance_of_its_own_price():
    """Needed for two years of three: 1000 USD and 2 x 100 of maintenance; the sale at half of its life returns half."""
    box = BOX | {
        "price_change": 1.0 * PER_YEAR,
        "life": 4 * SECONDS_PER_YEAR,
        "resale": 1.0,
    }  # a price that doubles
    plan = years(3, {"early_retirement": True}, systems=[box], demand=asked(1.0, 1.0, 0.0)).solve()
    assert plan.objective == pytest.approx(1000 + 2 * 100 - 500)
    assert plan.cash_flow["present_usd"].sum() == pytest.approx(plan.objective)


def test_maintenance_of_legacy_systems_is_a_share_of_the_first_price_known():
    """Two stand there, none is needed: switched off they save 2 x 100 USD a year, whatever boxes cost later."""
    plan = years(
        2,
        {"early_retirement": True},
        systems=[BOX | {"price_change": -0.5 * PER_YEAR}],
        sites=[{"site": "home"}],
        legacy=[{"system": "box", "site": "home", "systems": 2.0}],
        demand=asked(0.0, 0.0),
    ).solve()
    assert plan.objective == pytest.approx(0.0, abs=1e-9)
    assert plan.cash_flow["standing_usd"].tolist() == pytest.approx([0.0, 0.0])


def test_what_is_left_at_the_horizon_is_credited_at_its_end():
    """Half of a life of two years is left after one: 0.5 x 1000 / 2, a year away at 25 %; a building all but lasts."""
    box = {
        "system": "box",
        "price": 1000.0,
        "life": 2 * SECONDS_PER_YEAR,
        "resale": 0.5,
        "provisioned_power": 10.0,
    }
    site = {"site": "home", "building": 8.0, "building_life": 4 * SECONDS_PER_YEAR}
    plan = years(1, {"discount_rate": 0.25 * PER_YEAR}, systems=[box], sites=[site]).solve()
    assert plan.objective == pytest.approx(1000 + 80 - (250 + 80 * 3 / 4) / 1.25)
    flow = plan.cash_flow.iloc[0]
    assert flow["resale_usd"] == pytest.approx(-310)
    assert flow["present_usd"] == pytest.approx(plan.objective)


def test_holding_over_several_periods_is_discounted_over_all_of_them():
    """Ordered a year ahead of need, in service for two of four years when three are planned."""
    box = {"system": "box", "price": 1000.0, "resale": 0.5} | {
        "life": 4 * SECONDS_PER_YEAR, "lead_time": SECONDS_PER_YEAR,
    }  # fmt: skip
    plan = years(3, {"discount_rate": 0.25 * PER_YEAR}, systems=[box], demand=asked(0.0, 1.0, 1.0)).solve()
    assert plan.objective == pytest.approx(1000 - 250 / 1.25**3)


def test_served_work_counts_one_a_unit_whatever_it_earns():
    """Five boxes serve 5 units of either kind; each is worth its work, also where nothing is paid for it."""
    tables = {
        "systems": [{"system": "box", "price": 1000.0}],
        "workloads": {"workload": ["paid", "free"], "revenue": [1e-3, 0.0]},
        "throughput": {"system": "box", "workload": ["paid", "free"], "throughput": [1.0, 2.0]},
        "demand": {"workload": ["paid", "free"], "demand": [10.0, 6.0]},
        "constraints": [{"kind": "budget", "value": "5000 USD"}],
    }
    plan = years(1, {"objective": "served"}, **tables).solve()
    served = plan.statistics("workload").set_index("workload")["served"] / SECONDS_PER_YEAR
    assert served.to_dict() == pytest.approx(
        {"paid": 2.0, "free": 6.0}
    )  # 3 boxes on the faster work, 2 on the other
    assert plan.unit == "token"
    assert -plan.objective == pytest.approx(8 * SECONDS_PER_YEAR)
    (price,) = plan.shadow_prices.query("constraint == 'budget'").to_dict("records")
    assert (price["unit"], price["value"]) == ("token/USD", pytest.approx(SECONDS_PER_YEAR / 1000))


def test_an_offer_without_an_end_is_enough_where_factors_multiply():
    """Ten times ten times the demand of 10 at one box each: 1000 boxes for a USD an hour."""
    problem = years(
        1,
        systems=[{"system": "box"}],
        sites=[{"site": "cloud", "rented": 1.0}],
        demand=[{"workload": "work", "demand": 10.0}],
        contracts=[{"system": "box", "site": "cloud", "kind": "on_demand", "price": 1 / 3600}],
        scenarios=[{"scenario": "rush", "probability": 1.0}],
        factors={"scenario": "rush", "workload": ["", "work"], "factor": 10.0},
    )
    plan = problem.solve()
    assert plan.objective == pytest.approx(1000 * SECONDS_PER_YEAR / 3600)
    assert np.all(np.isfinite(problem.rental.on_demand_most))
