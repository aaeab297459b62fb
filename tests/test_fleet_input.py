"""Bad folders say what is wrong and where; impossible problems say which limits clash and what would do."""

import dataclasses
import re
import shutil
import signal

import equinox as eqx
import numpy as np
import pandas as pd
import pytest
from fleet_instances import OPTIMA, instance
from typer.testing import CliRunner

from clustermodel.catalog import CONFIGS, ConfigError, InfeasibleError
from clustermodel.cli.main import app
from clustermodel.fleet import FleetProblem, Limit
from clustermodel.fleet.change import scaled


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(CONFIGS / "fleets" / "melange", tmp_path / "mine")


def edited(folder, name, old, new):
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


EDITS = [
    ("demand.csv", "out,6,", "out,-6,", ["demand: demand: row 2: '-6' is not between 0 and inf"]),
    ("demand.csv", "out,6,", "out,six,", ["demand: demand: row 2: expected a plain number, got 'six'"]),
    ("demand.csv", "[request/s]", "[token/s]", ["demand: demand: [token/s] is no unit of request/s"]),
    ("demand.csv", "demand [", "demnd [", ["demand: column 'demnd' is none of", "did you mean demand?"]),
    ("throughput.csv", "a10g,short-in-short-out", "a10h,short-in-short-out", ["system 'a10h' is not known; did"]),
    ("throughput.csv", "out,2,", "out,2 GB,", ["throughput: throughput: row 2"]),
    ("contracts.csv", "cloud,reserved,1.01", "cloud,leased,1.01", ["contracts: kind 'leased' is neither"]),
    ("fleet.toml", 'periods = ["hour"]', "periods = []", ["fleet.toml: periods: expected the names of the periods"]),
    ("fleet.toml", 'periods = ["hour"]', 'periods = ["a", "a"]', ["each once"]),
    ("fleet.toml", 'value = "1 h"', 'value = "1 kg"', ["fleet.toml: period_length: expected a quantity in 's'"]),
    ("fleet.toml", 'objective = "cost"', 'objective = "joy"', ["fleet.toml: objective: 'joy' is none of cost"]),
    ("fleet.toml", 'objective = "cost"', "omega = 2", ["omega must be in [0, 1]"]),
    ("fleet.toml", 'objective = "cost"', 'omega = "much"', ["fleet.toml: omega: expected a number"]),
    ("fleet.toml", 'objective = "cost"', "objectiv = 1", ["fleet.toml: objectiv: not a setting; did you mean"]),
    ("fleet.toml", 'objective = "cost"', 'blocks = ["day"]', ["fleet.toml: blocks[0]: expected name, share and load"]),
    ("workloads.toml", "[long-in-long-out]", "[surprise]", ["workload 'long-in-long-out' is not known"]),
    ("workloads.toml", "value = 1,", "value = 1.5,", ["workloads: must_serve", "is not between 0 and 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), EDITS, ids=[f"{e[0]}:{e[2]}" for e in EDITS])
def test_a_mistake_in_a_folder_is_a_sentence_with_file_and_field(folder, name, old, new, words):
    edited(folder, name, old, new)
    with pytest.raises(ConfigError) as caught:
        FleetProblem.load(folder)
    for each in words:
        assert each in str(caught.value)


def test_a_workload_without_a_system_is_named(folder):
    rows = (folder / "throughput.csv").read_text().splitlines()
    (folder / "throughput.csv").write_text("\n".join(r for r in rows if "long-in-long-out" not in r) + "\n")
    with pytest.raises(ConfigError, match="throughput: no system can serve workload long-in-long-out"):
        FleetProblem.load(folder)


@pytest.mark.parametrize("name", ["demand.csv", "workloads.toml", "systems.toml"])
def test_a_missing_table_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"{name.partition('.')[0]}.csv: missing"):
        FleetProblem.load(folder)


def test_a_missing_column_is_named(folder):
    rows = pd.read_csv(folder / "throughput.csv").drop(columns="workload")
    rows.to_csv(folder / "throughput.csv", index=False)
    with pytest.raises(ConfigError, match=r"throughput: column workload \(workload\) is missing"):
        FleetProblem.load(folder)


def test_an_unknown_workload_is_named_where_days_have_blocks(tmp_path):
    shutil.copytree(CONFIGS / "fleets" / "ten-billion", tmp_path / "mine")
    edited(tmp_path / "mine", "demand.csv", "chat,2027H1", "chaat,2027H1")
    with pytest.raises(ConfigError, match=r"demand: workload 'chaat' is not known; did you mean chat\?"):
        FleetProblem.load(tmp_path / "mine")


def test_a_mistake_is_told_once(folder):
    edited(folder, "contracts.csv", "a10g,cloud,reserved", "a10g,cluod,reserved")
    with pytest.raises(ConfigError) as caught:
        FleetProblem.load(folder)
    assert str(caught.value).count("contracts: site 'cluod' is not known; did you mean cloud?") == 1


def test_probabilities_must_sum_to_one(folder):
    (folder / "scenarios.csv").write_text("scenario,probability\nlow,0.5\nhigh,0.4\n")
    with pytest.raises(ConfigError, match=r"probabilities of the scenarios sum to 0\.9, not to 1"):
        FleetProblem.load(folder)


def test_a_stray_file_and_several_mistakes_are_told_at_once(folder):
    (folder / "demands.csv").write_text("x\n1\n")
    edited(folder, "fleet.toml", 'value = "1 h"', 'value = "1 kg"')
    with pytest.raises(ConfigError) as caught:
        FleetProblem.load(folder)
    assert "demands.csv: not a table of a fleet; did you mean demand?" in str(caught.value)
    assert "period_length" in str(caught.value)


def test_the_command_refuses_a_bad_folder_without_a_traceback(folder):
    edited(folder, "demand.csv", "out,6,", "out,-6,")
    result = CliRunner().invoke(app, ["fleet", str(folder)])
    assert result.exit_code == 2
    assert "demand: row 2" in result.stderr
    assert "Traceback" not in result.stderr


def one_box(constraints, **workload):
    """Ten units of demand, one box for 10 USD serves one of them and draws 100 W."""
    rows = [
        {"kind": kind, "value": value, "period": "total" if kind == "budget" else "each"}
        for kind, value in constraints
    ]
    tables = {
        "systems": [{"system": "box", "price": 10.0, "provisioned_power": 100.0}],
        "workloads": [{"workload": "work", "penalty": 100.0, **workload}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 10.0}],
        "constraints": rows,
    }  # fmt: skip
    frames = {name: pd.DataFrame(table) for name, table in tables.items() if table}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, whole_systems=False)


def test_clashing_limits_are_named_with_the_least_that_would_do():
    """Ten boxes cost 100 USD: a budget of 80 has to rise by a quarter, or service to fall by a fifth."""
    problem = one_box([("budget", "80 USD"), ("power", "5 kW")], must_serve=1.0)
    with pytest.raises(InfeasibleError) as caught:
        problem.solve()
    text = str(caught.value)
    assert "budget all (80 USD), must_serve of work (100 %) contradict each other" in text
    assert "budget raised by 25 % throughout" in text
    assert "must_serve lowered by 20 % throughout" in text
    assert "power" not in text  # it is not part of the conflict
    assert scaled(problem, "budget", 1.25 + 1e-9).solve().objective == pytest.approx(100)
    with pytest.raises(InfeasibleError):
        scaled(problem, "budget", 1.249).solve()


def test_the_smallest_conflict_is_found_among_three_limits():
    """Power allows 5 boxes and supply 12: budget and supply are innocent."""
    problem = one_box([("budget", "1 kUSD"), ("power", "500 W"), ("supply", "12")], must_serve=1.0)
    with pytest.raises(
        InfeasibleError, match=r"power now \(0.5 kW\), must_serve of work \(100 %\) contradict"
    ) as caught:
        problem.solve()
    assert "power raised by 100 %" in str(caught.value)
    assert not re.search("budget|supply", str(caught.value))


def test_a_limit_that_cannot_hold_alone_says_so():
    """Systems already in service draw more than 10 MW."""
    problem = dataclasses.replace(FleetProblem.load("ten-billion"), limits=(Limit("power", 10e6, 0),))
    with pytest.raises(InfeasibleError, match=r"power 2027H1 .* cannot hold whatever is bought"):
        problem.solve()


def test_orders_that_earn_without_limit_are_refused():
    problem = one_box([])
    rich = eqx.tree_at(lambda p: p.assets.resale, problem, np.array([2.0]))
    with pytest.raises(
        InfeasibleError, match=r"cost can fall without limit: box ordered in now .* set a supply"
    ):
        rich.solve()


def press_once():
    """A watcher that presses Ctrl-C at the first word of progress."""
    raised = []

    def press(progress):
        if not raised:
            raised.append(signal.raise_signal(signal.SIGINT))

    return press


def test_an_interrupt_keeps_the_best_plan_with_its_bound():
    plan = instance(20, 20, 12, 20).solve(method="benders", gap=1e-7, watcher=press_once())
    optimum = OPTIMA[(20, 20, 12, 20, 0.0)]
    assert plan.solution.status.name == "INTERRUPTED"
    assert plan.lower_bound <= optimum <= plan.objective * (1 + 1e-9)
    assert plan.gap > 1e-3
    assert not plan.shadow_prices.empty


def test_an_interrupted_search_for_whole_systems_keeps_the_fleet_found_by_rounding():
    problem = instance(8, 6, 5, 6, whole_systems=True)
    stopped = problem.solve(method="highs", gap=1e-9, watcher=press_once())
    assert stopped.solution.status.name == "INTERRUPTED"
    ordered = stopped.purchases["systems"]
    np.testing.assert_array_equal(ordered, ordered.round())
    assert (
        stopped.lower_bound
        <= problem.solve(method="highs", gap=1e-4).objective
        <= stopped.objective * (1 + 1e-4)
    )


def test_progress_is_told_in_the_unit_of_the_objective():
    told = []
    plan = instance(8, 6, 5, 20).solve(method="benders", watcher=told.append)
    assert told
    assert told[-1].upper == pytest.approx(plan.objective, rel=1e-3)
    assert all(p.lower <= plan.objective * (1 + 1e-9) for p in told)
