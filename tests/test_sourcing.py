"""Own, rent or call: break-even volumes, list prices in the catalogue and beside systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import clustermodel as cm
from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.economics.sourcing import Capacity, break_even_rate, monthly_saving

MTOK_PER_TOK_S = 8760 / 12 * 3600 / 1e6
CATALOG = load_catalog()
costs = st.floats(0.01, 100.0)


def scalar(value):
    return jnp.asarray(value, dtype=float)


def capacity(fixed, variable, tok_s):
    return Capacity(*map(scalar, (fixed, variable, tok_s)))


# kernel
rate, saving = jax.jit(break_even_rate), jax.jit(monthly_saving)


@given(fixed=costs, variable=costs, tok_s=costs, price=costs)
def test_at_the_break_even_rate_both_cost_the_same_and_it_is_reached_only_if_full_use_is_cheaper(
    fixed, variable, tok_s, price
):
    owned = capacity(fixed, variable, tok_s)
    found = float(rate(owned, scalar(price)))
    if np.isfinite(found):
        assert float(saving(owned, scalar(price), scalar(found))) == pytest.approx(0, abs=1e-9 * fixed)
        assert float(owned.full_use) <= price * (1 + 1e-12)
    else:
        assert float(owned.full_use) > price * (1 - 1e-12)


@given(fixed=costs, tok_s=costs, more=st.floats(1.01, 5.0))
def test_a_dearer_alternative_is_beaten_at_a_smaller_volume_and_dearer_capacity_at_a_larger(
    fixed, tok_s, more
):
    price = 2 * fixed / tok_s
    base = float(rate(capacity(fixed, 0.0, tok_s), scalar(price)))
    assert base == pytest.approx(tok_s / 2)
    assert float(rate(capacity(fixed, 0.0, tok_s), scalar(price * more))) < base
    assert float(rate(capacity(fixed * more, 0.0, tok_s), scalar(price))) > base


def test_the_break_even_rate_has_exact_gradients_and_vectorises():
    owned, prices = capacity(10.0, 0.5, 40.0), jnp.linspace(0.6, 5.0, 16_400)
    check_grads(lambda price: rate(owned, price), (scalar(2.0),), order=1, modes=["rev"])
    many = jax.vmap(rate, in_axes=(None, 0))(owned, prices)
    for index in (0, 4_100, 8_200, 16_399):
        assert float(many[index]) == float(break_even_rate(owned, prices[index]))


# catalogue
@pytest.mark.parametrize("slug", CATALOG.paths("apis"))
def test_a_list_price_names_a_model_of_the_catalogue_and_never_charges_more_for_a_hit(slug):
    entry = CATALOG.entry("apis", slug)
    assert CATALOG.slug("models", entry.words["model"])
    assert 0 < float(entry.spec.cached) <= float(entry.spec.uncached) <= float(entry.spec.output)
    assert entry.words["date"][:2] == "20"


def test_no_name_of_an_api_is_that_of_a_model():
    """`catalog show NAME` finds an entry by name alone."""
    assert not set(CATALOG.names("apis")) & set(CATALOG.names("models"))


# answers
@pytest.fixture(scope="module")
def asked():
    return cm.compare(["hgx-b200"], "deepseek-v3", apis=["all"], ep=8, max_tpot_ms=50, prefix_hit_rate=0.5)


def test_list_prices_stand_beside_systems_in_the_order_of_price(asked):
    points = asked["points"]
    assert {"hgx-b200", "deepseek-api-v3.1", "crusoe-deepseek-r1"} <= {each["system"] for each in points}
    prices = [each["usd_per_mtok_total"] for each in points]
    assert prices == sorted(prices)


def test_an_api_costs_its_list_price_at_the_mix_of_the_question(asked):
    """0.56, 0.07 and 1.68 USD/Mtok, half of 1 024 input tokens cached, 1 024 output tokens."""
    (row,) = (each for each in asked["points"] if each["system"] == "deepseek-api-v3.1")
    assert row["usd_per_mtok_total"] == pytest.approx((0.56 / 2 + 0.07 / 2 + 1.68) / 2)
    assert (row["provider"], row["price_date"]) == ("DeepSeek", "2025-09-05")
    assert row["sources"][0]["key"] == "deepseek-pricing-2025"


def test_only_the_newest_price_of_a_provider_stands_for_it():
    found = cm.compare(["hgx-b200"], "deepseek-v3", apis=["all"], ep=8, concurrency=64, price_date="2025-06")
    shown = {each["system"] for each in found["points"]} - {"hgx-b200"}
    assert shown == {"deepseek-api-r1-2025"}


def test_break_even_months_pay_for_whole_systems(asked):
    own = next(each for each in asked["points"] if each["system"] == "hgx-b200")
    rows = {(each["held_as"], each["instead_of"]): each for each in asked["break_even"]}
    held = rows["own", "deepseek-api-v3.1"]
    hour = own["usd_per_accelerator_hour"]
    energy = own["breakdown"]["usd_per_accelerator_hour"]["energy"]
    assert held["usd_per_month"] == pytest.approx((hour - energy) * 8 * 730)
    assert held["usd_per_mtok_at_full_use"] == pytest.approx(own["usd_per_mtok_total"])
    tok_s = own["total_tok_s_per_accelerator"] * own["n_accelerators"]
    at_break_even = held["usd_per_month"] + held["mtok_per_month"] * energy * 8 / 3600 / tok_s * 1e6
    assert at_break_even == pytest.approx(held["mtok_per_month"] * held["usd_per_mtok_instead"])
    assert held["share_of_capacity"] == pytest.approx(held["mtok_per_month"] / (tok_s * MTOK_PER_TOK_S))
    assert rows["own", "on_demand"]["mtok_per_month"] > held["mtok_per_month"]  # hours are cheaper than APIs


def test_a_system_that_never_pays_says_so():
    found = cm.compare(
        ["hgx-h100"], "llama-3.1-70b", apis=["together-llama-3.1-70b"], concurrency=1, precision="fp8"
    )
    (row,) = (
        each
        for each in found["break_even"]
        if each["held_as"] == "own" and "api" not in each["instead_of"] and each["instead_of"] != "on_demand"
    )
    assert row["usd_per_mtok_at_full_use"] > row["usd_per_mtok_instead"]
    assert row["mtok_per_month"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"apis": ["deepseek-api-v3.3"]}, "did you mean deepseek-api-v3"),
        ({"apis": ["all"], "model": "mixtral-8x7b"}, "no list price of mixtral-8x7b is known"),
        ({"apis": ["all"], "price_date": "2024-01"}, "on or before 2024-01"),
    ],
)
def test_a_wrong_api_is_answered_by_a_sentence(given, words):
    question = {"model": "deepseek-v3", "concurrency": 16, "ep": 8} | given
    if question["model"] != "deepseek-v3":
        del question["ep"]
    with pytest.raises(ConfigError, match=words):
        cm.compare(["hgx-b200"], **question)
