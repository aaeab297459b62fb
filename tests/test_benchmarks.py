"""The benchmarks outside of the package: one command runs them all, and each says how near it is to its limit."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from clustermodel.bench.machine import Rates
from clustermodel.calibration.effects import load_table
from clustermodel.catalog import load_catalog

pytestmark = pytest.mark.usefixtures("optimised")
FOLDER = Path(__file__).parents[1] / "benchmarks"
FAST = Rates(1e12, 1e12)


@pytest.fixture
def script(monkeypatch):
    """A benchmark as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "results").glob("calibration-*.toml")), ids=lambda path: path.stem
)
def test_a_calibration_that_is_kept_is_one_that_questions_take(path):
    assert load_table(load_catalog(), path).title.startswith("measured on")


def test_one_part_that_fails_does_not_stop_the_others(script, monkeypatch, capsys, tmp_path):
    run = script("run")
    late = {name: part._replace(limit=0.01) for name, part in run.PARTS.items()}
    monkeypatch.setattr(run, "PARTS", late)
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "risk,dispatch", "--out", str(tmp_path)])
    assert run.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:2]] == ["risk", "dispatch"]
    assert said[-1] == "failed: risk, dispatch"
    assert "stopped after" in said[0]


def test_a_result_names_machine_driver_versions_and_date(script, monkeypatch, tmp_path):
    run = script("run")
    part = run.Part(lambda quick, folder: {"kind": "bench-nothing", "cases": [{"name": "a", "per_s": 2.0}]}, 1,
                    run._rates_line("per_s", "/s"))  # fmt: skip
    monkeypatch.setitem(run.PARTS, "nothing", part)
    assert run.one("nothing", True, tmp_path) == "a 2/s"
    (file,) = tmp_path.glob("nothing-*.json")
    found = json.loads(file.read_text())
    assert {"device", "driver", "jax", "date", "version", "cases"} <= found.keys()
    assert found["driver"]["jaxlib"]


def test_an_unknown_part_is_refused_in_words(tmp_path):
    command = [sys.executable, str(FOLDER / "run.py"), "--only", "nonsense", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no part 'nonsense'; there are" in done.stderr


def test_a_machine_measured_on_another_day_is_measured_again(script, tmp_path):
    run = script("run")
    about = {"backend": "cpu", "device": "x", "jax": "1"}
    assert run.todays(about, tmp_path) is None
    today = run.datetime.date.today().isoformat()
    for date, known in (("2000-01-01", False), (today, True)):
        (tmp_path / "device-cpu.json").write_text(json.dumps({"date": date, "jax": "1", "startup": {}}))
        assert (run.todays(about, tmp_path) is not None) == known


@pytest.mark.slow
def test_batched_dispatches_cost_what_warm_simplex_finds(script, monkeypatch):
    dispatch = script("bench_dispatch")
    monkeypatch.setattr(dispatch, "SHAPE", (5, 4, 3))
    monkeypatch.setattr(dispatch, "measured_rates", lambda: FAST)
    found = dispatch.bench((1,))
    (case,) = found["cases"]
    assert case["n"] == 3
    assert case["largest_gap"] < 1e-6
    assert 0 < case["fraction_of_limit"] < 1
    assert case["per_dispatch"]["flops"] > case["iterations"] > 1
    assert abs(found["simplex"]["lower_bound_below_optimum"]) < 1e-6
    assert abs(found["simplex"]["upper_bound_above_optimum"]) < 1e-6


def test_dispatches_are_batched_where_there_is_no_simplex(script, monkeypatch):
    dispatch = script("bench_dispatch")
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: None)
    assert dispatch.by_simplex(None) == {"skipped": "highspy is not installed"}


@pytest.mark.slow
def test_risk_paths_are_counted_against_the_machines_limit(script):
    risk = script("bench_risk")
    found = risk.case(risk.model(), 32, "quasi", FAST)
    assert found["n"] == 32
    assert 0 < found["fraction_of_limit"] < 1
    assert found["per_path"]["flops"] > risk.MONTHS * risk.OBLIGORS
