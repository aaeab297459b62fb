"""Scenarios as data: every file runs, answers are plain and complete, claims move the right way."""

import json

import numpy as np
import pytest

from clustermodel.catalog import CONFIGS, Catalog, ConfigError, check, load_catalog, parse_override
from clustermodel.risk import list_scenarios, load_scenario, run_scenario, sweep_scenario

CATALOG = load_catalog()
NAMES = [row["name"] for row in list_scenarios(CATALOG)]
PATHS = 512  # directions and ranges, not tails


def answer(name, *changes, paths=PATHS, seed=0):
    overrides = tuple(parse_override(f"scenario/{name}.{change}") for change in changes)
    return run_scenario(Catalog(CATALOG.folders, overrides), name, paths, seed)


def mean(name, metric, *changes):
    return answer(name, *changes)["metrics"][metric]["mean"]


@pytest.mark.parametrize("folder", ["contracts", "scenarios"])
def test_every_file_is_sound_and_sourced(folder):
    assert check(CONFIGS / folder) == []


def test_the_list_holds_a_question_for_every_scenario():
    assert len(NAMES) >= 25
    assert all(row["question"].endswith("?") for row in list_scenarios(CATALOG))


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_gives_a_complete_and_finite_answer(name):
    found = answer(name)
    json.dumps(found, allow_nan=False)
    asked = CATALOG.entry("scenarios", name).words["metrics"]
    assert len(found["metrics"]) == len(asked)
    for figure in found["metrics"].values():
        assert {"mean", "p10", "p50", "p90", "var95", "cvar95", "se"} <= figure.keys()
        rounding = 1e-12 * abs(figure["p50"])
        assert figure["p10"] - rounding <= figure["p50"] <= figure["p90"] + rounding
        worse, mild = (
            (figure["cvar95"], figure["var95"])
            if figure["bad_tail"] == "high"
            else (
                figure["var95"],
                figure["cvar95"],
            )
        )
        assert worse >= mild - 1e-9 * abs(mild)
    assert found["assumptions"]
    assert {row["source"] for row in found["assumptions"]} <= {row["key"] for row in found["sources"]}


def test_the_same_seed_repeats_an_answer_and_another_changes_it():
    first, again, other = (answer("anchor-book", seed=seed)["metrics"] for seed in (3, 3, 4))
    assert first == again
    assert first["loss_share"]["mean"] != other["loss_share"]["mean"]


def test_fans_widen_and_bracket_the_middle():
    fan = answer("next-generation")["fans"]["market_price"]
    low, middle, high = (np.array(fan[key]) for key in ("p10", "p50", "p90"))
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert high[4] - low[4] > high[0] - low[0]


def test_drivers_name_the_input_that_matters():
    strongest = answer("dear-power")["drivers"][0]
    assert strongest["input"] == "dear-power.project.merchant"
    assert strongest["rank_correlation"] > 0.8


def own(folder, text):
    """A catalogue with one more contract, kept to the end, and the scenario `mine`."""
    for kind, name, body in (("contracts", "kept", KEPT), ("scenarios", "mine", text)):
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / f"{name}.toml").write_text(f'name = "{name}"\n{body}')
    return load_catalog([folder])


def number(value, ranged=""):
    confidence = "assumption" if ranged else "published"
    return f'{{ value = {value}, source = "clustermodel", confidence = "{confidence}"{ranged} }}\n'


KEPT = "value = " + number('"10 GUSD"') + "term = " + number('"5 year"') + "take_or_pay = " + number(1)
RANGED = "\n".join(
    [
        'question = "?"\ncontracts = ["kept"]\nmetrics = ["loss", "npv"]\n[credit]',
        "vacancy = " + number('"6 month"', ', low = "3 month", high = "12 month"'),
        "fill = " + number(0.9, ", low = 0.8, high = 0.95") + "[project]",
        "capex = " + number('"6 GUSD"') + "life = " + number('"5 year"'),
        "delay = " + number('"1 month"') + "delay_spread = " + number(0.3) + "[finance]",
        "wacc = " + number(0.1, ", low = 0.08, high = 0.12"),
    ]
)


def test_a_figure_that_never_moves_has_no_drivers(tmp_path):
    """Nobody defaults: no loss on any path, however late the start; the value has drivers."""
    found = run_scenario(own(tmp_path, RANGED), "mine", PATHS)
    assert found["metrics"]["loss_usd"]["p90"] == found["metrics"]["loss_usd"]["p10"] == 0.0
    assert found["drivers"] == []
    by_value = run_scenario(own(tmp_path, RANGED.replace('"loss", "npv"', '"npv"')), "mine", PATHS)
    assert by_value["drivers"][0]["input"] == "mine.finance.wacc"
    assert by_value["drivers"][0]["rank_correlation"] < -0.8


def test_a_number_whose_range_is_a_point_is_no_driver():
    """`anchor-book` states the rate of its study as a range from 0.1 to 0.1."""
    inputs = load_scenario(CATALOG, "anchor-book").inputs
    assert "anchor-book.credit.fill" in inputs
    assert not {"anchor-book.finance.wacc", "anchor-book.rent.level", "tenant.hazard"} & set(inputs)


FOR_EVER = (
    'question = "?"\ncontracts = []\nmetrics = ["npv"]\n[project]\nmerchant = '
    + number('"2 GUSD/year"')
    + "capex = "
    + number('"6 GUSD"')
)


def test_a_project_that_would_earn_for_ever_is_asked_for_its_end(tmp_path):
    with pytest.raises(
        ConfigError, match=r"scenarios/mine.toml: project.life: .* needs an end .* write life ="
    ):
        run_scenario(own(tmp_path, FOR_EVER), "mine", 32)


@pytest.mark.parametrize("capex", ["6 GUSD", "0 USD"])
def test_a_project_is_counted_to_the_end_of_its_life(tmp_path, capex):
    """8 years of 2 GUSD, with capex and without."""
    life = number('"8 year"')
    ended = FOR_EVER.replace("6 GUSD", capex).replace('"npv"', '"revenue"') + f"life = {life}"
    found = run_scenario(own(tmp_path, ended), "mine", 32)
    assert found["metrics"]["revenue_usd"]["mean"] == pytest.approx(16e9, rel=1e-9)


def test_a_life_that_is_uncertain_is_counted_to_its_longest(tmp_path):
    """4 to 8 years, most likely 4.5: a triangle beyond the five years that the likely life would be counted to."""
    life = number('"4.5 year"', ', low = "4 year", high = "8 year"')
    found = run_scenario(
        own(tmp_path, FOR_EVER.replace('"npv"', '"revenue"') + f"life = {life}"), "mine", PATHS
    )
    revenue = found["metrics"]["revenue_usd"]
    assert revenue["mean"] == pytest.approx(
        2e9 * (4 + 4.5 + 8) / 3, abs=0.1e9
    )  # whole months: half of one is 0.08
    assert revenue["p90"] == pytest.approx(2e9 * (8 - (0.1 * 4 * 3.5) ** 0.5), abs=0.2e9)


def test_buyers_with_several_contracts_count_once():
    found = answer("backlog-two-buyers")["concentration"]
    assert found["top_2_share"] == pytest.approx(0.479, abs=2e-3)  # of 2.19 trillion, AWS-Anthropic included
    assert found["usd_by_buyer"]["OpenAI"] == pytest.approx(719e9)
    loaded = load_scenario(CATALOG, "backlog-two-buyers")
    assert loaded.model.obligors[:3].tolist() == [0, 0, 0]


def test_a_sweep_shows_what_waiting_costs():
    rows = sweep_scenario(
        CATALOG, "six-months-late", "project.delay", ["0 month", "6 month", "12 month"], paths=PATHS
    )
    npv = [row["metrics"]["npv_usd"]["mean"] for row in rows]
    assert npv[0] > npv[1] > npv[2]
    assert rows[0]["metrics"]["delay_cost_usd"]["mean"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "anchor-bok"}, "did you mean anchor-book"),
        ({"name": "anchor-book", "paths": 0}, "paths is 0"),
        ({"name": "anchor-book", "paths": 10**15}, r"paths is 1e\+15; ask for at most 100000000"),
        ({"name": "anchor-book", "paths": 10**30}, r"paths is 1e\+30; ask for at most 100000000"),
        ({"name": "anchor-book", "seed": -1}, "seed is -1"),
        ({"name": "anchor-book", "method": "sobol"}, "'sobol' is none of"),
    ],
)
def test_bad_questions_are_answered_by_a_sentence(given, words):
    with pytest.raises(ConfigError, match=words):
        run_scenario(CATALOG, **given)


def test_a_scenario_that_names_an_unknown_contract_or_figure_says_so(tmp_path):
    (tmp_path / "scenarios").mkdir()
    mine = tmp_path / "scenarios" / "mine.toml"
    mine.write_text('name = "Mine"\nquestion = "?"\ncontracts = ["tennant"]\nmetrics = ["loss"]\n')
    with pytest.raises(ConfigError, match=r"mine.toml: no contract named 'tennant'; did you mean tenant"):
        run_scenario(load_catalog([tmp_path]), "mine")
    mine.write_text('name = "Mine"\nquestion = "?"\ncontracts = ["tenant"]\nmetrics = ["los"]\n')
    with pytest.raises(ConfigError, match="no figure named 'los'; did you mean loss"):
        run_scenario(load_catalog([tmp_path]), "mine", 32)


# claims of the founding documents that a scenario carries: number, scenario, change, figure, direction
CLAIMS = [
    (1, "hyperscaler-capex-2024-2027", "project.leases=0.3", "capex_usd", 1),
    (2, "anchor-book", "credit.stress=2", "loss_usd", 1),
    (3, "anchor-book", "credit.wrong_way=0.5", "loss_share", 1),
    (4, "reflexive-demand", "demand.feedback=0.3 1/year", "utilisation", 1),
    (5, "capex-400-revenue-60", "project.revenue_today=120 GUSD/year", "coverage", 1),
    (8, "soft-commitments", "credit.stress=2", "loss_share", 1),
    (9, "adoption-gap", "demand.midpoint=4 year", "npv_usd", -1),
    (11, "six-months-late", "project.delay=12 month", "delay_cost_usd", 1),
    (12, "custom-silicon", "project.custom=0", "capex_usd", 1),
    (13, "capex-2026", "project.capex=900 GUSD", "required_revenue_usd_per_year", 1),
    (13, "digestion", "demand.digestion=0", "npv_usd", 1),
    (13, "digestion", "demand.leave_digestion=0.25 1/year", "utilisation", -1),
    (15, "dear-power", "project.electricity=400 USD/MWh", "npv_usd", -1),
    (16, "visakhapatnam", "project.electricity=200 USD/MWh", "required_revenue_usd_per_year", 1),
    (17, "agents-half", "demand.shock=0.5", "npv_usd", -1),
    (19, "supply-locked-2025", "memory_market.locked=0", "memory_price", 1),
    (20, "reserved-capacity", "rent.reserved=0.5", "market_price", 1),
    (21, "token-price-war", "demand.efficiency=2.5 1/year", "utilisation", -1),
    (24, "seven-trillion", "finance.margin=0.5", "required_revenue_usd_per_year", 1),
    (25, "agents-half", "demand.undershoot=0.7", "cost_of_use", 1),
]


@pytest.mark.parametrize(("claim", "name", "change", "metric", "direction"), CLAIMS)
def test_claims_move_their_figure_in_the_stated_direction(claim, name, change, metric, direction):
    assert direction * (mean(name, metric, change) - mean(name, metric)) > 0


def test_dearer_memory_makes_a_gigawatt_dearer_claim_26():
    prices = [mean(f"memory-up-{rise}", "required_revenue_usd_per_year") for rise in (50, 100)]
    base = mean("memory-up-50", "required_revenue_usd_per_year", "memory_market.share=0")
    assert base < prices[0] < prices[1]
    assert prices[1] - base == pytest.approx(2 * (prices[0] - base))
