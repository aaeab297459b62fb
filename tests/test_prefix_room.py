"""Cached prefixes wait for their next use where there is room for them, and no longer than there is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustermodel as cm
from clustermodel.chain import Question, cost
from clustermodel.design.memory import memory

ASKED = {"system": "hgx-h200", "model": "llama-3.1-70b", "precision": "fp8", "tp": 2, "pp": 1, "dp": 1}
CLASSES = ("usd_per_mtok_input", "usd_per_mtok_cached_input", "usd_per_mtok_output", "usd_per_mtok_total")
GB = 1e9
CACHE = 80 * 2 * 8 * 128  # bytes of a token: layers, keys and values, heads, head size, one byte each


def asked(*overrides, **options):
    return cm.cost_per_token(**ASKED | options, catalog=cm.load_catalog(overrides=overrides))


def cached_rate(found):
    """Cached tokens per second of the replica."""
    requests = found["output_tok_s_per_accelerator"] * found["n_accelerators"] / found["osl"]
    return requests * found["isl"] * found["prefix_hit_rate"]


@settings(max_examples=12)
@given(
    hits=st.floats(0.0, 0.999),
    isl=st.integers(100, 100_000),
    osl=st.integers(2, 2000),
    concurrency=st.integers(1, 400),
)
def test_no_class_of_tokens_has_a_price_below_zero(hits, isl, osl, concurrency):
    found = asked(prefix_hit_rate=hits, isl=isl, osl=osl, concurrency=concurrency)
    assert all(found[name] > 0 for name in CLASSES)


@pytest.mark.parametrize("allocation", ["time_weighted", "flops_weighted", "disaggregated"])
def test_prices_stay_above_zero_however_the_bill_is_shared(allocation):
    layout = {"tp": None, "pp": None, "dp": None} if allocation == "disaggregated" else {}
    found = asked(prefix_hit_rate=0.99, isl=30_000, osl=100, concurrency=128, allocation=allocation, **layout)
    assert all(found[name] > 0 for name in CLASSES)
    assert found["memory"]["prefix_kept_s"] < found["memory"]["prefix_interval_s"] == 300


def test_what_is_held_is_no_more_than_its_memory_has():
    found = asked(prefix_hit_rate=0.99, isl=30_000, osl=100, concurrency=128)
    held = cached_rate(found) * CACHE * found["memory"]["prefix_kept_s"] / GB
    (own, second, *_) = found["memory"]["tiers"]
    assert held <= 2 * second["capacity_gb"]
    assert held == pytest.approx(2 * second["capacity_gb"], rel=0.06)  # what an engine may use of it
    assert own["capacity_gb"] < second["capacity_gb"]


def test_a_prefix_that_comes_back_in_time_costs_what_its_bytes_cost_for_that_time():
    short, long = (
        asked(f"workload.reuse_interval={each} s", prefix_hit_rate=0.5, concurrency=16) for each in (10, 20)
    )
    assert short["memory"]["prefix_kept_s"] == 10
    assert long["memory"]["prefix_kept_s"] == 20
    ten_seconds = long["usd_per_mtok_cached_input"] - short["usd_per_mtok_cached_input"]
    assert ten_seconds > 0
    assert long["usd_per_mtok_total"] == short["usd_per_mtok_total"]


def test_beyond_the_room_a_longer_interval_changes_no_price():
    one, ten = (
        asked(f"workload.reuse_interval={each} s", prefix_hit_rate=0.99, isl=30_000, osl=100, concurrency=128)
        for each in (1_000, 10_000)
    )
    assert [one[name] for name in CLASSES] == [ten[name] for name in CLASSES]
    assert one["memory"]["prefix_kept_s"] == ten["memory"]["prefix_kept_s"]


def test_the_first_cached_tokens_cost_what_they_cost_without_any():
    none, few = (asked(prefix_hit_rate=hits, concurrency=16) for hits in (0.0, 1e-6))
    assert few["usd_per_mtok_cached_input"] == pytest.approx(none["usd_per_mtok_cached_input"], rel=1e-5)
    assert none["memory"]["prefix_kept_s"] is None


@pytest.mark.parametrize("hits", [0.0, 0.5])
def test_a_cached_token_costs_what_it_is_said_to_cost_in_the_memory_that_keeps_it(hits):
    question = Question(**ASKED, concurrency=16, prefix_hit_rate=hits)
    catalog = cm.load_catalog()
    tiers = memory(catalog, question)["tiers"]
    found = cost(catalog, question)["usd_per_mtok_cached_input"]
    assert tiers[1]["usd_per_mtok_cached_input"] == pytest.approx(found, rel=1e-9)


def test_a_replica_with_little_to_do_keeps_prefixes_for_longer():
    busy = asked(prefix_hit_rate=0.99, isl=30_000, osl=100, concurrency=128)
    idle = asked(prefix_hit_rate=0.99, isl=30_000, osl=100, rate=0.1)
    assert busy["memory"]["prefix_kept_s"] < idle["memory"]["prefix_kept_s"] == 300
