"""Calibration on a user's points: shrinkage has its limits, bounds hold, and the result serves the other commands."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustermodel.calibration.effects import LINKS, NAMES, CoefficientTable, Level, load_table, natural
from clustermodel.calibration.hierarchy import Method, Problem, Term, membership, solve
from clustermodel.calibration.observations import read_observations
from clustermodel.calibration.predict import predict
from clustermodel.calibration.targets import Target
from clustermodel.calibration.validate import READERS
from clustermodel.catalog import load_catalog
from clustermodel.cli.main import app

CATALOG = load_catalog()
METHOD = Method(huber=10.0, sigma=0.1, worst_step=5.0, iterations=60, tolerance=1e-12)
SCALE = NAMES.index("launch_scale")
SLOWER = 1.3


def offsets(n, shift, prior):
    """Rows of one deployment that all measure `shift` more than the start predicts, in log time."""
    rows = pd.DataFrame({"row": range(n)})
    unit = np.eye(len(NAMES))[SCALE]
    found = Target(
        rows,
        np.full(n, shift),
        value=lambda links: links[:, SCALE],
        gradient=lambda links: (links[:, SCALE], np.tile(unit, (len(links), 1))),
    )
    level = Level("m", "e", "s")
    term = Term("launch_scale", level.groups["deployment"], prior)
    start = np.zeros((n, len(NAMES)))
    return Problem((found,), (term,), start, membership((term,), [level] * n), np.ones(n), METHOD)


@pytest.mark.parametrize("n", [1, 3, 30, 3000])
def test_a_shift_is_shrunk_by_the_precision_of_its_rows(n):
    shift, prior = 0.2, 0.35
    (found,) = solve(offsets(n, shift, prior)).shifts
    weight = n / METHOD.sigma**2
    assert found == pytest.approx(shift * weight / (weight + prior**-2), rel=1e-3)


def test_without_rows_nothing_moves_and_with_many_the_shift_is_theirs():
    assert solve(offsets(4, 0.2, 0.35), np.zeros(4, dtype=bool)).shifts == pytest.approx(0)
    assert solve(offsets(3000, 0.2, 0.35)).shifts == pytest.approx(0.2, rel=1e-3)


def test_rows_left_out_do_not_teach():
    kept = np.array([True, False, False, False])
    assert solve(offsets(4, 0.2, 0.35), kept).shifts == pytest.approx(solve(offsets(1, 0.2, 0.35)).shifts)


@settings(max_examples=100)
@given(st.lists(st.floats(-30, 30), min_size=len(NAMES), max_size=len(NAMES)))
def test_no_effect_makes_an_efficiency_of_more_than_one(shifts):
    found = natural(np.array(shifts))
    for name, link in LINKS.items():
        value = float(getattr(found, name))
        assert link != "logit" or 0 < value <= 1
        assert link == "identity" or value > 0


def table_of(path, n, factor=SLOWER):
    """Points of one deployment: the shipped prediction times a factor."""
    rows = pd.DataFrame(
        {"system": "hgx-h100", "model": "llama-3.1-8b", "engine": "vllm", "precision": "fp8", "tp": 1.0,
         "isl": 1000.0, "osl": 1000.0, "concurrency": [2.0**k for k in range(n)], "tpot_ms": 1.0}
    )  # fmt: skip
    rows.to_csv(path, index=False)
    ready = read_observations(CATALOG, path, READERS)
    rows["tpot_ms"] = 1e3 * factor * predict(CATALOG, ready)["tpot"].to_numpy()
    rows.to_csv(path, index=False)
    return path


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    data = table_of(folder / "my.csv", 5)
    result = invoke("calibrate", "--data", data, "--out", folder / "my.toml", "--format", "json", "--quiet")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), folder / "my.toml"


@pytest.mark.slow
def test_a_few_points_teach_what_the_points_left_out_confirm(calibrated):
    (errors,) = calibrated[0]["errors"]
    assert errors["before_median_abs_pct"] == pytest.approx(100 * (1 - 1 / SLOWER), rel=1e-2)
    assert errors["after_median_abs_pct"] < errors["before_median_abs_pct"] / 3
    assert errors["left_out_median_abs_pct"] < errors["before_median_abs_pct"] / 2
    assert {row["coefficient"] for row in calibrated[0]["shifts"]} >= {"launch_scale", "weight_read"}


@pytest.mark.slow
def test_other_commands_use_the_calibration(calibrated):
    words = "cost --system hgx-h100 --model llama-3.1-8b --precision fp8 --tp 1 --n-accelerators 1 --concurrency 4"
    before, after = (
        json.loads(invoke(*words.split(), *extra, "--format", "json").stdout)["tpot_ms"]
        for extra in ((), ("--calibration", calibrated[1]))
    )
    assert 1.1 < after / before < 1.5


@pytest.mark.slow
def test_a_calibration_leaves_everything_else_as_it_was(calibrated):
    own, shipped = load_table(CATALOG, calibrated[1]), load_table(CATALOG)
    for level in (Level("gpt-oss-120b", "vllm", "hgx-h200"), Level("llama-3.1-8b", "trtllm", "hgx-h100")):
        assert own.links(level) == pytest.approx(shipped.links(level), abs=1e-3)
    mine = Level("llama-3.1-8b", "vllm", "hgx-h100")
    assert own.links(mine) == pytest.approx(own.links(mine._replace(generation="hopper", version="0.1")))


@pytest.mark.parametrize("seed", range(3))
def test_no_calibration_and_no_speculation_beats_the_physical_bound(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows = read_observations(CATALOG, table_of(tmp_path / "any.csv", 8), READERS)
    lengths = {name: 2.0 ** rng.uniform(4, 14, 8) for name in ("isl", "osl", "concurrency")}
    spoken = rng.choice(["mtp", "none"], 8)
    rows = rows.assign(**lengths, speculation=spoken, tp=2.0 ** rng.integers(0, 4, 8))
    shipped = load_table(CATALOG)
    group = Level("llama-3.1-8b", "vllm", "hgx-h100").groups["deployment"]
    wild = CoefficientTable(
        shipped.shared, {group: dict(zip(NAMES, rng.normal(0, 3, len(NAMES)), strict=True))}
    )
    found = predict(CATALOG, rows, "full", wild)
    assert (found["tpot"] >= found["tpot_bound"] * (1 - 1e-9)).all()
    assert (found["ttft"] >= found["ttft_bound"] * (1 - 1e-9)).all()
    assert (found["output_rate"] <= found["output_bound"] * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": "no-such-system"}, "hardware not in the catalogue"),
        ({"tp": np.nan}, "layout not stated"),
        ({"tpot_ms": 0.001}, "faster than the physical bound"),
        ({"tpot_ms": np.nan}, "no tpot_ms, ttft_ms or output_tok_s_per_accelerator"),
        ({"model": "deepseek-v3"}, "does not fit"),
    ],
)
def test_a_table_that_teaches_nothing_says_why(tmp_path, changes, said):
    data = table_of(tmp_path / "my.csv", 1)
    pd.read_csv(data).assign(**changes).to_csv(data, index=False)
    result = invoke("calibrate", "--data", data)
    assert result.exit_code == 2
    assert said in result.output


def test_a_calibration_has_to_be_named_as_one(tmp_path):
    result = invoke("calibrate", "--data", table_of(tmp_path / "my.csv", 1), "--out", tmp_path / "my.csv")
    assert result.exit_code == 2
    assert ".toml" in result.output
