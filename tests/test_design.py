"""Break-even prices, elasticities and gradient design: against published tables, closed forms and differences."""

import dataclasses
import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.optimize import brentq, minimize_scalar
from typer.testing import CliRunner

from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog, parse_override
from clustermodel.chain import Question, cost
from clustermodel.chain.choose import choose
from clustermodel.chain.numbers import system_numbers
from clustermodel.chain.setup import set_up
from clustermodel.cli.main import app
from clustermodel.design import breakeven, optimize, sensitivity
from clustermodel.design.descent import Optimum, minimise
from clustermodel.design.memory_bound import (
    MemoryServer,
    Residency,
    Upkeep,
    best_capacity,
    memory_breakeven,
    resident_users,
    step_time,
    token_rate,
)
from clustermodel.design.optimize import Plan
from clustermodel.design.sensitivity import OUTPUTS, chain_of, knobs
from clustermodel.serving.working_set import Reuse, prefix_hit_rate, working_set

CATALOG = load_catalog()
TB = 1e12
module = sys.modules[optimize.__module__]

# Question: at what price does a server of 128 TB match a pod of eight B200 (1.54 TB, 64 TB/s, 15.6 USD/h) or an
# NVL72 (13.8 TB, 576 TB/s, 159 USD/h) on a model of 1e12 parameters at 4 bits, 1M tokens of context with
# 35.1 kB of cache each, at 10 tokens/s a user or more; 70 % of the bandwidth and 92 % of the capacity are
# usable, 8 % over 4 years, 15 kW at 0.267 USD/kWh. Published in the project's economics study, 2026-11.
PRICES_MUSD = {
    1.00: {25: (0.08, 0.03), 50: (0.35, 0.24), 100: (0.90, 0.66), 200: (1.99, 1.49), 300: (3.09, 2.33)},
    0.10: {25: (0.70, 0.09), 50: (1.85, 0.37), 100: (4.14, 0.93), 200: (8.67, 2.05), 300: (13.1, 3.13)},
    0.01: {25: (6.8, 0.60), 50: (13.7, 1.31), 100: (27.5, 2.75), 200: (55.0, 5.61), 300: (83.0, 8.47)},
}
POD, RACK = (1.54, 64, 15.6), (13.8, 576, 159.0)
EFFICIENCY, USABLE = 0.7, 0.92


def residency(touched):
    return Residency(weights=0.5 * TB, cache=35.1e3 * 1e6, touched=touched, slowest=0.1)


def server(capacity, bandwidth):
    return MemoryServer(capacity=USABLE * capacity * TB, bandwidth=EFFICIENCY * bandwidth * TB)


def token_cost(reference, touched):
    capacity, bandwidth, usd_per_hour = reference
    return usd_per_hour / 3600 / token_rate(server(capacity, bandwidth), residency(touched))


def price_musd(bandwidth, touched, reference):
    upkeep = Upkeep(running=15 * 0.267 / 3600, wacc=0.08, life=4 * 365 * 86400.0)
    rate = token_rate(server(128, bandwidth), residency(touched))
    return float(memory_breakeven(rate, token_cost(reference, touched), upkeep)) / 1e6


def test_the_references_of_the_published_table_serve_26_and_348_users_at_5_and_4_dollars():
    pod, rack = (server(*each[:2]) for each in (POD, RACK))
    users = [float(resident_users(each, residency(1.0))) for each in (pod, rack)]
    assert users == pytest.approx([26, 348], abs=1)  # capacities are printed with three digits
    assert float(token_cost(POD, 1.0)) * 1e6 == pytest.approx(5.25, rel=5e-3)
    assert float(token_cost(RACK, 1.0)) * 1e6 == pytest.approx(4.00, rel=5e-3)


@pytest.mark.parametrize("touched", PRICES_MUSD)
def test_the_published_break_even_prices_of_a_128_tb_server_are_reproduced_within_10_percent(touched):
    for bandwidth, (pod, rack) in PRICES_MUSD[touched].items():
        # the smallest prices are printed with one digit: half a unit of it is their error
        assert price_musd(bandwidth, touched, POD) == pytest.approx(pod, rel=0.1, abs=0.005)
        assert price_musd(bandwidth, touched, RACK) == pytest.approx(rack, rel=0.1, abs=0.005)


@given(st.floats(1, 500), st.floats(0.01, 1))
def test_users_are_whole_and_keep_their_speed(bandwidth, touched):
    here, needs = server(128, bandwidth), residency(touched)
    users = resident_users(here, needs)
    assert users == jnp.floor(users)
    assert users == 0 or step_time(here, needs, users) <= 0.1 * (1 + 1e-12)


def test_more_bandwidth_is_never_worth_less_and_maps_are_vmaps():
    bandwidth = jnp.linspace(25, 300, 12)

    def rate(b, touched):
        where = MemoryServer(capacity=USABLE * 128 * TB, bandwidth=EFFICIENCY * b * TB)
        return token_rate(where, eqx.tree_at(lambda r: r.touched, residency(1.0), touched))

    table = jax.jit(jax.vmap(jax.vmap(rate, (0, None)), (None, 0)))(bandwidth, jnp.asarray([1.0, 0.1, 0.01]))
    assert np.all(np.diff(table, axis=1) >= 0)
    assert table[1, 3] == pytest.approx(float(rate(bandwidth[3], jnp.asarray(0.1))))


W, FIXED, PER_BYTE = 0.5 * TB, 564e3, 21.6e-9


def price_of_a_token(memory):
    """(a + p M) M / (M - W): a server whose every step reads all its memory."""
    return (FIXED + PER_BYTE * memory) * memory / (memory - W)


def test_the_best_memory_of_a_server_that_sweeps_it_all_has_a_closed_form():
    oracle = minimize_scalar(
        lambda u: float(price_of_a_token(np.exp(u))),
        bounds=(np.log(0.6 * TB), np.log(60 * TB)),
        method="bounded",
        options={"xatol": 1e-12},
    )
    best = best_capacity(*map(jnp.asarray, (W, FIXED, PER_BYTE)))
    assert float(best) == pytest.approx(np.exp(oracle.x), rel=1e-5)  # a minimum is flat: sqrt of rounding


def test_gradient_design_finds_the_known_optimum_to_1e_6():
    found = minimise(
        lambda x: (price_of_a_token(x[0]), jnp.zeros(0)),
        jnp.asarray([0.6 * TB]),
        jnp.asarray([128 * TB]),
    )
    expected = best_capacity(*map(jnp.asarray, (W, FIXED, PER_BYTE)))
    assert float(found.x[0]) == pytest.approx(float(expected), rel=1e-6)
    assert found.at_bound == (False,)


def test_a_binding_limit_is_kept_and_priced():
    found = minimise(
        lambda x: (price_of_a_token(x[0]), x / (2 * TB) - 1),  # no more than 2 TB, fewer than would be best
        jnp.asarray([0.6 * TB]),
        jnp.asarray([128 * TB]),
    )
    assert float(found.x[0]) == pytest.approx(2 * TB, rel=1e-5)
    slope = jax.grad(lambda m: jnp.log(price_of_a_token(m)))(jnp.asarray(2 * TB))
    assert float(found.multipliers[0]) == pytest.approx(-float(slope) * 2 * TB, rel=1e-3)


def test_where_no_value_is_a_number_nothing_is_kept():
    found = minimise(lambda x: (x[0] * jnp.nan, x * jnp.nan), jnp.full(1, 1.0), jnp.full(1, 2.0))
    assert not found.kept


PROMETHEUS = Question(
    "prometheus-32tb", "llama-3.1-70b", precision="fp8", n_accelerators=4, tp=4, pp=1, concurrency=200
)


@pytest.fixture(scope="module")
def prepared():
    setup = set_up(CATALOG, PROMETHEUS)
    choice = choose(setup)
    run = chain_of(setup, choice)
    price = jax.jit(lambda k: run(k).unit.blended)
    return setup, choice, run, price


def test_the_chain_at_the_catalogues_numbers_is_the_chosen_point(prepared):
    setup, choice, run, _ = prepared
    again = run(knobs(setup))
    assert again.unit.blended == pytest.approx(float(choice.evaluation.unit.blended), rel=1e-12)
    assert again.inlet.total == pytest.approx(float(choice.evaluation.inlet.total), rel=1e-12)


@pytest.fixture(scope="module")
def explained():
    return sensitivity(CATALOG, PROMETHEUS)


def test_elasticities_match_central_differences_to_1e_5(prepared, explained):
    setup, _, _, price = prepared
    found = {row["field"]: row["elasticity"] for row in explained["elasticities"]}
    at = knobs(setup)
    value, step, checked = float(price(at)), 1e-5, 0
    for number in system_numbers(setup.system):
        x = float(number.of(at.system))
        if not x or number.path in ("count", "scaleup_domain", "liquid_cooled", "accelerator.tdp"):
            continue
        ends = [
            float(price(dataclasses.replace(at, system=number.set(at.system, x * (1 + s)))))
            for s in (step, -step)
        ]
        elasticity = found.get(number.path, 0.0)  # numbers that change nothing have no row
        assert elasticity == pytest.approx((ends[0] - ends[1]) / (2 * step) / value, abs=1e-5), number.path
        checked += 1
    assert checked > 8


def test_elasticities_are_ranked_and_have_the_signs_of_physics(explained):
    found = explained
    rows = {row["field"]: row["elasticity"] for row in found["elasticities"]}
    assert rows["price"] > 0 > rows["memory[0].bandwidth"]
    assert rows["accelerator.flops_fp8"] < 0 < rows["electricity"]
    spans = [row["high"] / row["low"] for row in found["elasticities"]]
    assert spans == sorted(spans, reverse=True)
    assert set(OUTPUTS) >= {"tpot_ms", "usd_per_mtok_total"}
    with pytest.raises(ConfigError, match="did you mean"):
        sensitivity(CATALOG, PROMETHEUS, "tpot_m")


LLAMA = dict(model="llama-3.1-70b", precision="fp8", max_tpot_ms=50)


def test_at_the_break_even_price_both_systems_cost_the_same():
    question = Question("prometheus-8tb", **LLAMA)
    found = breakeven(CATALOG, question, "prometheus-8tb", "hgx-h100")
    price = found["price_usd"]
    assert 0 <= price["low"] < price["value"] < price["high"]
    priced = load_catalog(overrides=[f"system/prometheus-8tb.price={price['value']} USD"])
    paid = cost(priced, question)["usd_per_mtok_total"]
    assert paid == pytest.approx(cost(CATALOG, Question("hgx-h100", **LLAMA))["usd_per_mtok_total"], rel=1e-3)
    assert found["candidate"]["usd_per_mtok_total"] == pytest.approx(found["usd_per_mtok"], rel=1e-9)
    assert found["binding_limit"] == found["candidate"]["binding_limit"]


def test_a_system_breaks_even_with_itself_at_its_own_price():
    found = breakeven(CATALOG, Question("hgx-h100", **LLAMA), "hgx-h100", "hgx-h100")
    assert found["price_usd"]["value"] == pytest.approx(found["catalogue_price_usd"], rel=1e-6)


def test_a_system_that_costs_more_to_run_than_another_in_all_has_no_break_even_price():
    with pytest.raises(InfeasibleError, match="no price above 0"):
        breakeven(CATALOG, Question("hpe-scaleup-32tb", "llama-3.1-70b"), "hpe-scaleup-32tb", "tpu-v7")


BEST = {
    # workload: model, hit rate of an endless prefix cache, and the TB between which the best server lies
    "chat-1k": ("llama-3.1-70b", None, (1.5, 3.0)),
    "long-context-128k": ("deepseek-v3.2", None, (2.5, 5.0)),
    "agentic": ("deepseek-v3", 0.9, (2.0, 5.0)),
}


@pytest.mark.parametrize(
    "workload",
    [pytest.param(each, marks=pytest.mark.slow) for each in BEST],
)
def test_gradient_design_finds_how_much_memory_a_prometheus_server_needs_for_a_workload(workload):
    model, most_hits, (least, most) = BEST[workload]
    question = Question("prometheus-32tb", model, precision="fp8", workload=workload, max_tpot_ms=100)
    found = optimize(CATALOG, question, Plan(("memory", "concurrency"), most_hits=most_hits))
    memory, _ = found["optimum"]
    assert least * TB < memory["value"] < most * TB  # of 8 to 128 TB that are offered
    assert found["usd_per_mtok_total"] < 0.65 * found["usd_per_mtok_start"]
    assert found["tpot_ms"] <= 100 * (1 + 1e-6)
    assert [row["limit"] for row in found["active"]] == ["max_tpot_ms"]


@pytest.fixture(scope="module")
def best_h200():
    return optimize(CATALOG, Question("hgx-h200", **LLAMA), Plan(("memory", "concurrency")))


def test_no_request_queues_at_the_optimum(best_h200):
    memory, load = best_h200["optimum"]
    assert best_h200["ttft_ms"] < 5_000  # a thousand in flight where 130 run wait for minutes
    assert best_h200["usd_per_mtok_total"] < best_h200["usd_per_mtok_start"]
    resized = [f"accelerator/h200-sxm.memory[0].capacity={memory['value'] / 8} B"]
    shape = {axis: int(n) for axis, n in best_h200["layout"].items()}
    asked = Question("hgx-h200", **LLAMA, concurrency=float(np.floor(load["value"])), **shape)
    point = choose(set_up(load_catalog(overrides=resized), asked)).evaluation.point
    assert np.floor(load["value"]) <= float(point.memory.sequences)
    assert load["value"] == pytest.approx(best_h200["concurrency"])


def test_a_load_that_memory_sets_follows_the_memory_of_the_design():
    """Twice the room, twice the load, though it is not varied; one that the user names stays."""
    for concurrency, times in ((None, 2.0), (20.0, 1.0)):
        setup = set_up(
            CATALOG, Question("hgx-h200", **LLAMA | {"max_tpot_ms": None}, concurrency=concurrency)
        )
        problem = module.Problem(setup, choose(setup), Plan(("memory",)))
        use = problem.choice.evaluation.point.memory
        doubled = problem.start[0] + float(use.sequences * use.per_sequence) / 0.9 / 0.97 * problem.count
        room = float(problem.runs(problem.knobs_at(jnp.asarray([doubled]))) / problem.runs(problem.at))
        assert room == pytest.approx(2.0, rel=0.02)
        before, after = (float(problem.in_flight(jnp.asarray([x]))) for x in (problem.start[0], doubled))
        assert after / before == pytest.approx(times, rel=0.02)


def test_a_load_that_is_not_varied_does_not_queue_either():
    question = Question("hgx-h200", "llama-3.1-70b", precision="fp8", concurrency=800.0, tp=1, pp=1)
    setup = set_up(CATALOG, question)
    problem = module.Problem(setup, choose(setup), Plan(("memory",)))
    assert float(problem.in_flight(problem.start)) == pytest.approx(float(problem.runs(problem.at)))
    assert float(problem.evaluation(problem.start)[0].point.ttft) < 0.1 * float(
        problem.choice.evaluation.point.ttft
    )


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"most_hits": 2.0}, "--most-hits 2: write a share"),
        ({"most_hits": -0.1}, "--most-hits -0.1: write a share"),
        ({"max_kw": 0.0}, "--max-kw 0: write a positive"),
        ({"max_kw": -1.0}, "--max-kw -1: write a positive"),
        ({"usd_per_gb": -5.0}, "--usd-per-gb -5: write a price"),
        ({"usd_per_tb_s": -1.0}, "--usd-per-tb-s -1: write a price"),
    ],
)
def test_numbers_that_no_design_has_are_refused(plan, said):
    with pytest.raises(ConfigError, match=said):
        optimize(CATALOG, Question("hgx-h200", **LLAMA), Plan(("memory", "concurrency"), **plan))


@pytest.mark.parametrize(
    ("asked", "said"), [({"rate": 10.0}, "--rate"), ({"cost_basis": "rental_3y"}, "--cost-basis rental_3y")]
)
def test_what_an_optimum_cannot_be_of_is_refused(asked, said):
    with pytest.raises(ConfigError, match=said):
        optimize(CATALOG, Question("hgx-h200", **LLAMA, **asked), Plan(("memory", "concurrency")))


def within(max_kw):
    return optimize(CATALOG, Question("hgx-h200", **LLAMA), Plan(("memory", "concurrency"), max_kw=max_kw))


def test_a_limit_on_power_that_no_design_keeps_names_the_nearest_that_one_does():
    with pytest.raises(InfeasibleError, match=r"--max-kw 0\.5: the nearest feasible value is 5\.4\d+;"):
        within(0.5)


@pytest.mark.slow
def test_the_value_that_is_called_feasible_can_be_asked_for():
    with pytest.raises(InfeasibleError) as refusal:
        within(0.5)
    nearest = float(re.search(r"value is ([\d.]+);", str(refusal.value)).group(1))
    assert within(nearest)["concurrency"] == pytest.approx(1.0)
    assert within(1.002 * nearest)["active"][0]["limit"] == "max_kw"
    with pytest.raises(InfeasibleError):
        within(0.998 * nearest)


@pytest.mark.slow
def test_a_limit_between_idle_and_busy_is_kept_at_a_price_between_theirs():
    idle, tight, loose = (within(kw)["usd_per_mtok_total"] for kw in (5.6, 7.0, 9.0))
    assert idle > 2 * tight > 4 * loose


def test_the_lowest_of_two_valleys_is_found_under_a_limit_that_neither_start_nor_slope_shows():
    """A limit kept by x < 0.1 or y < 0.1 only; the deeper valley is the one away from the middle of the box."""
    value = lambda x: (x[0] * x[1]) ** -1.0 * jnp.where(x[0] < 0.1, 0.5, 1.0)
    excess = lambda x: jnp.minimum(jnp.log(x[0] / 0.1) + 1e-3 * x[1], jnp.log(x[1] / 0.1))[None]
    found = minimise(lambda x: (value(x), excess(x)), jnp.full(2, 1e-2), jnp.full(2, 10.0))
    assert found.kept
    assert found.x == pytest.approx([0.1 * np.exp(-0.01), 10.0], rel=1e-3)


def test_an_optimum_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="--vary is empty: write some of memory, bandwidth"):
        optimize(CATALOG, Question("hgx-h200", **LLAMA), Plan(()))


def test_a_price_that_moves_no_cost_has_no_break_even():
    """Money without interest, a resale at the whole price and no shares of the price that are spent."""
    free = [f"price.{name}=0" for name in ("wacc", "maintenance_fraction", "network_fraction")]
    terms = CATALOG.changed([parse_override(each) for each in [*free, "price.residual_fraction=1"]])
    with pytest.raises(
        InfeasibleError, match=r"its tokens cost the same at every price; lower price\.residual"
    ):
        breakeven(terms, Question("mi355x", **LLAMA), "mi355x", "hgx-b200")


def test_an_optimum_that_is_not_a_number_is_no_answer(monkeypatch):
    nowhere = lambda _, lower, upper: Optimum(lower, np.nan, np.zeros(1), np.full(1, np.nan), (False, False))
    monkeypatch.setattr(module, "minimise", nowhere)
    with pytest.raises(InfeasibleError, match="has a finite price"):
        optimize(CATALOG, Question("hgx-h200", **LLAMA), Plan(("memory", "concurrency")))


@pytest.mark.parametrize("top", ["-1", "0"])
def test_a_table_of_no_rows_is_not_a_table(top):
    asked = ["design", "sensitivity", "--system", "hgx-h200", "--model", "llama-3.1-70b", "--top", top]
    assert CliRunner().invoke(app, asked).exit_code == 2


def test_an_unknown_knob_is_one_sentence():
    with pytest.raises(ConfigError, match="did you mean"):
        optimize(CATALOG, PROMETHEUS, Plan(("memry",)))


REUSE = Reuse(most=0.6, interval=300.0)


@given(st.floats(1e3, 1e15), st.floats(1e3, 1e12))
def test_the_working_set_curve_solves_its_equation_and_stays_below_its_ceiling(capacity, inflow):
    hit = float(prefix_hit_rate(REUSE, jnp.asarray(capacity), jnp.asarray(inflow)))
    oracle = brentq(
        lambda h: h - 0.6 * -np.expm1(-capacity / (inflow * (1 - h)) / 300), 0, 0.6 + 1e-12, xtol=1e-15
    )
    assert hit == pytest.approx(oracle, abs=1e-9)
    assert 0 <= hit <= 0.6


def test_the_working_set_inverts_the_curve_and_the_curve_has_exact_gradients():
    inflow, share = jnp.asarray(5e9), jnp.asarray(0.7)
    capacity = working_set(REUSE, inflow, share)
    assert prefix_hit_rate(REUSE, capacity, inflow) == pytest.approx(0.7 * 0.6, rel=1e-9)
    terabytes = lambda c: prefix_hit_rate(REUSE, c * TB, inflow)
    check_grads(jax.jit(terabytes), (capacity / TB,), order=1, modes=("fwd", "rev"), rtol=1e-6)
