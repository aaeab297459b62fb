"""What a folder's tables say is what is planned with, and what cannot be meant is refused where it stands."""

import numpy as np
import pandas as pd
import pytest

from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.fleet import FleetProblem, coefficients
from clustermodel.fleet.build import tidy
from clustermodel.fleet.from_catalog import planned
from clustermodel.fleet.schema import SETTINGS
from clustermodel.fleet.sheet import read_sheet

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


TWICE = [
    ("systems", [{"system": "box", "price": 5.0}] * 2, "systems: row 1: system 'box' stands in row 0 already"),
    ("sites", [{"site": "home"}] * 2, "sites: row 1: site 'home' stands in row 0 already; keep one"),
    ("workloads", {"workload": "work", "must_serve": [1.0, 0.0]}, "workloads: row 1: workload 'work' stands"),
    ("throughput", {"system": "box", "workload": "work", "throughput": [1.0, 2.0]}, "system 'box', workload 'work'"),
    ("demand", {"workload": "work", "demand": [10.0, 5.0]}, "demand: row 1: workload 'work' stands in row 0"),
    ("prices", {"system": "box", "price": [10.0, 5.0], "period": "y0"}, "prices: row 1: system 'box', period 'y0'"),
    ("scenarios", {"scenario": "one", "probability": [0.5, 0.5]}, "scenarios: row 1: scenario 'one' stands"),
    ("contracts", {"system": "box", "site": "site", "kind": "reserved", "price": [1.0, 2.0], "most": [6.0, 10.0]},
     "contracts: row 1: system 'box', site 'site', kind 'reserved' is on offer in y0 by row 0 already; keep one"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rows", "words"), TWICE, ids=[name for name, *_ in TWICE])
def test_what_is_said_twice_is_refused_with_both_rows(name, rows, words):
    with pytest.raises(ConfigError) as caught:
        problem(tables=frames(**{name: rows}))
    assert words in str(caught.value)


def test_a_number_under_two_units_is_refused():
    twice = [{"workload": "work", "demand [token/s]": 10.0, "demand [ktoken/s]": 5.0}]
    with pytest.raises(
        ConfigError, match=r"demand: column demand stands there twice, as 'demand \[token/s\]' and"
    ):
        problem(tables=frames(demand=twice))


def test_demand_of_single_periods_and_sites_is_no_repetition():
    asked = {"workload": "work", "demand": [4.0, 6.0], "period": ["", "y1"]}
    assert problem(2, frames(demand=asked)).demand.work.ravel().tolist() == [4.0, 6.0]


def test_contracts_that_follow_each_other_keep_their_own_terms():
    """Two boxes for 1 USD/s: the first year due in full, the second only as far as used, for half of the demand."""
    rent = {
        "system": "box", "site": "cloud", "kind": "reserved", "price": 1.0, "take_or_pay": [1.0, 0.0],
        "from": ["y0", "y1"], "to": ["y0", "y1"], "least": 2.0,
    }  # fmt: skip
    plan = problem(
        2,
        frames(
            systems=[{"system": "box"}],
            sites=[{"site": "cloud", "rented": 1.0}],
            contracts=rent,
            demand=[{"workload": "work", "demand": 1.0}],
        ),
    ).solve()
    assert plan.problem.rental.take_or_pay.ravel().tolist() == [1.0, 0.0]
    assert plan.objective == pytest.approx(2 * YEAR + 1 * YEAR)
    assert plan.cash_flow["take_or_pay_usd"].tolist() == pytest.approx([2 * YEAR, 0.0])


def folder(tmp_path, **files):
    texts = {
        "systems.csv": "system,price [USD]\nbox,10\n",
        "workloads.csv": "workload,must_serve\nwork,1\n",
        "throughput.csv": "system,workload,throughput [token/s]\nbox,work,1\n",
        "demand.csv": "workload,demand [token/s]\nwork,4\n",
        "fleet.toml": 'periods = ["now"]\n'
        'period_length = { value = "1 year", source = "clustermodel", confidence = "published" }\n',
    }
    for name, text in (texts | {f"{name}.csv": text for name, text in files.items()}).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "workload,demand [token/s]\nwork,4,\n",
        "workload,demand [token/s],,\nwork,4,,\n",
        "\ufeffworkload, demand [token/s]\r\n\r\n work,4\r\n,\r\n",
    ],
)
def test_empty_cells_and_lines_of_a_spreadsheet_mean_nothing(tmp_path, text):
    assert FleetProblem.load(folder(tmp_path, demand=text)).demand.work.item() == 4.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workload,demand [token/s]\n\nwork,4,000\n", "demand.csv: line 3: 3 cells under 2 headers; quote"),
        ("workload,demand [token/s]\n\n\nwork,four\n", "demand: demand: row 4: expected a plain number"),
        ('workload,demand [token/s],note\nwork,4,"two\nlines"\nplay,5,\n', "workload 'play' is not known"),
        ("workload,demand,demand\nwork,4,5\n", "demand.csv: column 'demand' stands there twice; keep one"),
        ("", "it is empty; begin it with a line of headers"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_line(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        FleetProblem.load(folder(tmp_path, demand=text))
    assert words in str(caught.value)


def test_lines_are_those_of_the_file_whatever_is_blank_or_quoted_before(tmp_path):
    lines = read_sheet(folder(tmp_path, demand='workload,note\n\na,"two\nlines"\n\nb,\n') / "demand.csv")
    assert lines.index.tolist() == [3, 6]
    assert lines["note"].tolist() == ["two\nlines", ""]


def test_a_number_of_the_catalogue_set_anew_leaves_rows_from_elsewhere_alone(monkeypatch):
    """The serving model answers both pairs in token/s; one of them the table knows from elsewhere, in its own unit."""
    model = [
        ["box", "work", 5.0, 100.0, "clustermodel", "derived", ""],
        ["box", "play", 7.0, 100.0] + [""] * 3,
    ]
    monkeypatch.setattr(
        coefficients, "throughput_rows", lambda *_: pd.DataFrame(model, columns=coefficients.COLUMNS)
    )
    written = pd.DataFrame(
        {
            "system": "box", "workload": ["work", "play"], "throughput [ktoken/s]": ["2", "3"],
            "source": ["measured", "clustermodel"],
        }
    )  # fmt: skip
    asked = frames(workloads={"workload": ["work", "play"]}, demand=[{"workload": "work", "demand": 4.0}])
    tables = tidy(
        {**{key: rule.default for key, rule in SETTINGS.items()}, "periods": ["y"], "period_length": YEAR},
        asked,
    )
    table = coefficients.renewed(tables, load_catalog(), written)
    rate = problem(tables=asked | {"throughput": table}).service.rate[0, 0]
    assert rate.tolist() == [2000.0, 7.0]
