"""The shipped measurements against the shipped coefficients: the accuracy that the README states, and the bound."""

import pytest

from clustermodel.calibration.intervals import LEVELS, fitted_intervals, load_intervals
from clustermodel.calibration.validate import validation
from clustermodel.catalog import load_catalog

CATALOG = load_catalog()

STATED = {
    ("aggregated", "tpot_ms"): (7, 24),
    ("aggregated", "output_tok_s_per_accelerator"): (7, 24),
    ("aggregated", "ttft_ms"): (22, 62),
    ("aggregated", "power_w"): (9, 27),
    ("offline", "output_tok_s_per_accelerator"): (10, 38),
    ("disaggregated", "tpot_ms"): (22, 70),
}
"""Median and 90 % of |error| in % that rows of a mode keep; what is measured lies below each."""


@pytest.fixture(scope="module")
def scored():
    return validation(CATALOG)


@pytest.mark.parametrize("group", STATED, ids=" ".join)
def test_errors_on_the_shipped_rows_are_what_is_stated(scored, group):
    mode, metric = group
    (row,) = [
        each
        for each in scored.to_dict()["groups"]
        if (each["by"], each["key"], each["metric"]) == ("mode", mode, metric)
    ]
    assert row["median_abs_pct"] <= STATED[group][0]
    assert row["p90_abs_pct"] <= STATED[group][1]


def test_no_prediction_is_better_than_its_physical_bound(scored):
    lines = scored.lines[scored.lines["bound"].notna()]
    times = lines[lines["metric"].isin(["tpot_ms", "ttft_ms"])]
    rates = lines[lines["metric"].eq("output_tok_s_per_accelerator")]
    assert len(times) > 5000
    assert (times["predicted"] >= times["bound"] * (1 - 1e-9)).all()
    assert (rates["predicted"] <= rates["bound"] * (1 + 1e-9)).all()


def test_nearly_every_row_is_answered(scored):
    assert sum(scored.skipped.values()) < 0.01 * len(scored.lines)


def test_the_shipped_intervals_are_those_of_the_shipped_rows(scored):
    shipped = load_intervals(CATALOG, seen=True)
    for metric, interval in fitted_intervals(scored.lines).items():
        assert shipped[metric].low == pytest.approx(interval.low, abs=0.01)
        assert shipped[metric].high == pytest.approx(interval.high, abs=0.01)
    assert LEVELS == (0.1, 0.9)
