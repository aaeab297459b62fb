"""What is asked of the command has an effect, or is refused; what cannot be had leaves the plan as it is."""

import csv
import dataclasses
import io
import signal

import numpy as np
import pandas as pd
import pytest
from fleet_instances import instance
from typer.testing import CliRunner

from clustermodel.catalog import InfeasibleError
from clustermodel.cli.main import app
from clustermodel.fleet import Demand, FleetProblem, Options
from clustermodel.fleet.answer import Beyond
from clustermodel.fleet.near import near_optimal, table
from clustermodel.fleet.sweep import sweep
from clustermodel.report.fleet import _worth
from clustermodel.report.rows import rows


def invoke(*arguments):
    return CliRunner().invoke(app, ["fleet", *map(str, arguments)])


def one_period(tables, **settings):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, **settings)


def pressed_at(word):
    """A watcher that presses Ctrl-C at every word of progress from this one on."""
    told: list = []

    def watch(progress):
        told.append(progress)
        if len(told) >= word:
            signal.raise_signal(signal.SIGINT)

    return watch


@pytest.mark.parametrize("asked", [{"uncertainty": True}, {"sweep": "budget"}])
def test_an_interrupt_of_what_is_asked_besides_keeps_the_plan_and_says_so(asked):
    plan = instance(8, 6, 5, 6).solve()
    found = Beyond(**asked).answer(plan, Options(method="benders", gap=1e-9, watcher=pressed_at(1)))
    assert found == {"left_out": [{"table": next(iter(asked)), "reason": "interrupted"}]}


def test_a_table_that_the_problem_does_not_have_is_left_out_with_the_reason():
    """Half of the budget buys no plan that serves everything, and the future to live through asks for twice as much."""
    problem = one_period(
        {
            "systems": [{"system": "box", "price": 10.0}],
            "workloads": [{"workload": "work", "must_serve": 1.0}],
            "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
            "demand": [{"workload": "work", "demand": 4.0}],
            "constraints": [{"kind": "budget", "value": "45 USD", "period": "total"}],
        }
    )
    plan = problem.solve()
    twice = dataclasses.replace(problem, demand=Demand(("twice",), np.ones(1), 2 * problem.demand.work))
    made = dataclasses.replace(plan, problem=twice)
    (left,) = Beyond(replan="twice").answer(made, Options())["left_out"]
    assert left["table"] == "replanned"
    assert "no plan" in left["reason"]


def test_a_time_limit_without_a_plan_does_not_speak_of_a_best_one():
    with pytest.raises(InfeasibleError) as caught:
        instance(8, 6, 5, 6, whole_systems=True).solve(method="highs", seconds=0.0)
    assert "no plan found: time limit reached; allow more time" in str(caught.value)
    assert "best" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget", "5"), "--budget: of which problem? write its name or folder"),
        (("--relaxed",), "--relaxed: of which problem?"),
        (("melange", "--mip-gap", "-1"), "a gap of -1: write a share of at least 0"),
        (("melange", "--time-limit", "-1"), "a time limit of -1: write seconds of at least 0"),
        (
            ("melange", "--set", "site/us-texas.pue=1.3"),
            "changes nothing in melange; it uses no sites of the catalogue",
        ),
        (
            ("ten-billion", "--set", "site/nordics.pue=1.3"),
            "nothing in ten-billion; its sites are us-texas of",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(arguments, words):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_csv_is_the_table_that_was_asked_for():
    found = list(csv.DictReader(io.StringIO(invoke("melange", "--near", "0.05", "--format", "csv").stdout)))
    assert found[0]["fleet"] == "best"
    assert {"objective", "over_optimum", "kinds"} <= found[0].keys()
    plan = {"kind": "fleet", "purchases": [{"system": "box"}]}
    assert rows(plan) == [{"system": "box"}]
    assert rows(plan | {"uncertainty": {"vss": 1.0, "evpi": 2.0}}) == [{"vss": 1.0, "evpi": 2.0}]
    both = rows(plan | {"sweep": [{"factor": 0.5}, {"factor": 1.0}], "replanned": [{"planned": "once"}]})
    assert both == [
        {"table": "sweep", "factor": 0.5}, {"table": "sweep", "factor": 1.0},
        {"table": "replanned", "planned": "once"},
    ]  # fmt: skip


def test_a_fleet_that_earns_less_is_over_the_best():
    """Ten boxes at 1 or 1.1 USD earn 10 USD each: 90 or 89 USD, which is 1/90 over the optimum."""
    problem = one_period(
        {
            "systems": {"system": ["a", "b"], "price": [1.0, 1.1]},
            "workloads": [{"workload": "work", "revenue": 10.0}],
            "throughput": {"system": ["a", "b"], "workload": "work", "throughput": 1.0},
            "demand": [{"workload": "work", "demand": 10.0}],
        },
        objective="npv",
    )
    best = problem.solve()
    frame = table(best, near_optimal(best, 0.05)).set_index("fleet")
    assert frame.loc["best", "over_optimum"] == 0
    assert frame.loc["least a", "over_optimum"] == pytest.approx(1 / 90)
    assert (frame["over_optimum"] >= -1e-9).all()


def test_a_sweep_shows_its_limits_in_their_unit():
    """100 MW in either of two periods is 100 MW, while budgets of 5 and 7 USD are 12."""
    tables = {
        "systems": [{"system": "box", "price": 1.0, "provisioned_power": 1.0, "vendor": "me"}],
        "workloads": [{"workload": "work", "penalty": 10.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 1.0}],
        "constraints": {
            "kind": ["power", "budget", "budget", "vendor_share"], "value": ["100 MW", "5 USD", "7 USD", "60 %"],
            "period": ["each", "one", "two", "total"], "vendor": ["", "", "", "me"],
        },
    }  # fmt: skip
    frames = {name: pd.DataFrame(each) for name, each in tables.items()}
    problem = FleetProblem.from_frames(frames, periods=["one", "two"], period_length=1.0)
    shown = {kind: sweep(problem, kind, [0.5]).iloc[0] for kind in ("power", "budget", "vendor_share")}
    assert {kind: (row["amount"], row["unit"]) for kind, row in shown.items()} == {
        "power": (50.0, "MW"), "budget": (6.0, "USD"), "vendor_share": (0.3, "share"),
    }  # fmt: skip


def test_one_more_of_a_minimum_is_shown_as_what_it_costs():
    problem = one_period(
        {
            "systems": [{"system": "box", "price": 1000.0}],
            "workloads": [{"workload": "work"}],
            "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
            "demand": [{"workload": "work", "demand": 10.0}],
            "constraints": [{"kind": "purchases", "value": "3", "period": "total"}],
        }
    )
    (row,) = problem.solve().shadow_prices.to_dict("records")
    assert (row["value"], row["unit"]) == (pytest.approx(1000), "USD/system")  # of one less
    cells = [list(column.cells) for column in next(_worth([row])).columns]
    assert cells[3] == ["-1,000"]
