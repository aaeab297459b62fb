"""Terms of contracts: each moves some figure of a scenario, or the answer says that it does not."""

import pytest
from scenario_files import SLUG, answered, means, written

from clustermodel import specs
from clustermodel.catalog import ConfigError, parse_override
from clustermodel.economics import contracts
from clustermodel.risk import load_scenario, run_scenario
from clustermodel.risk._beside import BESIDE, PRICED
from clustermodel.scenarios import Contract

G = 1e9
LATE = {"value": "10 GUSD", "term": "5 year", "take_or_pay": 0.8, "grace": "3 month"}
CHEAP = {"rent": {"level": 0.7, "target": 0.7}, "project": {"delay": "6 month"}, "credit": {"fill": 0}}
TERMS = {
    "value": "10 GUSD",
    "term": "5 year",
    "start": "3 month",
    "ramp": "6 month",
    "power": "1 GW",
    "take_or_pay": 0.8,
    "makeup": "1 year",
    "prepaid": 0.1,
    "binding": 0.6,
    "conversion": 0.5,
    "index_share": 0.5,
    "price_floor": 0.8,
    "price_cap": 0.9,
    "grace": "5 month",
    "exit_fee": "3 month",
    "backstop": "1 GUSD",
    "refresh": "2 year",
    "buyer_hardware": 0.5,
    "vendor_funding": "1 GUSD",
    "warrants": "1 GUSD",
    "buyers": 4.0,
    "hazard": "10 %/year",
    "recovery": 0.3,
    "credit_margin": 0.02,
    "covenant": 1.2,
    "payback": "2 year",
}
ROUGH = {
    "rent": {"level": 0.8, "target": 0.8, "volatility": 0.4, "reversion": "0.5 1/year"},
    "demand": {"level": 0.7},
    "project": {
        "delay": "5 month",
        "delay_spread": 0.5,
        "capex": "6 GUSD",
        "life": "5 year",
        "merchant": "2 GUSD/year",
    },
    "finance": {"wacc": 0.1, "debt_rate": 0.08, "base_dscr": 1.4},
}
MEMORY = {"term": "3 year", "value": "1 GUSD", "index_share": 0.5, "prepaid": 0.2, "price_floor": 1.0}
LOCKED = {
    "project": {"capex": "6 GUSD", "life": "5 year"},
    "memory_market": {"level": 1.9, "target": 1.9, "share": 0.3, "locked": 0.5},
    "finance": {"wacc": 0.1},
}


def shaken(text):
    """A term one part in ten smaller, in its unit."""
    if isinstance(text, float):
        return text * 0.9 if text < 2 else text / 2  # numbers of buyers are whole
    number, unit = text.split()
    return f"{float(number) * 0.9!r} {unit}"


def test_every_term_moves_a_figure_or_is_said_to_stand_beside(tmp_path):
    assert TERMS.keys() == specs.fields(Contract).keys()
    moved = lambda found: ({n: f["mean"] for n, f in found["metrics"].items()}, found["concentration"])
    first = answered(tmp_path, {"tenant": TERMS}, ROUGH, paths=256)
    assert {row["field"] for row in first["beside"]} == BESIDE.keys()
    for field, text in TERMS.items():
        other = answered(tmp_path, {"tenant": TERMS | {field: shaken(text)}}, ROUGH, paths=256)
        assert (moved(other) == moved(first)) == (field in BESIDE), field


@pytest.mark.parametrize("field", PRICED)
def test_every_term_of_what_memory_costs_moves_a_figure(tmp_path, field):
    terms = MEMORY | {"price_cap": 1.5}
    bought = lambda terms: means(tmp_path, {"memory": terms}, LOCKED, supply="memory")
    if field == "price_floor":
        assert bought(terms | {field: 1.2, "price_cap": 1.2}) != bought(terms)
    else:
        assert bought(terms | {field: shaken(terms[field])}) != bought(terms)


def test_of_what_memory_is_bought_by_the_rest_stands_beside(tmp_path):
    found = answered(tmp_path, {"memory": MEMORY | {"take_or_pay": 0.9}}, LOCKED, supply="memory")
    assert {row["field"] for row in found["beside"]} == {"take_or_pay", "value"}


@pytest.mark.parametrize(("fee", "owed"), [("0 month", 0.0), ("12 month", 1.6), ("36 month", None)])
def test_a_late_buyer_leaves_where_the_market_with_the_fee_is_cheaper(tmp_path, fee, owed):
    """Three tenths are saved and 0.8 of the fee's part of five years is owed: at three years it stays and pays."""
    found = means(tmp_path, {"tenant": LATE | {"exit_fee": fee}}, CHEAP)
    earned = 10.0 if owed is None else owed
    assert found["contract_revenue_usd"] == pytest.approx(earned * G, rel=1e-9, abs=1)
    assert found["default_loss_usd"] == pytest.approx((10 - earned) * G, rel=1e-9, abs=1)


def test_a_fee_is_due_month_by_month_as_the_minimum_bills_would_be(tmp_path):
    sections = CHEAP | {"finance": {"wacc": 0.1}}
    found = means(tmp_path, {"tenant": LATE | {"exit_fee": "1 year"}}, sections)
    present = sum(1.6 * G / 12 * 1.1 ** -((month + 0.5) / 12) for month in range(6, 18))
    assert found["npv_usd"] == pytest.approx(present, rel=1e-9)


def test_a_buyer_that_has_defaulted_before_the_delivery_has_nothing_to_leave(tmp_path):
    """Its default leaves a claim at the recovery, not the fee."""
    tenant = LATE | {"exit_fee": "1 year", "hazard": "1e9 1/year", "recovery": 0.5}
    found = means(tmp_path, {"tenant": tenant}, CHEAP)
    assert found["contract_revenue_usd"] == pytest.approx(5 * G, rel=1e-8)


def test_the_right_to_leave_is_worth_what_is_saved_less_the_fee(tmp_path):
    catalog = written(tmp_path, {"tenant": LATE | {"exit_fee": "12 month"}}, CHEAP)
    deal = catalog.entry("contracts", "tenant").spec
    late, market = deal.grace * 2, deal.binding * 0.7
    assert float(contracts.delivery_option(deal, late, market)) == pytest.approx((0.3 - 0.16) * 10 * G)
    assert float(contracts.delivery_option(deal, late, market * 1.3)) == 0.0


@pytest.mark.parametrize("target", ["contract", "contract/tenant"])
def test_a_number_of_ones_own_that_moves_nothing_is_refused(tmp_path, target):
    catalog = written(tmp_path, {"tenant": LATE | {"warrants": "1 GUSD"}}, CHEAP)
    changed = catalog.changed([parse_override(f"{target}.warrants=2 GUSD")])
    with pytest.raises(
        ConfigError, match=r"warrants of contracts/tenant is in no cash flow .*deals counts it"
    ):
        run_scenario(changed, SLUG, 32)


def test_what_stands_beside_is_no_unknown_and_chance_is_no_driver(tmp_path):
    """A range that moves nothing draws nothing; one that hardly moves anything drives nothing."""
    ranged = {"warrants": ("1 GUSD", "0.5 GUSD", "2 GUSD"), "buyers": (4.0, 2.0, 6.0)}
    tenant = {"value": "10 GUSD", "term": "5 year", "hazard": "10 %/year"}
    hardly = {"recovery": (0.3, 0.299999, 0.300001)}
    sections = {"credit": {"fill": (0.5, 0.1, 0.9)}}
    catalog = written(tmp_path, {"tenant": tenant | ranged | hardly}, sections, metrics=["loss"])
    assert load_scenario(catalog, SLUG).inputs == ("mine.credit.fill", "tenant.recovery")
    found = run_scenario(catalog, SLUG, 8192)
    assert [each["input"] for each in found["drivers"]] == ["mine.credit.fill"]
