"""Every entry that Python calls refuses 32-bit numbers, in one sentence with the line to add."""

import jax
import pytest

import clustermodel as cm
from clustermodel.catalog import ConfigError
from clustermodel.chain import Question
from clustermodel.risk import run_scenario, sweep_scenario
from clustermodel.sweep import Axes, exhaustive, space, sweep

CATALOG = cm.load_catalog()
QUESTION = Question("hgx-h200", "llama-3.1-8b", n_accelerators=1, tp=1, concurrency=8)
ASKED = {"model": "llama-3.1-8b", "tp": 1, "concurrency": 8}
PROBLEM = cm.FleetProblem.load("melange")
MANY = (1.0,) * 1100
BILLION = space(CATALOG, QUESTION, ["hgx-h200"], Axes(isl=MANY, price_factor=MANY, energy_factor=MANY))
LINE = 'add jax.config.update("jax_enable_x64", True) before the first call'
REASON = "need 64-bit numbers, for 32 bits hold too few digits"

ENTRIES = {
    "cost_per_token": ("prices", "pass allow_float32=True", lambda: cm.cost_per_token("hgx-h200", **ASKED)),
    "compare": ("prices", "pass allow_float32=True", lambda: cm.compare("hgx-h200", **ASKED)),
    "frontier": ("prices", "pass allow_float32=True", lambda: cm.frontier("hgx-h200", **ASKED)),
    "risk": ("scenarios", "", lambda: run_scenario(CATALOG, "anchor-book", 32)),
    "sweep_scenario": (
        "scenarios",
        "",
        lambda: sweep_scenario(CATALOG, "six-months-late", "project.delay", ["0 month"], paths=32),
    ),
    "fleet": ("fleet plans", "", PROBLEM.solve),
    "exhaustive": ("sweeps", "", lambda: exhaustive(CATALOG, QUESTION, ["hgx-h200"], Axes())),
    "sweep": (
        f"indices of {BILLION.size:,} points",
        "leave --dtype float32 out",
        lambda: sweep(BILLION),
    ),
}


@pytest.mark.parametrize(("what", "otherwise", "asked"), ENTRIES.values(), ids=ENTRIES)
def test_32_bit_numbers_are_refused_with_the_line_to_add(what, otherwise, asked):
    with jax.enable_x64(False), pytest.raises(ConfigError) as refused:
        asked()
    assert str(refused.value) == f"{what} {REASON}: {LINE}" + (f", or {otherwise}" if otherwise else "")


@pytest.mark.parametrize(
    "more",
    [
        {},
        pytest.param({"rate": 5.0}, marks=pytest.mark.slow),
        pytest.param({"allocation": "disaggregated"}, marks=pytest.mark.slow),
    ],
    ids=["closed", "rate", "pools"],
)
def test_who_allows_32_bits_gets_the_price_to_their_error(more):
    asked = {"model": "llama-3.1-8b", "max_tpot_ms": 50, **more}
    exact = cm.cost_per_token("hgx-h200", **asked)["usd_per_mtok_total"]
    with jax.enable_x64(False):
        found = cm.cost_per_token("hgx-h200", allow_float32=True, **asked)["usd_per_mtok_total"]
    assert found == pytest.approx(exact, rel=1e-4)
