"""Prefill and decode on pools of their own: rate matching, transfer, the search, the bill, the answers."""

import dataclasses
import heapq
import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from jax.test_util import check_grads
from test_serving import random_deployment
from typer.testing import CliRunner

from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog
from clustermodel.chain import Question, compare, cost, frontier, power
from clustermodel.chain.pools.search import evaluate_rows
from clustermodel.chain.pools.setup import set_up_pools
from clustermodel.cli.main import app
from clustermodel.physics.deployment import Layout
from clustermodel.serving.open_loop import Arrivals, Quantiles, attained
from clustermodel.serving.pools import Pool, Pools, Wave, circulation, disaggregated
from clustermodel.serving.pools_open_loop import erlang_c, open_loop_pools, prefill_wait
from clustermodel.serving.steady import closed_loop

CATALOG = load_catalog()
LLAMA = Question(
    "hgx-h200",
    "llama-3.1-70b",
    precision="fp8",
    max_tpot_ms=40,
    max_ttft_ms=1500,
    allocation="disaggregated",
    tp=2,
    pp=1,
    dp=1,
    prefill_tp=1,
    prefill_pp=1,
    prefill_dp=1,
)


def changed(**fields):
    return dataclasses.replace(LLAMA, **fields)


def pools(prefill=2.0, decode=1.0, overlap=0.0, apart=0.0, **changes):
    worker = lambda tp: worlds.deployment(layout=Layout(tp=tp), **changes)
    return Pools(Pool(worker(2.0), prefill), Pool(worker(4.0), decode), overlap, apart)


@pytest.fixture(scope="module")
def answer():
    return cost(CATALOG, LLAMA)


serve = eqx.filter_jit(disaggregated)


def exact_throughput(requests, servers, service, delay):
    """Closed network of one station of like servers and a delay, exponential: birth and death [Kleinrock 1975]."""
    log_weight = [0.0]
    for k in range(requests):  # k at the station, the others away
        log_weight.append(log_weight[-1] + math.log((requests - k) / delay * service / min(k + 1, servers)))
    weight = np.exp(np.asarray(log_weight) - max(log_weight))
    busy = np.minimum(np.arange(requests + 1), servers)
    return float(np.sum(weight / weight.sum() * busy) / service)


@pytest.mark.parametrize("servers", [1, 4, 16])
@pytest.mark.parametrize("requests", [1, 8, 64, 512])
def test_requests_circulate_as_in_an_exact_closed_network(servers, requests):
    service, delay = 0.5, 30.0
    wave = Wave(*map(worlds.scalar, (service, service, servers / service, servers / service)))
    found = float(circulation(worlds.scalar(requests), wave, worlds.scalar(delay)))
    exact = exact_throughput(requests, servers, service, delay)
    assert found == pytest.approx(exact, rel=0.03)  # Seidmann's and Schweitzer's approximations
    assert found <= min(servers / service, requests / (service + delay)) * (1 + 1e-9)


def test_without_prompts_a_decode_pool_is_an_aggregated_replica():
    load = worlds.load(64.0, isl=1.0, osl=2048.0)
    alone = eqx.filter_jit(closed_loop)(worlds.deployment(layout=Layout(tp=4.0)), load)
    found = serve(pools(), load)
    assert float(found.tpot) == pytest.approx(float(alone.tpot), rel=0.02)


def test_a_decode_pool_never_waits_for_prefill_where_a_replica_does():
    load = worlds.load(64.0, isl=8192.0)
    alone, found = eqx.filter_jit(closed_loop)(worlds.deployment(), load), serve(pools(prefill=16.0), load)
    assert float(alone.time.prefill) > 0.2 * float(alone.tpot)
    assert float(found.tpot) < float(alone.tpot)


def test_littles_law_holds_over_both_pools():
    for n in (4.0, 64.0, 1024.0):
        found = serve(pools(), worlds.load(n))
        cycle = n / float(found.request_rate)
        assert float(found.ttft) >= (cycle - 1024 * float(found.tpot)) * (1 - 1e-9)
        assert float(found.batch) == pytest.approx(float(found.output_rate * found.tpot), rel=2e-3)


def test_a_pool_is_no_faster_than_its_prefill_its_decode_or_its_links():
    slow = worlds.system(scaleout_bandwidth=1e6, scaleup_bandwidth=0.0, hostlink_bandwidth=1e6)
    few, many = (serve(pools(*sizes), worlds.load(1e5)) for sizes in ((1.0, 20.0), (50.0, 1.0)))
    assert float(few.prefill_utilisation) == pytest.approx(1.0, abs=0.01)
    assert float(many.batch) == pytest.approx(float(many.room), rel=0.01)
    crawl = serve(pools(prefill=50.0, system=slow), worlds.load(1e5))
    per_rank = 2 * 1e6 * 0.56  # two accelerators of a prefill worker, the share of a link that is reached
    assert float(crawl.request_rate) <= 4 * 1e6 * 0.56 / (1024 * 163840)
    assert float(crawl.transfer) == pytest.approx(1024 * 163840 / per_rank)


def test_the_transfer_is_bytes_over_the_slower_link_and_overlap_hides_it():
    load = worlds.load(8.0)
    near, far = serve(pools(), load), serve(pools(apart=1.0), load)
    rate = lambda link: 2 * link * 0.56  # two accelerators hold a prompt's cache
    assert float(near.transfer) == pytest.approx(1024 * 163840 / rate(400e9))
    assert float(far.transfer) == pytest.approx(1024 * 163840 / rate(50e9))
    hidden = serve(pools(apart=1.0, overlap=1.0), load)
    assert float(hidden.exposed) == pytest.approx(0.0, abs=1e-12)
    assert float(hidden.ttft) < float(far.ttft)
    assert float(far.ttft - hidden.ttft) == pytest.approx(float(far.transfer), rel=0.05)


def test_a_prefix_hit_takes_work_off_the_prefill_pool_and_costs_its_reload():
    cold, warm = (serve(pools(), worlds.load(64.0, prefix_hit_rate=h)) for h in (0.0, 0.75))
    assert float(warm.wave) < 0.5 * float(cold.wave)
    assert float(warm.transfer) == float(cold.transfer)  # decode needs the whole context
    assert 0 < float(warm.token_time.reload) < float(warm.token_time.prefill)


def random_pools(row):
    prefill, load = random_deployment(row[:14])
    decode, _ = random_deployment(row[14:28])
    decode = eqx.tree_at(lambda d: d.model, decode, prefill.model)
    workers = 2.0 ** jnp.floor(row[28:30] * 6)
    return Pools(Pool(prefill, workers[0]), Pool(decode, workers[1]), row[30], jnp.round(row[31])), load


def test_no_pair_of_pools_is_below_the_physical_bound_in_16_400_configurations():
    draws = jnp.asarray(np.random.default_rng(11).uniform(size=(16_400, 32)))
    found = jax.jit(jax.vmap(lambda row: disaggregated(*random_pools(row))))(draws)
    slack = 1 + 1e-9
    assert bool(jnp.all(found.tpot * slack >= found.bounds.tpot))
    assert bool(jnp.all(found.ttft * slack >= found.bounds.ttft))
    assert bool(jnp.all(found.output_rate <= found.bounds.output_rate * slack))
    for value in (found.ttft, found.tpot, found.batch, found.request_rate):
        assert bool(jnp.all(jnp.isfinite(value) & (value > 0)))
    one = disaggregated(*random_pools(draws[-1]))  # vmap and jit against one row, eager
    np.testing.assert_allclose(found.tpot[-1], one.tpot, rtol=1e-9)
    np.testing.assert_allclose(found.ttft[-1], one.ttft, rtol=1e-9)


def test_gradients_match_finite_differences():
    def ttft(scale):
        return disaggregated(pools(system=worlds.system(scaleup_bandwidth=4e11 * scale)), worlds.load()).ttft

    check_grads(jax.jit(ttft), (jnp.asarray(1.0),), order=1, modes=("rev",), rtol=1e-4)


def test_the_pool_ratio_is_the_best_of_all(answer):
    setup = set_up_pools(CATALOG, LLAMA)
    ratios = [(a, b) for a in range(1, 17) for b in range(1, 17)]
    loads = 2.0 ** np.arange(3, 8.01, 0.25)
    rows = [((1, 1, 1, 1), (2, 1, 1, 1), (a, b), round(n * b)) for a, b in ratios for n in loads]
    every = evaluate_rows(setup, rows)
    brute = np.min(every.price[every.meets(1.5, 0.040)]) * 1e6
    assert answer["usd_per_mtok_total"] <= brute * (1 + 1e-9)
    assert answer["usd_per_mtok_total"] == pytest.approx(brute, rel=0.02)  # the brute loads are a ladder


@pytest.mark.parametrize("prefill_system", [None, "hgx-h100"])
def test_the_prices_of_both_pools_sum_to_the_bill(prefill_system):
    a = cost(CATALOG, changed(prefill_system=prefill_system, prefix_hit_rate=0.5, prefill_workers=3))
    tokens = (a["isl"] * 0.5, a["isl"] * 0.5, a["osl"])
    prices = [a[f"usd_per_mtok_{each}"] for each in ("input", "cached_input", "output")]
    bill = sum(n * price for n, price in zip(tokens, prices, strict=True))
    assert bill == pytest.approx(a["usd_per_mtok_total"] * (a["isl"] + a["osl"]))
    hour = a["usd_per_accelerator_hour"] * a["accelerators_paid_for"]
    rate = a["total_tok_s_per_accelerator"] * a["n_accelerators"] * 3600
    assert hour / rate * 1e6 == pytest.approx(a["usd_per_mtok_total"])
    decode = a["pools"]["decode"]
    per_output = decode["usd_per_accelerator_hour"] * decode["accelerators_paid_for"] / 3600
    output = a["output_tok_s_per_accelerator"] * a["n_accelerators"]
    assert a["usd_per_mtok_output"] == pytest.approx(per_output / output * 1e6)
    assert sum(pool["bill_share"] for pool in a["pools"].values()) == pytest.approx(1.0)


def test_an_answer_about_pools_has_the_fields_of_any_other(answer):
    whole = cost(CATALOG, dataclasses.replace(LLAMA, allocation="time_weighted", **NO_POOLS))
    assert whole.keys() <= answer.keys()
    json.dumps(answer, allow_nan=False)
    for name, total in {
        "step_ms": answer["tpot_ms"],
        "usd_per_accelerator_hour": answer["usd_per_accelerator_hour"],
        "power_w": answer["facility_w_per_accelerator"],
    }.items():
        assert sum(answer["breakdown"][name].values()) == pytest.approx(total)
    for pool in ("prefill", "decode"):
        assert answer["layout"][pool].keys() == {"tp", "pp", "dp", "ep", "workers"}
    sizes = [
        math.prod(layout[axis] for axis in layout if axis != "ep") for layout in answer["layout"].values()
    ]
    assert sum(sizes) == answer["n_accelerators"]


NO_POOLS = {f"prefill_{axis}": None for axis in ("tp", "pp", "dp", "ep", "workers", "system")}


def test_what_is_asked_of_the_pools_is_done():
    a = cost(CATALOG, changed(prefill_workers=3, decode_workers=2, concurrency=100))
    assert (a["layout"]["prefill"]["workers"], a["layout"]["decode"]["workers"]) == (3, 2)
    assert a["concurrency"] == 100
    filled = cost(CATALOG, changed(n_accelerators=24))
    assert filled["n_accelerators"] == 24
    dear = cost(CATALOG, changed(prefill_system="hgx-h100", prefill_workers=3, decode_workers=2))
    assert dear["pools"]["prefill"]["system"] == "hgx-h100"
    assert dear["pools"]["decode"]["system"] == "hgx-h200"
    assert {"systems/hgx-h100", "systems/hgx-h200"} <= dear["inputs"]["entries"].keys()


def test_pools_draw_what_their_boards_draw_and_joules_follow_the_pools():
    found = power(CATALOG, LLAMA)
    pool = found["pools"]
    drawn = sum(p["facility_w_per_accelerator"] * p["accelerators_paid_for"] for p in pool.values())
    paid = sum(p["accelerators_paid_for"] for p in pool.values())
    assert drawn / paid == pytest.approx(found["facility_w_per_accelerator"])
    each = found["joules_per_token"]
    output = found["output_tok_s_per_accelerator"] * found["n_accelerators"]
    assert (each["input"] + each["output"]) * output == pytest.approx(drawn)  # as many tokens in as out


def test_the_frontier_of_pools_falls_and_comparisons_take_them():
    points = frontier(CATALOG, LLAMA, ["hgx-h200"])["points"]
    assert len(points) > 5
    for key in ("interactivity_tok_s_user", "usd_per_mtok_total"):
        values = [point[key] for point in points]
        assert values == sorted(values, reverse=True)
    ranked = compare(CATALOG, LLAMA, ["hgx-h200", "hgx-b200"])["points"]
    assert [point["layout"].keys() for point in ranked] == [{"prefill", "decode"}] * 2


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"allocation": "flops_weighted"}, ConfigError, "--allocation 'flops_weighted'"),
        ({"prefill_workers": 0}, ConfigError, "--prefill-workers 0"),
        ({"prefill_system": "hgx-h10"}, ConfigError, "did you mean"),
        ({"n_accelerators": 2}, ConfigError, "no pair of pools has --n-accelerators 2"),
        ({"max_ttft_ms": 1}, InfeasibleError, r"--max-ttft-ms 1: the nearest feasible value is [\d.]+ ms"),
        (
            {"precision": "bf16", "prefill_system": "hgx-h100"},
            InfeasibleError,
            "does not fit on a prefill worker",
        ),
    ],
)
def test_a_wrong_question_about_pools_is_answered_with_a_sentence(fields, error, says):
    with pytest.raises(error, match=says):
        cost(CATALOG, changed(**fields))


def test_the_command_line_shows_both_pools():
    words = (
        "cost --system hgx-h200 --prefill-system hgx-h100 --model llama-3.1-70b --precision fp8 --tp 2 --dp 1"
    )
    limits = "--pp 1 --prefill-tp 2 --prefill-pp 1 --max-tpot-ms 40 --max-ttft-ms 2000"
    shown = CliRunner().invoke(app, [*words.split(), *limits.split()])
    assert shown.exit_code == 0, shown.output
    for text in ("prefill pool", "decode pool", "transfer", "hgx-h100", "disaggregated"):
        assert text in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100


def test_waiting_for_a_prefill_rank_is_erlangs_for_whole_numbers_of_ranks():
    for servers, work in ((1, 0.7), (3, 2.0), (20, 17.0)):
        blocked = 1.0
        for k in range(1, servers + 1):  # Erlang's recursion
            blocked = work * blocked / (k + work * blocked)
        waits = blocked / (1 - work / servers * (1 - blocked))
        assert float(erlang_c(worlds.scalar(servers), worlds.scalar(work))) == pytest.approx(waits)


def simulated_wait(servers, service, rate, requests=40_000):
    """Mean wait at a station of like servers: Poisson arrivals, exponential work, in order of arrival."""
    random = np.random.default_rng(5)
    arrival = np.cumsum(random.exponential(1 / rate, requests))
    work, free, waited = random.exponential(service, requests), [0.0] * servers, np.empty(requests)
    for i, now in enumerate(arrival):
        start = max(now, heapq.heappop(free))
        waited[i] = start - now
        heapq.heappush(free, start + work[i])
    return float(waited[requests // 10 :].mean())


def test_waiting_for_a_prefill_rank_agrees_with_a_simulation():
    servers, service, rate = 4, 0.5, 6.8
    wave = Wave(*map(worlds.scalar, (service, service, servers / service, servers / service)))
    wait = prefill_wait(wave, worlds.scalar(rate), Arrivals(rate))
    seen = simulated_wait(servers, service, rate)
    assert float(wait.probability * wait.mean) == pytest.approx(seen, rel=0.1)  # noise of 36,000 requests


def test_pools_under_arrivals_wait_longer_at_a_higher_rate_and_have_a_limit():
    of = eqx.filter_jit(lambda rate, burst: open_loop_pools(pools(), worlds.load(), Arrivals(rate, burst)))
    limit = 1.0 / float(of(1.0, 1.0).utilisation)
    low, high, bursty = of(0.3 * limit, 1.0), of(0.9 * limit, 1.0), of(0.9 * limit, 4.0)
    for name in ("mean", "p50", "p90", "p99"):
        assert getattr(low.ttft, name) <= getattr(high.ttft, name) <= getattr(bursty.ttft, name)
        assert getattr(low.tpot, name) <= getattr(high.tpot, name)
    over = of(1.01 * limit, 1.0)
    assert float(over.stable) == 0
    assert np.isinf(float(over.ttft.p99))
    assert float(attained(over.ttft, worlds.scalar(1e3))) == 0


def test_the_share_that_keeps_an_objective_is_that_of_the_percentiles():
    latency = Quantiles(*map(worlds.scalar, (1.0, 0.8, 1.6, 4.0)))
    for level, limit in ((0.5, 0.8), (0.9, 1.6), (0.99, 4.0)):
        assert float(attained(latency, worlds.scalar(limit))) == pytest.approx(level)
    assert float(attained(latency, worlds.scalar(np.inf))) == 1.0


def test_a_rate_of_requests_is_carried_by_whole_systems_of_pools():
    few, many = (cost(CATALOG, changed(rate=rate, max_ttft_ms=3000)) for rate in (0.5, 500.0))
    assert few["usd_per_mtok_total"] > 3 * many["usd_per_mtok_total"]
    assert many["n_systems"] * 8 * many["output_tok_s_per_accelerator"] == pytest.approx(500 * 1024)
    assert 0.5 < many["latency"]["goodput_share"] <= 1
    strict = cost(CATALOG, changed(rate=500.0, max_ttft_ms=3000, percentile=99))
    assert strict["latency"]["ttft_ms"]["p99"] <= 3000
    # whole systems make the price a rugged function of the layouts, of which the search tries a ladder
    assert strict["usd_per_mtok_total"] >= many["usd_per_mtok_total"] * 0.95
    tokens = (strict["isl"], strict["osl"])
    bill = sum(
        n * strict[f"usd_per_mtok_{kind}"] for n, kind in zip(tokens, ("input", "output"), strict=True)
    )
    assert bill == pytest.approx(strict["usd_per_mtok_total"] * sum(tokens))
