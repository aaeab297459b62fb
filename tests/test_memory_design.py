"""Memory as money: its part of every price, the dated series, cached tokens, maps and a vendor's claims."""

import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog
from clustermodel.chain import Question, compare, cost
from clustermodel.chain.choose import choose
from clustermodel.chain.setup import set_up
from clustermodel.design import breakeven, breakeven_map, claims, memory, memory_series
from clustermodel.design.offload import kept_token
from clustermodel.economics.levelized import memory_prices, purchase_price
from clustermodel.physics.deployment import Layout
from clustermodel.specs import strong_float

CATALOG = load_catalog()
ASKED = Question(
    "hgx-b200",
    "deepseek-v3",
    precision="fp8",
    workload="chat-mooncake",
    tp=1,
    pp=1,
    dp=8,
    ep=8,
    concurrency=256.0,
)
PRICED = [slug for slug in CATALOG.paths("systems") if float(CATALOG.entry("systems", slug).spec.price) > 0]


@pytest.fixture(scope="module")
def answer():
    return memory(CATALOG, ASKED)


@pytest.mark.parametrize("slug", PRICED)
def test_memory_is_a_part_of_a_systems_price(slug):
    spec = CATALOG.entry("systems", slug).spec
    parts = np.asarray(memory_prices(spec))
    assert np.all(parts >= 0)
    assert parts.sum() < float(spec.price)


def test_parts_add_up_to_the_price(answer):
    parts = [row["price_usd"] for row in answer["tiers"]]
    assert sum(parts) + answer["rest_usd"] == pytest.approx(answer["price_usd"], rel=1e-12)
    assert answer["price_usd"] == pytest.approx(450e3)
    by_hand = 8 * 180 * 2**30 * 18e-9, 2000 * 14.0  # HBM3e at 18 USD/GB, host DRAM at 14
    assert parts == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_one_factor_moves_the_price_of_every_system_by_its_memory(factor):
    terms = CATALOG.entry("prices", "ownership").spec
    moved = dataclasses.replace(terms, memory_factor=strong_float(factor))
    for slug in PRICED:
        spec = CATALOG.entry("systems", slug).spec
        rise = float(purchase_price(spec, moved) - purchase_price(spec, terms)) * float(spec.count)
        expected = (factor - 1) * float(np.sum(np.asarray(memory_prices(spec)))) * float(terms.price_factor)
        assert rise == pytest.approx(expected, rel=1e-6, abs=1e-6 * float(spec.price)), slug


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.9])
@pytest.mark.parametrize("price", [1.0, 57e3, 2.7e6, 3.3e6])
def test_cheaper_memory_takes_off_no_more_than_its_share_of_a_price_that_somebody_asks_about(price, factor):
    terms = CATALOG.entry("prices", "ownership").spec
    moved = dataclasses.replace(terms, memory_factor=strong_float(factor))
    spec = dataclasses.replace(CATALOG.entry("systems", "prometheus-128tb").spec, price=strong_float(price))
    inside = float(np.sum(np.asarray(memory_prices(spec))))
    assert 2.7e6 < inside < 3.3e6
    paid = float(purchase_price(spec, moved) * spec.count / terms.price_factor)
    assert paid == pytest.approx(price + (factor - 1) * (min(price, inside) if factor < 1 else inside))
    assert paid > 0


@pytest.mark.parametrize("factor", [0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_system_that_costs_less_than_its_memory_matches_at_its_price_to_the_cent(factor):
    catalog = load_catalog(overrides=[f"price.memory_factor={factor}"])
    asked = Question("prometheus-128tb", "qwen3-30b-a3b", rate=0.1, max_tpot_ms=50, pp=4)
    found = breakeven(catalog, asked, "prometheus-128tb", "hgx-h100")
    assert 0 < found["price_usd"]["value"] < 2.7e6
    for side in ("candidate", "reference"):
        assert found[side]["usd_per_mtok_total"] == pytest.approx(found["usd_per_mtok"], rel=1e-9)


def test_what_a_system_costs_that_is_given_away_is_more_than_the_reference():
    catalog = load_catalog(overrides=["price.memory_factor=1.5"])
    asked = Question("prometheus-128tb", "qwen3-30b-a3b", rate=0.1, max_tpot_ms=50, pp=4)
    with pytest.raises(InfeasibleError) as refused:
        breakeven(catalog, asked, "prometheus-128tb", "hgx-h100")
    free, target = map(float, re.findall(r"(?:cost |'s )(\d+\.?\d*)(?: USD| in)", str(refused.value)))
    given = load_catalog(overrides=["price.memory_factor=1.5", "system/prometheus-128tb.price=1 USD"])
    assert free == pytest.approx(cost(given, asked)["usd_per_mtok_total"], rel=5e-3)
    assert free > target


def test_a_price_below_the_memory_inside_is_refused_where_its_parts_are_asked_for():
    catalog = load_catalog(overrides=["system.price=57 kUSD"])
    asked = Question("prometheus-128tb", "qwen3-30b-a3b")
    with pytest.raises(
        ConfigError, match=r"^system\.price 57000 USD is less than the .* USD of memory inside"
    ):
        memory(catalog, asked)
    low, high = cost(catalog, asked)["price_range"]["usd_per_mtok_total"].values()
    assert 0 < low < high


def test_half_as_much_again_for_memory_makes_a_vera_rubin_rack_an_eighth_dearer():
    # Morgan Stanley's bill: memory is 25.7 % of the rack, flash included, so 50 % more is +12.8 %
    spec = CATALOG.entry("systems", "vr200-nvl72").spec
    rise = 0.5 * float(np.sum(np.asarray(memory_prices(spec)))) / float(spec.price)
    assert rise == pytest.approx(0.128, rel=0.12)  # flash is not in our tiers


def test_the_override_of_a_user_is_what_the_answer_says(answer):
    plain, dearer = answer["dearer"]
    asked = load_catalog(overrides=["price.memory_factor=1.5"])
    assert cost(asked, ASKED)["usd_per_mtok_total"] == pytest.approx(dearer["usd_per_mtok_total"], rel=1e-9)
    assert plain["usd_per_mtok_total"] == pytest.approx(answer["usd_per_mtok_total"], rel=1e-9)
    assert dearer["price_usd"] - plain["price_usd"] == pytest.approx(0.5 * (450e3 - answer["rest_usd"]))


def test_the_series_has_the_contract_rises_of_2025_and_2026():
    rises = {(row["memory"].split()[0], row["date"]): row["rise"] for row in memory_series(CATALOG)}
    assert 0.45 <= rises["DRAM", "2025-10"] <= 0.50  # TrendForce: 45 to 50 %
    assert rises["DRAM", "2026-01"] == pytest.approx(0.925, abs=0.1)  # 90 to 95 %; "over 900 USD" a module
    assert rises["HBM3e", "2026-06"] == pytest.approx(0.20, abs=1e-6)


def test_at_its_break_even_time_a_kept_token_costs_what_prefilling_it_again_does():
    setup = set_up(CATALOG, ASKED)
    choice = choose(setup)
    layout = Layout(*map(jnp.asarray, map(float, choice.shape)))
    load = setup.load(jnp.asarray(choice.concurrency))
    kept = kept_token(setup.deployment(layout), load, choice.evaluation, setup.terms.spec)
    for tier in (0, 1):
        at_the_end = kept.cached_price(kept.pays_for[tier])[tier]
        assert float(at_the_end) == pytest.approx(float(kept.recompute_cost), rel=1e-9)
    assert kept.size == pytest.approx(61 * 576)  # one byte an element
    assert kept.pays_for[2] == jnp.inf  # no such tier: nothing to pay


def test_a_token_is_kept_for_hours_and_read_back_faster_than_prefilled(answer):
    for row in answer["tiers"]:
        assert row["faster_than_prefill"] > 10
        assert (
            0.5 < row["pays_for_hours"] < 24
        )  # the study finds 1.9 to 10.9 h for this model at 10 to 25 USD/GB
        assert row["usd_per_mtok_cached_input"] < answer["usd_per_mtok_input"]


def test_memory_inside_a_quoted_price_is_not_taken_apart():
    with pytest.raises(ConfigError, match="bottom_up"):
        memory(CATALOG, dataclasses.replace(ASKED, cost_basis="neocloud"))


OVER = dict(model="llama-3.1-70b", precision="fp8", max_tpot_ms=50)


@pytest.fixture(scope="module")
def bandwidth_map():
    return breakeven_map(CATALOG, Question("prometheus-8tb", **OVER), "prometheus-8tb", "hgx-h100")


def test_more_bandwidth_is_never_worth_less(bandwidth_map):
    cells = bandwidth_map["cells"]
    for touched in {cell["touched"] for cell in cells}:
        prices = [cell["price_usd"] or 0.0 for cell in cells if cell["touched"] == touched]
        assert prices == sorted(prices)
    at_all, at_little = (next(c["price_usd"] for c in cells if c["touched"] == t) for t in (1.0, 0.01))
    assert (
        at_all or 0.0
    ) < at_little  # at half the bandwidth; with plenty it is the reference that gains more


def test_a_cell_of_the_map_is_the_price_at_which_the_whole_answer_matches(bandwidth_map):
    cell = next(c for c in bandwidth_map["cells"] if c["bandwidth"] == 51.2e12 and c["touched"] == 0.1)
    read = 0.1 * (1024 + 1024)
    same = [f"model.sparse_topk={float(read)} token"]
    own = ["system/prometheus-8tb.memory[0].bandwidth=51.2 TB/s"]
    priced = [*own, f"system/prometheus-8tb.price={cell['price_usd']} USD"]
    overridden = load_catalog(overrides=same + priced)
    paid, reference = (cost(overridden, Question(name, **OVER)) for name in ("prometheus-8tb", "hgx-h100"))
    assert reference["usd_per_mtok_total"] == pytest.approx(cell["reference_usd_per_mtok"], rel=1e-3)
    # a cell is searched as the answer is, at another price: layout and load may differ by what is hardly worth it
    assert paid["usd_per_mtok_total"] == pytest.approx(cell["reference_usd_per_mtok"], rel=1e-3)


def test_a_system_costs_as_much_as_itself():
    question = Question("prometheus-8tb", "llama-3.1-70b", precision="fp8", max_tpot_ms=50, concurrency=64.0)
    found = breakeven_map(CATALOG, question, "prometheus-8tb", "prometheus-8tb", "price-utilisation")
    (same,) = (c for c in found["cells"] if c["price"] == pytest.approx(740e3) and c["utilisation"] == 1.0)
    assert same["cost_ratio"] == pytest.approx(1.0, rel=1e-12)
    (idle,) = (c for c in found["cells"] if c["price"] == pytest.approx(740e3) and c["utilisation"] == 0.2)
    assert idle["cost_ratio"] == pytest.approx(
        5.0, rel=1e-9
    )  # nothing is saved by selling a fifth of the hours
    with pytest.raises(ConfigError, match="did you mean"):
        breakeven_map(CATALOG, question, "prometheus-8tb", "hgx-h100", "price-utilization")


MI355X = dict(model="llama-3.1-70b", precision="fp8", max_tpot_ms=50)


@pytest.mark.parametrize(
    "asked", [{}, pytest.param({"rate": 50.0, "n_accelerators": 1}, marks=pytest.mark.slow)]
)
def test_the_base_cell_of_a_map_is_the_break_even_price_and_its_reference_what_compare_says(asked):
    question = Question("mi355x", **MI355X, **asked)
    found = breakeven_map(CATALOG, question, "mi355x", "hgx-b200", "memory-context")
    capacity = 8 * float(CATALOG.entry("systems", "mi355x").spec.accelerator.memory.capacity[0])
    (base,) = (c for c in found["cells"] if c["memory"] == pytest.approx(capacity) and c["context"] == 1024)
    price = breakeven(CATALOG, question, "mi355x", "hgx-b200")["price_usd"]["value"]
    reference = compare(CATALOG, question, ["hgx-b200"])["points"][0]["usd_per_mtok_total"]
    assert base["price_usd"] == pytest.approx(price, rel=1e-3)
    assert base["reference_usd_per_mtok"] == pytest.approx(reference, rel=1e-3)


def test_the_memory_of_a_map_is_where_running_data_live():
    found = breakeven_map(CATALOG, Question("mi355x", **MI355X), "mi355x", "hgx-b200", "memory-context")
    memory = sorted({cell["memory"] for cell in found["cells"]})
    hbm = 8 * 288 * 2**30  # of its eight accelerators, not the DRAM of the host
    assert memory == pytest.approx([hbm * factor for factor in (0.25, 0.5, 1, 2, 4)], rel=0.08)  # GB or GiB
    prices = {cell["memory"]: cell["price_usd"] for cell in found["cells"] if cell["context"] == 1024}
    assert prices[memory[0]] < 0.9 * prices[memory[2]]  # a quarter of it holds too few requests


def test_a_map_in_which_no_cell_has_an_answer_says_why():
    question = Question("mi355x", "llama-3.1-70b", precision="fp8", max_tpot_ms=0.01)
    with pytest.raises(InfeasibleError, match=r"no cell of the map .* nearest feasible value"):
        breakeven_map(CATALOG, question, "mi355x", "hgx-b200")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workload": "agentic"}, "--workload: claims are held against workloads of their own"),
        ({"isl": 1000.0, "osl": 100.0}, "--isl, --osl: claims are held"),
        ({"rate": 10.0}, "--rate"),
        ({"cost_basis": "neocloud"}, "--cost-basis neocloud"),
        ({"allocation": "input_only"}, "--allocation input_only"),
    ],
)
def test_what_claims_are_not_about_is_refused(asked, said):
    with pytest.raises(ConfigError, match=said):
        claims(CATALOG, Question("vr200-nvl72", "hyp-1t-mla", **asked), "prometheus-128tb", "vr200-nvl72")


def test_a_workload_without_rows_has_a_reason():
    at = lambda **asked: claims(CATALOG, Question("hgx-b200", **asked), "prometheus-128tb", "hgx-b200")
    short = at(model="llama-3.1-70b", precision="fp8")
    assert {row["workload"] for row in short["claims"]} == {"bytes stored", "bytes read", "chat-1k"}
    reasons = {row["workload"]: row["reason"] for row in short["left_out"]}
    assert "1,048,576 tokens long" in reasons["long-context-1m"]
    assert "131,072" in reasons["long-context-128k"]
    fast = at(model="llama-3.1-70b", precision="fp8", max_tpot_ms=0.01)
    chat = {row["system"]: row["reason"] for row in fast["left_out"] if row["workload"] == "chat-1k"}
    assert chat.keys() == {"prometheus-128tb", "hgx-b200"}
    assert all("the nearest feasible value is" in reason for reason in chat.values())


def test_the_vendors_claims_hold_for_stored_bytes_and_for_nothing_that_is_read():
    found = claims(
        CATALOG,
        Question("prometheus-128tb", "hyp-1t-mla", precision="fp4", max_tpot_ms=100),
        "prometheus-128tb",
        "vr200-nvl72",
    )
    rows = {(row["claim"], row["workload"]): row for row in found["claims"]}
    assert rows["one rack holds 25 racks", "bytes stored"]["found"] == pytest.approx(512 / 20.7, rel=0.01)
    assert rows["one rack holds 25 racks", "bytes read"]["found"] == pytest.approx(102.4 / 1580, rel=0.01)
    assert rows["fast memory", "bytes stored"]["found"] == pytest.approx(128 / 2.307, rel=0.01)
    assert rows["fast memory", "bytes read"]["found"] == pytest.approx(0.41, rel=0.02)
    assert rows["capital cost", "bytes stored"]["found"] == pytest.approx(195 / 13.2, rel=0.02)
    held = {workload for (_, workload), row in rows.items() if row["holds"] == "yes"}
    assert held == {"bytes stored"}
    assert {workload for _, workload in rows} >= {"chat-1k", "long-context-1m", "long-context-1m, 1% touched"}


@pytest.mark.slow
def test_with_our_own_rack_of_72_no_price_matches_dense_reads_and_little_does_sparse_ones():
    # the study's question 3 again, with calibrated efficiencies, arithmetic and links; almost all input is cached
    asked = Question(
        "prometheus-128tb",
        "hyp-1t-mla",
        precision="fp4",
        workload="long-context-1m",
        prefix_hit_rate=0.999,
        max_tpot_ms=100,
    )
    found = breakeven_map(CATALOG, asked, "prometheus-128tb", "gb200-nvl72")
    price = {(cell["touched"], cell["bandwidth"] / 25.6e12): cell["price_usd"] for cell in found["cells"]}
    assert all(price[1.0, factor] is None for factor in (0.5, 1, 2, 4, 8, 12))
    # the study: 0.60 MUSD, at one layout and one efficiency for all; here either side has its best in every cell
    assert 0.3e6 < price[0.01, 1.0] < 1.5e6
    assert price[0.01, 8.0] < 2.8e6  # its DRAM alone, at 18 USD/GB
