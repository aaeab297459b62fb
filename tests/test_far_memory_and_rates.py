"""Models beyond the nearest memory when requests arrive on their own: as slow as a closed loop has them."""

import pytest

import clustermodel as cm

FAR = [("gh200-96gb", "mistral-large-4"), ("ktransformers-4090d", "llama-4-scout"), ("cs-3", "hyp-1t-mla")]
LENGTHS = {"isl": 2000, "osl": 100}


@pytest.mark.slow
@pytest.mark.parametrize(("system", "model"), FAR)
def test_one_request_in_hours_is_served_as_one_alone(system, model):
    alone = cm.cost_per_token(system, model, concurrency=1, **LENGTHS)
    seldom = cm.cost_per_token(system, model, rate=1e-6, **alone["layout"], **LENGTHS)
    assert seldom["tpot_ms"] == pytest.approx(alone["tpot_ms"], rel=0.01)
    assert seldom["ttft_ms"] == pytest.approx(alone["ttft_ms"], rel=0.05)  # waits for no iteration of others


@pytest.mark.parametrize(("system", "model"), FAR)
@pytest.mark.parametrize("rate", [1e-3, 0.2, 5.0])
def test_no_rate_is_served_faster_than_physics_allows(system, model, rate):
    found = cm.cost_per_token(system, model, rate=rate, **LENGTHS)
    assert found["tpot_ms"] >= found["bounds"]["tpot_ms"]
    assert found["ttft_ms"] >= found["bounds"]["ttft_ms"]


@pytest.mark.slow
def test_one_request_in_hours_is_served_by_two_pools_as_one_alone():
    pools = {"allocation": "disaggregated", "prefill_workers": 1, "decode_workers": 1} | LENGTHS
    alone = cm.cost_per_token("gh200-96gb", "mistral-large-4", concurrency=1, **pools)
    layout = {f"prefill_{axis}": n for axis, n in alone["layout"]["prefill"].items() if axis != "workers"}
    layout |= {axis: n for axis, n in alone["layout"]["decode"].items() if axis != "workers"}
    seldom = cm.cost_per_token("gh200-96gb", "mistral-large-4", rate=1e-6, **pools, **layout)
    assert seldom["tpot_ms"] == pytest.approx(alone["tpot_ms"], rel=0.01)
    assert seldom["tpot_ms"] >= seldom["bounds"]["tpot_ms"]
    assert seldom["ttft_ms"] == pytest.approx(alone["ttft_ms"], rel=0.05)
