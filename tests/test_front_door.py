"""What the Python functions take: a sentence for every value of a wrong kind, lists however they come."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustermodel as cm
from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.chain import Question

SERVER = cm.load("systems/hgx-h200")
ASKED = {"system": "hgx-h200", "model": "llama-3.1-8b", "tp": 1, "concurrency": 8}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"system": None}, "--system: expected a text or an Entry of System, got None"),
        (
            {"system": cm.load("models/llama-3.1-8b")},
            "expected a text or an Entry of System, got models/llama-3.1-8b",
        ),
        ({"system": SERVER.spec}, "--system: expected a text or an Entry of System, got System("),
        ({"system": Path("nowhere")}, "no system named 'nowhere'"),
        ({"model": Path("nowhere/config.json")}, "nowhere/config.json: no such file"),
        ({"workload": None}, "--workload: expected"),
        ({"engine": None}, "--engine: expected"),
        ({"site": None}, "--site: expected"),
        ({"precision": 8}, "--precision: expected a text, got 8"),
        ({"max_tpot_ms": "50"}, "--max-tpot-ms: expected a number, got '50'"),
        ({"tp": "2"}, "--tp: expected a whole number, got '2'"),
        ({"tp": True}, "--tp: expected a whole number, got True"),
        ({"isl": [1024]}, "--isl: expected a number, got [1024]"),
        ({"isl": 10**400}, "--isl: expected a number"),
        ({"n_accelerators": 1.5}, "--n-accelerators: expected a whole number, got 1.5"),
        ({"price_date": 2026}, "--price-date: expected a text, got 2026"),
        ({"catalog": "configs"}, "catalog: expected what load_catalog gives, got 'configs'"),
    ],
)
def test_a_value_of_a_wrong_kind_is_a_sentence_that_names_the_option(given, sentence):
    with pytest.raises(ConfigError) as error:
        cm.cost_per_token(**{**ASKED, **given})
    assert sentence in str(error.value)


def test_every_wrong_kind_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        cm.cost_per_token(**{**ASKED, "tp": 1.5, "isl": "long", "engine": 3})
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ["--engine", "--isl", "--tp"]


def test_numbers_of_numpy_whole_floats_and_paths_are_as_good_as_plain_ones():
    given = {"system": Path("hgx-h200"), "model": np.str_("llama-3.1-8b"), "isl": np.int64(7), "tp": 2.0}
    asked = Question.of(**given, percentile=99.0)
    assert (asked.system, asked.model, asked.isl, asked.tp) == ("hgx-h200", "llama-3.1-8b", 7, 2)
    assert isinstance(asked.tp, int)
    assert type(asked.model) is str
    assert str(asked.percentile) == "99"


def test_a_percentile_of_ninety_nine_point_nought_is_the_ninety_ninth():
    found = cm.cost_per_token("hgx-h200", "llama-3.1-8b", rate=5, percentile=99.0, max_tpot_ms=50)
    assert found["latency"]["tpot_ms"]["p99"] <= 50


@pytest.mark.parametrize(
    "systems",
    [
        np.array(["hgx-h200"]),
        pd.Series(["hgx-h200"], index=[5]),
        (each for each in ["hgx-h200"]),
        {"hgx-h200"},
        {"hgx-h200": 1}.keys(),
        "hgx-h200",
        SERVER,
    ],
    ids=lambda systems: type(systems).__name__,
)
def test_systems_may_come_in_anything_that_holds_them(systems):
    found = cm.compare(systems, "llama-3.1-8b", tp=1, concurrency=8)
    assert [point["system"] for point in found["points"]] == found["inputs"]["systems"] == ["hgx-h200"]


@pytest.mark.parametrize("answer", [cm.compare, cm.frontier])
@pytest.mark.parametrize(
    ("systems", "sentence"),
    [
        ([], "systems is empty; name at least one"),
        (iter(()), "systems is empty; name at least one"),
        (None, "systems: expected a list, got None"),
        (["hgx-h200", None], "--system: expected a text or an Entry of System, got None"),
    ],
    ids=["empty", "spent", "none", "one of them"],
)
def test_systems_that_are_none_are_refused(answer, systems, sentence):
    with pytest.raises(ConfigError) as error:
        answer(systems, "llama-3.1-8b")
    assert sentence in str(error.value)


def test_one_api_is_a_list_of_one():
    asked = {"ep": 8, "concurrency": 64}
    found = cm.compare("hgx-b200", "deepseek-v3", apis="deepseek-api-v3.1", **asked)
    assert [point["system"] for point in found["points"]].count("deepseek-api-v3.1") == 1


@pytest.mark.parametrize("ask", [cm.load, lambda name: cm.load_catalog().entry("apis", name)])
@pytest.mark.parametrize("name", [None, 5, ["hgx-h200"]], ids=str)
def test_a_name_that_is_no_text_is_refused(ask, name):
    with pytest.raises(ConfigError, match=r"(entry|api): expected a name, got "):
        ask(name)


def test_one_folder_and_one_override_are_lists_of_one(tmp_path):
    catalog = cm.load_catalog(str(tmp_path), "price.wacc=0.1")
    assert catalog.folders[0] == tmp_path
    assert float(catalog.entry("prices", "ownership").spec.wacc) == pytest.approx(0.1)
    assert float(cm.load("prices/ownership", tmp_path, "price.wacc=0.2").spec.wacc) == pytest.approx(0.2)
    with pytest.raises(ConfigError, match="folders: expected a list, got 5"):
        cm.load_catalog(5)


def test_a_price_date_without_dated_prices_is_refused_not_ignored():
    with pytest.raises(
        ConfigError, match="--price-date needs dated prices: leave it out, or write a --cost-basis"
    ):
        cm.cost_per_token(**ASKED, price_date="2026-04")
    assert cm.cost_per_token(**ASKED, price_date="2026-04", cost_basis="neocloud")["price_date"] == "2026-04"


def test_a_price_date_beside_list_prices_is_theirs():
    asked = {"apis": "all", "ep": 8, "concurrency": 64, "price_date": "2025-12"}
    assert cm.compare("hgx-b200", "deepseek-v3", **asked)["inputs"]["price_date"] == "2025-12"


def test_what_has_no_answer_is_still_told_apart():
    with pytest.raises(InfeasibleError):
        cm.cost_per_token("hgx-h200", "llama-3.1-8b", max_tpot_ms=1e-3)
