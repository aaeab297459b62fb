"""What a rate of requests makes of power, energy and prices: engines wait awake while no request is in flight."""

import dataclasses

import jax.numpy as jnp
import pytest
import worlds
from event_simulation import simulate
from test_open_loop import ISL, LOAD, OSL, exponential, replica, serve, step_table

from clustermodel.calibration.power import board_model
from clustermodel.catalog import load_catalog
from clustermodel.chain.cost import cost
from clustermodel.chain.over_time import busy_share, requests_in_flight, while_busy
from clustermodel.chain.power import power
from clustermodel.chain.question import Question
from clustermodel.serving.open_loop import Arrivals

CATALOG = load_catalog()
ASKED = Question("hgx-h200", "llama-3.1-70b", precision="fp8", tp=4, pp=1, dp=1)
POOLS = Question(
    "hgx-h200", "llama-3.1-70b", precision="fp8", allocation="disaggregated", tp=4, prefill_tp=4,
    prefill_workers=1, decode_workers=1,
)  # fmt: skip
FLOOR = float(board_model(CATALOG, "h200", "hopper", 700.0).coefficients.stalled)


def at(rate, asked=ASKED, **changes):
    return cost(CATALOG, dataclasses.replace(asked, rate=rate, **changes))


@pytest.mark.parametrize("rate", [pytest.param(0.1, marks=pytest.mark.slow), 0.5, 2.0])
def test_the_share_of_time_without_requests_is_that_of_an_event_simulation(rate):
    seen = simulate(step_table(replica(), LOAD), rate, exponential(ISL), exponential(OSL), requests=1500)
    in_flight = requests_in_flight(worlds.scalar(rate), serve(Arrivals(rate)), worlds.scalar(OSL))
    assert float(busy_share(in_flight)) == pytest.approx(seen.busy, abs=0.05)


@pytest.mark.parametrize("in_flight", [0.0, 1e-9, 1e-3, 1.0, 40.0])
def test_no_less_than_one_request_is_in_flight_while_any_is(in_flight):
    busy, some = busy_share(jnp.asarray(in_flight)), while_busy(jnp.asarray(in_flight))
    assert float(some) >= 1
    assert float(busy * some) == pytest.approx(in_flight, abs=1e-12)


@pytest.mark.parametrize("asked", [ASKED, pytest.param(POOLS, marks=pytest.mark.slow)])
def test_all_systems_together_put_out_the_tokens_asked_for(asked):
    for rate in (0.05, 2.0, 300.0):
        found = at(rate, asked)
        replicas = found["n_systems"] * 8 / found["accelerators_paid_for"]
        served = replicas * found["n_accelerators"] * found["output_tok_s_per_accelerator"]
        assert served == pytest.approx(rate * found["osl"], rel=1e-9)
        paid = found["usd_per_accelerator_hour"] * found["n_systems"] * 8 / 3600
        tokens = rate * (found["isl"] + found["osl"])
        assert found["usd_per_mtok_total"] * tokens / 1e6 == pytest.approx(paid, rel=1e-9)
        watts = found["facility_w_per_accelerator"] * found["n_systems"] * 8
        assert found["joules_per_output_token"] * rate * found["osl"] == pytest.approx(watts, rel=1e-9)
        hour = found["breakdown"]["usd_per_accelerator_hour"]
        assert hour["energy"] == pytest.approx(found["energy_usd_per_accelerator_hour"])


@pytest.mark.parametrize("asked", [ASKED, pytest.param(POOLS, marks=pytest.mark.slow)])
def test_a_replica_that_hardly_works_draws_the_floor_of_an_engine_that_waits(asked):
    watts = [at(rate, asked)["power_w_per_accelerator"] for rate in (1e-5, 0.05, 1.0, 5.0)]
    assert watts[0] == pytest.approx(FLOOR, rel=1e-3)
    assert watts == sorted(watts)
    seldom, often = at(1e-3, asked), at(1e-2, asked)
    assert seldom["joules_per_output_token"] > 8 * often["joules_per_output_token"]


def test_a_busy_replica_draws_what_it_draws_in_a_closed_loop_of_as_many():
    found = at(10.0)
    closed = cost(CATALOG, dataclasses.replace(ASKED, concurrency=found["concurrency"]))
    assert found["concurrency"] > 20
    assert found["power_w_per_accelerator"] == pytest.approx(closed["power_w_per_accelerator"], rel=0.02)
    assert found["joules_per_output_token"] == pytest.approx(closed["joules_per_output_token"], rel=0.05)
    assert found["tpot_ms"] == pytest.approx(closed["tpot_ms"], rel=0.05)


def test_the_milliseconds_shown_are_those_of_the_load_that_arrives():
    for rate in (0.01, 1.0, 10.0):
        found = at(rate)
        assert sum(found["breakdown"]["step_ms"].values()) == pytest.approx(found["tpot_ms"], rel=0.1)


def test_one_system_that_is_enough_costs_the_same_however_fast_it_is():
    found = at(0.5)
    price = found["usd_per_mtok_total"]
    assert found["binding_limit"] == "demand"
    assert found["uncertainty"]["usd_per_mtok_total"] == [price, price]
    assert not any(each["input"] == "error of the model" for each in found["drivers"])
    many = at(2000.0)
    low, high = many["uncertainty"]["usd_per_mtok_total"]
    assert low < many["usd_per_mtok_total"] < high


def test_peaks_buy_systems_that_wait_in_between():
    peaky = load_catalog(overrides=["workload.peak_to_mean=4"])
    flat, peak = at(40.0), cost(peaky, dataclasses.replace(ASKED, rate=40.0))
    assert peak["n_systems"] > 2 * flat["n_systems"]
    assert peak["power_w_per_accelerator"] < flat["power_w_per_accelerator"]
    assert peak["latency"]["utilisation"] > 0.5


def test_power_says_the_same_as_cost_and_what_a_cap_would_do_while_it_runs():
    asked = dataclasses.replace(ASKED, rate=1.0)
    watts, price = power(CATALOG, asked), cost(CATALOG, asked)
    for name in ("power_w_per_accelerator", "joules_per_output_token", "concurrency", "batch"):
        assert watts[name] == pytest.approx(price[name])
    out = sum(
        n * watts["joules_per_token"][kind] for n, kind in zip((1024, 1024), ("input", "output"), strict=True)
    )
    assert out == pytest.approx(1024 * watts["joules_per_output_token"])
    assert watts["caps"][-1]["power_w"] > watts["power_w_per_accelerator"]
