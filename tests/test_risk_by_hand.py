"""Scenario files beside a spreadsheet of months: value, return, tax, cover, losses and limits as a lender has them."""

import jax.numpy as jnp
import numpy as np
import pytest
from scenario_files import answered, means, written
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.economics.demand import reflexive_demand
from clustermodel.risk import run_scenario, sweep_scenario

G = 1e9
MONTHS = 60
CONTRACT = {"value": "10 GUSD", "term": "5 year", "take_or_pay": 1.0}
PLANT = {"capex": "6 GUSD", "life": "5 year", "merchant": "2 GUSD/year", "opex": "0.3 GUSD/year"}
BUILT = {"capex": "6 GUSD", "life": "5 year"}
LOAN = {"wacc": 0.1, "debt_rate": 0.08, "base_dscr": 1.4}
EXACT = 1e-9


def middles(months):
    return (np.arange(months) + 0.5) / 12


def present(flows, rate):
    """Flows in the middle of their months."""
    return float(np.sum(flows * (1 + rate) ** -middles(len(flows))))


def taxes(income, rate):
    """Losses carried forward, as a clerk would."""
    carried, paid = 0.0, []
    for each in income:
        base = each + carried
        paid.append(rate * max(base, 0.0))
        carried = min(base, 0.0)
    return np.array(paid)


@pytest.mark.parametrize(("tax", "years"), [(0.0, None), (0.25, 5), (0.25, 3), (0.25, None), (1.0, 5)])
def test_value_and_return_after_tax_are_those_of_a_spreadsheet(tmp_path, tax, years):
    earned = np.full(MONTHS, 1.7 / 12)
    written_off = np.where(np.arange(MONTHS) < 12 * (years or 0), 6 / 12 / (years or 1), 0.0)
    flows = earned - taxes(earned - written_off, tax)
    flows[0] -= 6
    finance = {"wacc": 0.1, "tax": tax} | ({"depreciation": f"{years} year"} if years else {})
    found = means(tmp_path, {}, {"project": PLANT, "finance": finance})
    assert found["npv_usd"] == pytest.approx(present(flows, 0.1) * G, rel=EXACT)
    assert found["irr"] == pytest.approx(brentq(lambda r: present(flows, r), -0.999, 5), abs=1e-9)
    assert found["capex_usd"] == pytest.approx(6 * G)


def test_money_spent_over_two_years_earns_half_a_year_after_it_was_spent(tmp_path):
    def spent(time):
        return np.expm1(0.3 * np.clip(time, 0, 2)) / np.expm1(0.6)

    edges = np.arange(121) / 12
    at = (edges[1:] + edges[:-1]) / 2
    service = spent(at - 0.5) - spent(at - 5.5)
    flows = (2 - 0.3) / 12 * service - 6 * np.diff(spent(edges))
    slow = {"build": "2 year", "growth": "0.3 1/year", "lead": "6 month"}
    found = means(tmp_path, {}, {"project": PLANT | slow, "finance": {"wacc": 0.1}})
    assert found["npv_usd"] == pytest.approx(present(flows, 0.1) * G, rel=EXACT)
    assert found["irr"] == pytest.approx(brentq(lambda r: present(flows, r), 0, 1), rel=1e-8)


@pytest.mark.parametrize("decline", [-0.2, 0.0, 0.3, 1000.0])
def test_revenue_of_a_falling_rent_is_the_sum_of_its_months(tmp_path, decline):
    sections = {"project": PLANT, "rent": {"decline": f"{decline} 1/year"}}
    expected = np.sum(2 / 12 * np.exp(-decline * middles(MONTHS))) * G
    assert means(tmp_path, {}, sections)["revenue_usd"] == pytest.approx(expected, rel=EXACT, abs=1e-6)


@pytest.mark.parametrize("dscr", [1.0, 1.4])
@pytest.mark.parametrize("rate", [0.0, 0.08])
@pytest.mark.parametrize("more", [
    {},
    {"tax": 0.25, "depreciation": "5 year"},
    {"tax": 0.4, "depreciation": "3 year"},
    {"tax": 0.25},
], ids=["no tax", "even", "quick", "without write-offs"])  # fmt: skip
def test_a_plan_without_surprises_keeps_the_cover_that_its_debt_was_sized_for(tmp_path, dscr, rate, more):
    """Cover is of cash after tax; the last month sells the plant, and the tax on that is not what serves debt."""
    finance = LOAN | {"base_dscr": dscr, "debt_rate": rate} | more
    sections = {"project": BUILT | {"residual": 0.2, "opex": "0.3 GUSD/year"}, "finance": finance}
    found = means(tmp_path, {"tenant": CONTRACT | {"covenant": dscr}}, sections)
    assert found["min_dscr"] == pytest.approx(dscr, rel=EXACT)
    assert found["covenant_breach"] == 0.0


def test_a_covenant_above_the_planned_cover_is_breached(tmp_path):
    sections = {"project": BUILT, "finance": LOAN}
    assert means(tmp_path, {"tenant": CONTRACT | {"covenant": 1.41}}, sections)["covenant_breach"] == 1.0


def test_months_that_cost_before_they_earn_leave_the_cover_of_the_others(tmp_path):
    sections = {
        "project": {"capex": "3 GUSD", "life": "5 year", "opex": "0.5 GUSD/year"},
        "finance": LOAN | {"base_dscr": 1.2, "tax": 0.3, "depreciation": "5 year"},
    }
    found = means(tmp_path, {"tenant": CONTRACT | {"ramp": "4 year"}}, sections)
    assert found["min_dscr"] == pytest.approx(1.2, rel=EXACT)


@pytest.mark.parametrize("level", [0.0, 0.4, 0.8, 1.3])
@pytest.mark.parametrize("floor", [0.0, 0.5, 1.0])
def test_take_or_pay_bills_use_between_its_floor_and_the_volume(tmp_path, level, floor):
    found = means(tmp_path, {"tenant": CONTRACT | {"take_or_pay": floor}}, {"demand": {"level": level}})
    bill = 10 * G * max(min(level, 1.0), floor)
    assert found["contract_revenue_usd"] == pytest.approx(bill, rel=EXACT)
    assert found["unbilled_usd"] == pytest.approx(10 * G - bill, rel=EXACT, abs=1.0)
    assert found["utilisation"] == pytest.approx(min(level, 1.0), rel=EXACT)


@pytest.mark.parametrize("more", [
    {"shock": 1.0, "shock_time": "30 month"},
    {"digestion": 1.0, "leave_boom": "1000 1/year", "leave_digestion": "0 1/year"},
], ids=["shock", "digestion"])  # fmt: skip
def test_demand_may_vanish_altogether(tmp_path, more):
    found = means(tmp_path, {"tenant": CONTRACT | {"take_or_pay": 0.0}}, {"demand": more})
    left = 0.5 if "shock" in more else 0.0
    assert found["contract_revenue_usd"] == pytest.approx(10 * G * left, rel=EXACT, abs=1.0)


def test_capacity_creates_no_demand_while_nothing_is_asked_for():
    wanted = np.array([1.0, 0.0, 0.0, 2.0])
    created = reflexive_demand(*(jnp.asarray(each) for each in (wanted, np.ones(4), 0.1, np.arange(4.0))))
    np.testing.assert_allclose(created, [1.0, 0.0, 0.0, 2.0 + 0.1])


def test_bills_of_an_uncertain_demand_are_the_integral_over_it(tmp_path):
    found = means(
        tmp_path,
        {"tenant": CONTRACT | {"take_or_pay": 0.6}},
        {"demand": {"level": 0.9, "spread": 0.5}},
        paths=4096,
    )
    bill = lambda x: np.clip(0.9 * np.exp(0.5 * x), 0.6, 1.0) * stats.norm.pdf(x)
    kinks = [np.log(each / 0.9) / 0.5 for each in (0.6, 1.0)]
    expected = quad(bill, -8, 8, points=kinks)[0]
    assert found["contract_revenue_usd"] == pytest.approx(10 * G * expected, rel=1e-3)  # 4096 even points


@pytest.mark.parametrize("market", [0.4, 0.8, 1.5, 3.0])
def test_half_a_price_follows_the_market_inside_its_collar(tmp_path, market):
    tenant = CONTRACT | {"index_share": 0.5, "price_floor": 0.8, "price_cap": 1.2}
    found = means(tmp_path, {"tenant": tenant}, {"rent": {"level": market, "target": market}})
    price = np.clip(0.5 + 0.5 * market, 0.8, 1.2)
    assert found["contract_revenue_usd"] == pytest.approx(10 * G * price, rel=EXACT)


@pytest.mark.parametrize("recovery", [0.0, 0.4, 1.0])
def test_a_certain_default_costs_what_is_not_recovered(tmp_path, recovery):
    tenant = CONTRACT | {"hazard": "1e9 1/year", "recovery": recovery}
    found = means(tmp_path, {"tenant": tenant}, {"credit": {"fill": 0}})
    assert found["loss_share"] == pytest.approx(1 - recovery, abs=1e-8)


def test_a_default_in_two_years_costs_the_vacancy_and_the_cheaper_market(tmp_path):
    credit = {"first_default": "2 year", "vacancy": "6 month", "fill": 0.8}
    found = means(tmp_path, {"tenant": CONTRACT}, {"credit": credit, "rent": {"level": 0.7, "target": 0.7}})
    assert found["default_loss_usd"] == pytest.approx(10 * G * (0.6 - 0.5 * 0.8 * 0.7), rel=EXACT)


@pytest.mark.parametrize("correlation", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_losses_of_four_tenants_are_those_of_independent_ones_or_of_one(tmp_path, correlation):
    names = {f"tenant-{i}": CONTRACT | {"hazard": "10 %/year"} for i in range(4)}
    sections = {"credit": {"correlation": correlation, "fill": 0}}
    share = answered(tmp_path, names, sections, paths=20_000)["metrics"]["loss_share"]
    draws = np.random.default_rng(0).exponential(10, size=(500_000, 1 if correlation else 4))
    lost = np.clip(1 - draws / 5, 0, 1).mean(axis=1)
    assert share["mean"] == pytest.approx(1 + np.expm1(-0.5) / 0.5, abs=4 * share["se"] + 1e-5)
    assert share["var95"] == pytest.approx(np.quantile(lost, 0.95), abs=5e-3)  # both sampled
    assert share["cvar95"] == pytest.approx(lost[lost >= np.quantile(lost, 0.95)].mean(), abs=5e-3)


@pytest.mark.parametrize("prepaid", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("tax", [0.0, 0.25])
def test_what_is_paid_at_signing_comes_first_and_is_taken_off_every_bill(tmp_path, prepaid, tax):
    """Revenue and tax are as before, value and return are not."""
    finance = {"wacc": 0.1, "tax": tax, "depreciation": "5 year"}
    found = means(
        tmp_path, {"tenant": CONTRACT | {"prepaid": prepaid}}, {"project": BUILT, "finance": finance}
    )
    flows = np.full(MONTHS, (1 - prepaid) * 10 / MONTHS) - tax * 4 / MONTHS
    flows[0] += 10 * prepaid - 6
    assert found["npv_usd"] == pytest.approx(present(flows, 0.1) * G, rel=EXACT)
    assert found["contract_revenue_usd"] == pytest.approx(10 * G, rel=EXACT)
    assert found["loss_usd"] == 0.0


@pytest.mark.parametrize("tax", [0.0, 0.25])
def test_debt_is_served_by_bills_and_not_by_what_was_paid_at_signing(tmp_path, tax):
    sections = {"project": BUILT, "finance": LOAN | {"tax": tax, "depreciation": "5 year"}}
    found = means(tmp_path, {"tenant": CONTRACT | {"prepaid": 0.2, "covenant": 1.4}}, sections)
    assert found["min_dscr"] == pytest.approx(1.4, rel=EXACT)
    assert found["covenant_breach"] == 0.0


@pytest.mark.parametrize(("fill", "kept"), [(0.0, 3.0), (0.8, 2.0)])
def test_of_a_prepayment_a_default_leaves_what_re_letting_does_not_bring(tmp_path, fill, kept):
    """At once, of 10 with 3 paid: without another tenant 3 is kept, with one that pays 8 the damage of 2 is."""
    tenant = CONTRACT | {"hazard": "1e9 1/year", "prepaid": 0.3}
    found = means(tmp_path, {"tenant": tenant}, {"credit": {"fill": fill}, "finance": {"wacc": 0.0}})
    assert found["npv_usd"] == pytest.approx((10 * fill + kept) * G, rel=1e-8)
    flows = np.full(MONTHS, (10 * fill + kept - 3) / MONTHS)
    flows[0] += 3
    found = means(tmp_path, {"tenant": tenant}, {"credit": {"fill": fill}, "finance": {"wacc": 0.1}})
    assert found["npv_usd"] == pytest.approx(present(flows, 0.1) * G, rel=1e-8)


def test_memory_locked_in_part_is_paid_at_both_prices_and_the_carry_of_what_was_prepaid(tmp_path):
    agreement = {"value": "1 USD", "term": "2 year", "prepaid": 0.1}
    market = {"share": 0.3, "level": 1.5, "target": 1.5, "locked": 0.6}
    sections = {"project": PLANT, "memory_market": market, "finance": {"wacc": 0.1}}
    found = means(tmp_path, {"agreement": agreement}, sections, supply="agreement")
    price = 0.4 * 1.5 + 0.6 * (1 + 0.1 * (1.1**2 - 1))
    assert found["memory_price"] == pytest.approx(price, rel=EXACT)
    assert found["capex_usd"] == pytest.approx(6 * G * (1 + 0.3 * (price - 1)), rel=EXACT)
    assert found["memory_saving_usd"] == pytest.approx((1.5 - price) * 0.3 * 6 * G, rel=EXACT)


def test_required_revenue_is_two_annuities_and_what_it_costs_to_run_over_one_less_the_margin(tmp_path):
    project = PLANT | {"facility": "3 GUSD", "facility_life": "15 year"}
    found = means(tmp_path, {}, {"project": project, "finance": {"wacc": 0.1, "margin": 0.3}})
    annuity = lambda years: 0.1 / (1 - 1.1**-years)
    cost = 6 * annuity(5) + 3 * annuity(15) + 0.3
    assert found["required_revenue_usd_per_year"] == pytest.approx(cost / 0.7 * G, rel=EXACT)
    assert found["coverage"] == pytest.approx(2 / (cost / 0.7), rel=EXACT)
    assert found["cost_of_use"] == pytest.approx(cost / 2, rel=EXACT)


def test_a_year_of_delay_costs_the_carry_and_a_year_of_revenue(tmp_path):
    project = PLANT | {
        "facility": "3 GUSD",
        "facility_life": "10 year",
        "delay": "1 year",
        "opex": "0 USD/year",
    }
    found = means(tmp_path, {}, {"project": project, "finance": {"wacc": 0.1}})
    assert found["delay_cost_usd"] == pytest.approx((9 * 0.1 + 2) * G, rel=EXACT)
    flows = np.zeros(120)
    flows[0], flows[12:72], flows[71] = -9, 2 / 12, 2 / 12 + 3 / 2  # half of the building's life is left
    assert found["npv_usd"] == pytest.approx(present(flows, 0.1) * G, rel=EXACT)


def test_a_backstop_pays_for_what_finds_no_buyer_and_no_more(tmp_path):
    for promised, revenue in (("3 GUSD", 4 + 3), ("30 GUSD", 10)):
        sections = {"project": PLANT, "demand": {"level": 0.4}}
        found = means(tmp_path, {"put": {"value": "0 USD", "term": "5 year", "backstop": promised}}, sections)
        assert found["revenue_usd"] == pytest.approx(revenue * G, rel=EXACT)


def test_one_month_is_a_term(tmp_path):
    found = means(tmp_path, {"tenant": CONTRACT | {"term": "1 month"}}, {"finance": {"wacc": 0.1}})
    assert found["npv_usd"] == pytest.approx(10 * G * 1.1 ** (-0.5 / 12), rel=EXACT)


# what cannot be measured, and what is no number
def test_a_figure_with_nothing_to_measure_is_left_out_with_the_reason(tmp_path):
    found = answered(tmp_path, {"tenant": CONTRACT}, {}, metrics=["loss", "irr", "min_dscr"])
    assert list(found["metrics"]) == ["loss_usd"]
    assert found["left_out"] == [
        {"metric": "irr", "reason": "needs money that is spent: project.capex"},
        {"metric": "min_dscr", "reason": "needs debt: finance.base_dscr, capex and contracts"},
    ]
    assert answered(tmp_path, {"tenant": CONTRACT}, {})["left_out"] == []  # all that there are were asked for


def test_a_scenario_that_measures_nothing_at_all_is_refused(tmp_path):
    with pytest.raises(ConfigError) as refused:
        answered(tmp_path, {"tenant": CONTRACT}, {}, metrics=["irr"])
    assert str(refused.value) == (
        "scenarios/mine.toml: metrics: nothing to measure: irr needs money that is spent: project.capex"
    )


NO_SHARES = {
    "credit": ("correlation", "wrong_way", "fill"),
    "rent": ("reserved",),
    "demand": ("pilot", "undershoot", "shock", "digestion"),
    "memory_market": ("share", "correlation", "locked"),
    "project": ("accelerators", "custom"),
    "finance": ("tax", "margin"),
}


@pytest.mark.parametrize(("section", "field"), [(s, f) for s, fields in NO_SHARES.items() for f in fields])
def test_a_share_above_one_is_refused(tmp_path, section, field):
    with pytest.raises(ConfigError, match=rf"mine.toml\n  {section}.{field}: value 1.5 is above (1|0.99)$"):
        run_scenario(written(tmp_path, {}, {section: {field: 1.5}}), "mine", 32)


@pytest.mark.parametrize(
    "field", ["take_or_pay", "prepaid", "binding", "conversion", "index_share", "recovery", "buyer_hardware"]
)
def test_a_share_of_a_contract_above_one_is_refused(tmp_path, field):
    with pytest.raises(ConfigError, match=rf"tenant.toml\n  {field}: value 1.5 is above 1$"):
        run_scenario(written(tmp_path, {"tenant": CONTRACT | {field: 1.5}}), "mine", 32)


def test_a_floor_above_the_cap_is_refused_wherever_in_their_ranges(tmp_path):
    tenant = CONTRACT | {"price_floor": (0.8, 0.5, 1.1), "price_cap": 1.0}
    with pytest.raises(
        ConfigError, match=r"^contracts/tenant.toml: price_floor: 1.1 is above price_cap 1; write"
    ):
        run_scenario(written(tmp_path, {"tenant": tenant}), "mine", 32)


# slips, books worth nothing, and how the front door takes names
def test_nobody_loses_by_a_slip_alone_however_uncertain_it_is(tmp_path):
    """The horizon ends with the latest slip that is counted, so all that was promised is delivered."""
    sections = {"project": {"delay": "6 month", "delay_spread": 1.0}}
    loss = answered(tmp_path, {"tenant": CONTRACT}, sections, paths=2048)["metrics"]["loss_usd"]
    assert loss["mean"] == loss["cvar95"] == 0.0


def test_a_book_worth_nothing_has_no_concentration(tmp_path):
    assert answered(tmp_path, {"tenant": CONTRACT | {"value": "0 USD"}})["concentration"] == {}


def test_an_empty_list_of_figures_is_all_of_them(tmp_path):
    catalog = written(tmp_path, {"tenant": CONTRACT})
    every = run_scenario(catalog, "mine", 32)["metrics"]
    file = tmp_path / "scenarios" / "mine.toml"
    file.write_text(file.read_text().replace("contracts =", "metrics = []\ncontracts ="))
    assert run_scenario(load_catalog([tmp_path]), "mine", 32)["metrics"] == every


def test_an_unknown_figure_is_named_with_its_file(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^scenarios/mine.toml: metrics: no figure named 'irrr'; did you mean irr"
    ):
        answered(tmp_path, {"tenant": CONTRACT}, {}, metrics=["irrr"])


def test_one_value_is_a_sweep_of_one():
    assert len(sweep_scenario(load_catalog(), "six-months-late", "project.delay", "6 month", paths=32)) == 1
