"""How many requests run where memory is short: whole sequences, simulated engines, queues that keep Little's law."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import clustermodel as cm
from clustermodel.calibration import fit_admission
from clustermodel.chain import Question, cost
from clustermodel.chain.choose import choose, requests_in_flight
from clustermodel.chain.setup import set_up
from clustermodel.design.sensitivity import chain_of, knobs
from clustermodel.physics.deployment import Layout
from clustermodel.serving.admission import BLUNTNESS, admitted, crowding, whole_sequences
from clustermodel.serving.memory import memory_use
from clustermodel.serving.steady import closed_loop

NUMBERS = st.floats(1e-2, 1e6)


@pytest.fixture(scope="module")
def left():
    """Errors of the formula, as a function of its number, on engines with other rooms than those of the fit."""
    table = fit_admission.study(rooms=(6, 24))
    return lambda bluntness: np.abs(fit_admission.errors(table, bluntness))


def test_the_formula_meets_simulated_engines_that_it_was_not_fitted_to(left):
    assert np.sqrt(np.mean(left(BLUNTNESS) ** 2)) < 0.02
    assert left(BLUNTNESS).max() < 0.06


def test_a_fit_to_other_engines_finds_nearly_the_same_number(left):
    squares = [np.mean(left(each) ** 2) for each in np.linspace(0.005, 0.2, 40)]
    assert np.mean(left(BLUNTNESS) ** 2) < 1.1 * min(squares)


def test_the_smaller_of_demand_and_room_alone_would_be_worse(left):
    assert np.mean(left(1e-6) ** 2) > 2 * np.mean(left(BLUNTNESS) ** 2)


def crowded(asked, room, bluntness):
    """How many run."""
    asked, room, bluntness = map(jnp.asarray, (asked, room, bluntness))
    return jnp.minimum(asked, room) / (1 + crowding(asked, room, bluntness))


@given(NUMBERS, NUMBERS, st.floats(1e-6, 0.2))
def test_what_runs_is_never_more_than_asked_nor_than_fits(asked, room, bluntness):
    found = float(crowded(asked, room, bluntness))
    assert 0 < found <= min(asked, room) * (1 + 1e-12)
    assert found >= min(asked, room) / (1 + bluntness) * (1 - 1e-12)


@pytest.mark.parametrize(
    ("room", "whole"), [(0.4, 0.4), (1.0, 1.0), (1.4, 1.0), (1.5, 1.0), (2.0, 1.5), (80.0, 79.5)]
)
def test_whole_sequences_fill_room_less_a_half(room, whole):
    assert float(whole_sequences(jnp.float64(room))) == pytest.approx(whole)


def test_sequences_of_any_age_that_are_put_in_one_by_one_fill_room_less_a_half():
    """Renewal theory against counting: sizes between 1 and 2, met at random, in room for 30 of mean size."""
    random = np.random.default_rng(3)
    sizes = random.uniform(1.0, 2.0, (20_000, 80)).cumsum(axis=1)
    counted = (sizes <= 30 * 1.5).sum(axis=1).mean()
    assert counted == pytest.approx(float(whole_sequences(jnp.float64(30.0))), rel=2e-3)


def crowd(concurrency, **engine):
    """A replica whose memory or engine is too small for its requests."""
    deployment = worlds.deployment(
        layout=Layout(tp=1.0), system=worlds.system(capacity=120e9), engine=worlds.engine(**engine)
    )
    return deployment, worlds.load(float(concurrency))


@pytest.mark.parametrize("slots", [16.0, 1024.0])
@pytest.mark.parametrize("concurrency", [200, 400, 1600])
def test_requests_beyond_the_slots_of_the_engine_or_the_memory_wait_by_littles_law(slots, concurrency):
    point = closed_loop(*crowd(concurrency, max_num_seqs=slots))
    assert float(point.batch) < min(slots, float(point.memory.sequences)) < concurrency
    in_flight = point.request_rate * (point.ttft + 1024 * point.tpot)
    assert float(in_flight) == pytest.approx(concurrency, rel=0.05)


def test_a_queue_adds_to_the_first_token_what_its_requests_ask_for():
    """Each further request waits for one more to be served: 1 / request rate."""
    few, many = (closed_loop(*crowd(n, max_num_seqs=16.0)) for n in (200, 300))
    assert float(many.tpot) == pytest.approx(float(few.tpot), rel=1e-6)
    assert float(many.ttft - few.ttft) == pytest.approx(100 / float(few.request_rate), rel=0.05)


def test_ranks_hold_whole_sequences_each():
    deployment, load = crowd(1000)
    memory = memory_use(deployment, load)
    ranks = worlds.deployment(layout=Layout(tp=1.0, dp=4.0), system=worlds.system(capacity=120e9))
    other = memory_use(ranks, load)
    assert float(admitted(deployment, load, memory).requests) == pytest.approx(
        float(memory.sequences) - 0.5, rel=1e-3
    )
    assert float(admitted(ranks, load, other).requests) == pytest.approx(
        float(other.sequences) - 2.0, rel=1e-3
    )


def test_gradients_match_finite_differences_on_both_sides_of_what_fits_and_on_it():
    run = lambda asked, room: crowded(asked, room, 0.05)
    for asked in (30.0, 39.0, 40.0, 41.0, 90.0):
        check_grads(run, (jnp.float64(asked), jnp.float64(40.0)), order=1, modes=["rev", "fwd"])


CROWDED = Question("hgx-h100", "llama-3.1-70b", precision="fp8", n_accelerators=2, tp=2, isl=8192)
CATALOG = cm.load_catalog()


def test_a_search_lets_no_request_wait_for_the_last_per_cent_of_the_price():
    found, queueing = (cost(CATALOG, dataclasses.replace(CROWDED, concurrency=n)) for n in (None, 1024))
    assert found["concurrency"] == math.floor(found["memory"]["sequences_that_fit"])
    assert found["binding_limit"] == "capacity"
    assert found["usd_per_mtok_total"] < 1.06 * queueing["usd_per_mtok_total"]
    assert found["ttft_ms"] < queueing["ttft_ms"] / 100


def test_a_load_that_memory_sets_follows_the_memory():
    """What more memory does to the price, searched anew in whole requests and by the derivative."""
    setup = set_up(CATALOG, CROWDED)
    choice, k = choose(setup), knobs(setup)
    run, fraction = chain_of(setup, choice), k.engine.memory_fraction

    def log_price(fraction):
        engine = dataclasses.replace(k.engine, memory_fraction=fraction)
        return jnp.log(run(dataclasses.replace(k, engine=engine)).unit.blended)

    larger = choose(set_up(cm.load_catalog(overrides=["engine.memory_fraction=0.95"]), CROWDED))
    assert larger.concurrency > choice.concurrency + 1
    searched = math.log(float(larger.evaluation.unit.blended / choice.evaluation.unit.blended))
    assert float(jax.grad(log_price)(fraction)) * (0.95 - 0.9) == pytest.approx(searched, rel=0.3)


def test_a_load_that_the_user_or_an_objective_sets_stays():
    for fields, n in (({"concurrency": 20.0}, 20.0), ({"max_tpot_ms": 30.0}, None)):
        setup = set_up(CATALOG, dataclasses.replace(CROWDED, **fields))
        choice = choose(setup)
        at = requests_in_flight(setup, choice)(jnp.asarray([1.0, 1e6]))
        assert np.asarray(at).tolist() == [n or choice.concurrency] * 2
