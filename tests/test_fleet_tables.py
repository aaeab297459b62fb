"""What a folder's tables say is what is planned with, and what cannot be meant is refused where it stands."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.catalog import load_catalog
from clustermodel.fleet import FleetProblem
from clustermodel.fleet.from_catalog import planned

YEAR = 365 * 86400.0


def frames(**tables):
    base = {
        "systems": [{"system": "box", "price": 10.0}],
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 4.0}],
    }
    return {name: pd.DataFrame(rows) for name, rows in (base | tables).items()}


def problem(count=1, tables=None, **settings):
    periods = [f"y{t}" for t in range(count)]
    return FleetProblem.from_frames(tables or frames(), periods=periods, period_length=YEAR, **settings)


def catalogued(**sites):
    systems = [
        {"system": "box", "catalog": "hgx-h200", "maintenance": 0.0, "idle_power": np.nan, "life": np.inf}
    ]
    return problem(tables=frames(systems=systems, sites=[{"site": "home", "catalog": "us-texas"} | sites]))


def test_numbers_that_a_table_writes_stay_even_where_they_are_the_usual_ones():
    """The catalogue knows power prices, PUE and buildings of Texas; a table may say that they are 0, 1 and 0."""
    written = catalogued(electricity=0.0, pue=1.0, building=0.0)
    assert written.assets.standing_cost == pytest.approx(0.0)  # energy at 0 USD, maintenance written as 0
    assert written.assets.building == pytest.approx(0.0)
    filled = catalogued()
    idle = 8 * float(load_catalog().entry("systems", "hgx-h200").spec.accelerator.idle_power)
    assert written.assets.standing_power.item() >= idle > 0  # PUE 1; idle power left to the catalogue
    assert filled.assets.standing_power == pytest.approx(1.2 * written.assets.standing_power)
    assert filled.assets.building.min() > 0
    assert written.assets.life.item() > 1e5  # written as unlimited, though the catalogue says four years


def test_planning_power_has_the_overhead_of_the_site_where_the_system_stands():
    catalog = load_catalog()
    system = catalog.entry("systems", "a100-pcie").spec
    names = ["india-visakhapatnam", "nordics"]
    found = problem(
        tables=frames(
            systems=[{"system": "box", "catalog": "a100-pcie"}],
            sites={"site": ["hot", "cold"], "catalog": names},
        )
    )
    for draw, name in zip(found.assets.standing_draw, names, strict=True):
        assert draw == pytest.approx(planned(system, float(catalog.entry("sites", name).spec.pue)))
    hot, cold = found.assets.standing_draw
    assert hot / cold == pytest.approx(
        1.35 / 1.1
    )  # nobody has published it, so the limit of its inlet times PUE
