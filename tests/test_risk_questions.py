"""The questions of finance and strategy that need no token chain: one call each, with its believable answer.

Numbers in names are those of the list of 26, which notebooks/03_economics_and_risk.py answers as a whole; 2 and 22
need the chain and are asserted there, 3 in test_design, 4 in test_fleet_answers, 6 among the anchors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel import specs
from clustermodel.catalog import Catalog, load_catalog, parse_override
from clustermodel.design.memory_bound import MemoryServer, Residency, Upkeep, memory_breakeven, token_rate
from clustermodel.economics import contracts, deals, finance_metrics, options, supply
from clustermodel.economics.annuity import annuity
from clustermodel.economics.concentration import known_names_hhi
from clustermodel.economics.credit import expected_loss
from clustermodel.economics.levelized import owned_cost
from clustermodel.economics.margin import break_even_utilisation, price_at_margin
from clustermodel.economics.market import price_of_speed, speed_exponent, stepped_revenue
from clustermodel.economics.materials import substitution_saving
from clustermodel.economics.tokens import implied_tok_s, usd_per_mtok
from clustermodel.risk import run_scenario
from clustermodel.scenarios import Contract
from clustermodel.units import SECONDS_PER_YEAR

CATALOG = load_catalog()
YEAR = float(SECONDS_PER_YEAR)


def scalar(value):
    return jnp.asarray(value, dtype=float)


def preset(name):
    return CATALOG.entry("contracts", name).spec


def figures(name, *changes, paths=512):
    overrides = tuple(parse_override(f"scenario/{name}.{change}") for change in changes)
    return run_scenario(Catalog(CATALOG.folders, overrides), name, paths)["metrics"]


# questions
def test_q1_deepseek_r1_costs_30_cents_out_and_6_in_at_its_published_rates():
    node = scalar(8 * 2.0)
    assert usd_per_mtok(node, scalar(14.8e3)) == pytest.approx(0.300, rel=2e-3)
    assert usd_per_mtok(node, scalar(73.7e3)) == pytest.approx(0.060, rel=1e-2)  # hits included
    uncached = scalar(73.7e3 * 266 / 608)
    assert usd_per_mtok(node, uncached) == pytest.approx(0.138, rel=2e-3)  # hits are free


def test_q5_the_default_of_the_anchor_costs_14_per_cent_of_the_backlog():
    case = ("rent.level=0.7", "credit.vacancy=6 month", "credit.fill=0.9")
    found = figures("anchor-defaults", *case)
    assert found["loss_usd"]["mean"] == pytest.approx(14.3e9, rel=5e-3)
    assert found["loss_share"]["mean"] == pytest.approx(0.144, abs=1e-3)
    assert found["min_dscr"]["mean"] == pytest.approx(0.47, abs=5e-3)
    mild = figures("anchor-defaults", "rent.level=1", "credit.vacancy=3 month", "credit.fill=0.95")
    harsh = figures("anchor-defaults", "rent.level=0.5", "credit.vacancy=12 month", "credit.fill=0.8")
    assert mild["loss_share"]["mean"] == pytest.approx(0.035, abs=1e-3)
    assert harsh["loss_share"]["mean"] == pytest.approx(0.22, abs=5e-3)


def test_q5_cover_returns_above_one_once_the_capacity_is_let_again():
    found = figures("anchor-defaults", "rent.level=0.7", "credit.vacancy=0 month", "credit.fill=0.9")
    assert found["min_dscr"]["mean"] == pytest.approx(1.05, abs=6e-3)
    edge = figures("anchor-defaults", "rent.level=0.57143", "credit.vacancy=0 month", "credit.fill=1")
    assert edge["min_dscr"]["mean"] == pytest.approx(1.0, abs=1e-3)  # re-let price x fill of 57 %


@pytest.mark.parametrize(("rent", "share"), [(1.70, 0.99), (2.35, 0.72), (2.60, 0.65), (2.85, 0.59)])
def test_q7_utilisation_at_which_a_merchant_h100_breaks_even(rent, share):
    assert break_even_utilisation(scalar(1.69), scalar(rent)) == pytest.approx(share, abs=6e-3)


def test_q8_a_rack_earns_26_million_in_three_years_if_prices_fall_by_70_per_cent():
    first = scalar(1.5e6 * 0.40 / 1e6 * YEAR / 1e6)
    earned = lambda decline: float(stepped_revenue(first, scalar(decline), scalar(3.0)))
    assert earned(0.7) == pytest.approx(26.3, abs=0.05)
    assert earned(0.9) == pytest.approx(21.0, abs=0.05)
    assert 0.6 * earned(0.7) == pytest.approx(15.8, abs=0.05)


def test_q9_take_or_pay_adds_eleven_per_cent_to_expected_bills():
    bill = lambda phi: contracts.expected_billed_share(
        Contract(term=YEAR, take_or_pay=phi), scalar(0.9), scalar(0.4)
    )
    assert 100 * bill(0.0) == pytest.approx(83.1, abs=0.05)
    assert 100 * bill(0.85) == pytest.approx(92.1, abs=0.05)
    low_use = 0.9 * np.exp(-1.645 * 0.4)
    assert 100 * low_use == pytest.approx(46.6, abs=0.05)
    assert contracts.billed_share(Contract(term=YEAR, take_or_pay=0.85), scalar(low_use)) == pytest.approx(
        0.85
    )


@pytest.mark.parametrize(
    ("hazard", "recovery", "loss"), [(0.104, 0.35, 49.6), (0.104, 0.65, 26.7), (0.05, 0.5, 19.7)]
)
def test_q10_expected_loss_on_what_openai_owes_microsoft(hazard, recovery, loss):
    found = expected_loss(jnp.full(5, 281 / 5), scalar(hazard), scalar(recovery))
    assert found == pytest.approx(loss, abs=0.1)


def test_q11_half_of_the_four_clouds_backlog_is_two_buyers():
    found = run_scenario(CATALOG, "backlog-two-buyers", 32)["concentration"]
    assert found["top_1_share"] == pytest.approx(0.328, abs=1e-3)
    assert found["top_2_share"] == pytest.approx(0.479, abs=1e-3)
    assert known_names_hhi(jnp.asarray([719.0, 330.0]), scalar(2191)) == pytest.approx(1304, abs=2)
    assert found["hhi"] > 1304


def test_q12_google_anthropic_earns_less_than_a_gigawatt_costs():
    price = deals.capacity_price(preset("google-anthropic")) * YEAR
    assert price == pytest.approx(8.0)
    margin = lambda cost: float(deals.deal_margin(price, scalar(cost)))
    assert margin(8.5) == pytest.approx(-0.06, abs=5e-3)
    assert margin(6.4) == pytest.approx(0.20, abs=1e-3)
    assert margin(6.8) == pytest.approx(0.15, abs=1e-3)


def test_q13_six_months_of_delay_cost_two_billion_of_carry_and_four_to_seven_of_revenue():
    carry = finance_metrics.carry(scalar(38e9), scalar(0.1), scalar(0.5))
    assert carry == pytest.approx(1.85e9, rel=5e-3)
    for rate, lost in ((8.0, 4.0e9), (13.3, 6.65e9)):
        found = figures("six-months-late", f"project.merchant={rate} GUSD/year")["delay_cost_usd"]["mean"]
        assert found - float(carry) == pytest.approx(lost, rel=5e-3)


def test_q14_locking_memory_pays_if_it_rises_by_more_than_seven_per_cent():
    lock = Contract(term=3 * YEAR, prepaid=0.22)
    worth = lambda market: options.lock_value(lock, scalar(market), scalar(1.0), scalar(0.1))
    assert worth(1.0).prepayment == pytest.approx(0.073, abs=5e-4)
    assert worth(1.07).advantage < 0 < worth(1.08).advantage
    assert worth(1.9).advantage > 0.8  # the first quarter of 2026 alone


def test_q15_memory_half_as_dear_again_makes_a_rack_13_per_cent_dearer():
    base, dearer = (
        figures("memory-up-50", f"memory_market.level={x}", f"memory_market.target={x}") for x in (1, 1.5)
    )
    it_only = (dearer["capex_usd"]["mean"] - base["capex_usd"]["mean"]) / 25.5e9
    assert it_only == pytest.approx(0.128, abs=1e-3)
    hour = dearer["required_revenue_usd_per_year"]["mean"] / base["required_revenue_usd_per_year"]["mean"] - 1
    assert 0.08 < hour < 0.12  # the study says 10 to 11 per cent of $/GPU-hour


def test_q16_vera_rubin_must_be_1_83_times_as_fast():
    assert supply.needed_throughput(scalar(4.86), scalar(2.652)) == pytest.approx(1.83, abs=5e-3)
    assert 22 / 8 > 1.83  # bandwidth alone is more


@pytest.mark.parametrize(("mi355x", "b200", "share"), [(1.48, 1.95, 0.76), (2.10, 2.90, 0.72)])
def test_q17_mi355x_pays_from_three_quarters_of_a_b200(mi355x, b200, share):
    assert supply.needed_throughput(scalar(mi355x), scalar(b200)) == pytest.approx(share, abs=6e-3)


def test_q18_energy_is_eight_per_cent_of_what_capital_costs_a_token():
    energy = 0.07 / 3.6e6 * 1e6 / 2.8e6 * 1e6  # USD per million tokens: price of a J times J per token
    capital = usd_per_mtok(scalar(1.95), scalar(6076.0))
    assert energy == pytest.approx(0.0069, abs=1e-4)
    assert capital == pytest.approx(0.089, abs=5e-4)
    assert energy / capital == pytest.approx(0.078, abs=1e-3)


def test_q19_twenty_dollars_a_megawatt_hour_add_3_cents_to_an_hour():
    """2.1 kW of provisioned facility power at 80 % load, over a GB200 hour of 2.21 USD."""
    memory = specs.tiers([specs.MemoryTier(capacity=1.0, bandwidth=1.0)])
    accelerator = specs.Accelerator(memory=memory, tdp=2.1e3 / 1.25)
    system = specs.System(accelerator=accelerator, chassis=specs.Chassis(), count=1, price=51.2e3)

    def energy(usd_per_mwh):
        site = specs.Site(
            electricity=usd_per_mwh / 3.6e9,
            pue=1.25,
            facility_capex=0.0,
            facility_life=1.0,
            facility_rate=0.0,
        )
        terms = specs.Terms(wacc=0.08, life=4 * YEAR)
        return float(owned_cost(system, site, terms, scalar(2.1e3 / 1.25 * 0.8)).energy) * 3600

    assert energy(90.0) - energy(70.0) == pytest.approx(0.034, abs=5e-4)
    assert (energy(90.0) - energy(70.0)) / 2.21 == pytest.approx(0.015, abs=5e-4)
    assert (energy(170.0) - energy(70.0)) / 2.21 == pytest.approx(0.076, abs=5e-4)


def test_q20_power_a_year_earlier_is_worth_162_dollars_a_megawatt_hour():
    energy = 2.1e3 * 0.8 * 4 * YEAR
    found = supply.premium_for_earlier_power(scalar((3.30 - 2.21) / 3600), scalar(YEAR), scalar(energy))
    assert found * 3.6e9 == pytest.approx(162, abs=1)


def test_q21_two_and_a_half_times_the_speed_costs_seven_times_as_much():
    exponent = speed_exponent(scalar(4.0 / 0.56), scalar(2.5))
    assert exponent == pytest.approx(2.15, abs=5e-3)
    assert price_of_speed(scalar(1.0), scalar(2.5), exponent) == pytest.approx(7.1, abs=0.05)


def test_q22_drafted_tokens_were_worth_four_to_twenty_times_in_what_was_published():
    gain = lambda before, after: (
        float(implied_tok_s(scalar(1.0), scalar(after))) / float(implied_tok_s(scalar(1.0), scalar(before)))
    )
    assert gain(0.251, 0.057) == pytest.approx(4.4, abs=0.05)
    assert gain(2.35, 0.11) == pytest.approx(21, abs=0.5)


def test_q23_keeping_a_cached_prefix_for_hours_beats_recomputing_it():
    hold = lambda price: float(
        35.1 * price * annuity(scalar(0.1), scalar(4.0)) / 8760
    )  # USD per Mtok and hour
    assert [0.138 / hold(10), 0.060 / hold(10)] == pytest.approx([10.9, 4.8], abs=0.1)
    assert [0.138 / hold(25), 0.060 / hold(25)] == pytest.approx([4.4, 1.9], abs=0.05)


@pytest.mark.parametrize(
    ("name", "field", "share"),
    [
        ("amd-openai", "warrants", (0.38, 1.07)),
        ("google-anthropic", "vendor_funding", (0.05, 0.20)),
        ("aws-anthropic", "vendor_funding", (0.05, 0.25)),
    ],
)
def test_q24_circularity_of_the_large_deals(name, field, share):
    entry = CATALOG.entry("contracts", name)
    low, high = entry.provenance[field].range_si("USD")
    assert np.array([low, high]) / float(entry.spec.value) == pytest.approx(share, abs=5e-3)
    assert deals.circularity(entry.spec) == pytest.approx(share[0], abs=5e-3)


def test_q25_seven_trillion_need_1_7_trillion_of_revenue_a_year():
    found = figures("seven-trillion", "finance.margin=0.3")["required_revenue_usd_per_year"]["mean"]
    assert found == pytest.approx(1.66e12, rel=0.02)  # the study scales 8.5 / 38, this levelizes the parts
    assert price_at_margin(scalar(1.16), scalar(0.3)) == pytest.approx(1.66, abs=5e-3)


def test_q26_half_the_tokens_double_the_cost_of_what_is_sold():
    before, after = (figures("agents-half", "demand.level=0.8", f"demand.undershoot={u}") for u in (0, 0.5))
    assert after["cost_of_use"]["mean"] / before["cost_of_use"]["mean"] == pytest.approx(2.0, rel=1e-3)
    assert after["npv_usd"]["mean"] < 0
    sold = lambda use: 1.30 / use
    assert [sold(0.8), sold(0.4)] == pytest.approx([1.625, 3.25])


def test_q26_take_or_pay_keeps_85_per_cent_while_buyers_survive():
    found = figures("agents-half-contracted", "credit.stress=0")["loss_share"]
    assert found["mean"] == pytest.approx(0.15, abs=1e-6)
    assert found["cvar95"] == pytest.approx(0.15, abs=1e-6)


# claims that no scenario carries: the parameter and the direction
def test_claim_6_take_or_pay_raises_the_floor():
    bill = jax.grad(
        lambda phi: contracts.expected_billed_share(
            Contract(term=YEAR, take_or_pay=phi), scalar(0.9), scalar(0.4)
        )
    )
    assert bill(scalar(0.5)) > 0


def test_claim_7_a_better_next_generation_makes_the_refresh_worth_more_and_strands_more_if_early():
    gain = lambda uplift: options.refresh_gain(
        Contract(term=5 * YEAR, value=100.0, refresh=YEAR), scalar(2 * YEAR), uplift, scalar(1.83)
    )
    assert jax.grad(gain)(scalar(2.75)) > 0
    strand = lambda time: options.stranded_value(scalar(100.0), scalar(6 * YEAR), time, scalar(0.3))
    assert jax.grad(strand)(scalar(2 * YEAR)) < 0


def test_claim_10_vendor_money_takes_from_what_a_contract_brings():
    net = lambda warrants: deals.net_value(Contract(term=YEAR, value=90e9, warrants=warrants))
    assert jax.grad(net)(scalar(34e9)) == pytest.approx(-1.0)


def test_claim_12_custom_silicon_saves_a_fifth_of_a_rack():
    assert substitution_saving(scalar(2.3), scalar(1.2), scalar(5.9)) == pytest.approx(0.19, abs=5e-3)


def test_claim_14_a_large_memory_is_worth_more_with_bandwidth_and_less_the_more_of_it_is_touched():
    def rate(bandwidth, touched):
        server = MemoryServer(capacity=118e12, bandwidth=bandwidth)
        needs = Residency(weights=0.5e12, cache=35.1e9, touched=touched, slowest=0.1)
        return token_rate(server, needs)

    upkeep = Upkeep(running=4.0 / 3600, wacc=0.08, life=4 * YEAR)
    price = lambda tb_per_s, touched: float(
        memory_breakeven(rate(scalar(tb_per_s * 1e12), scalar(touched)), scalar(5.25e-6), upkeep)
    )
    assert price(17.5, 1.0) < price(70.0, 1.0) < price(210.0, 1.0)
    assert price(70.0, 1.0) < price(70.0, 0.1) < price(70.0, 0.01)


def test_claim_18_a_longer_ramp_ships_less():
    assert jax.grad(lambda ramp: supply.shipped(scalar(10.0), scalar(4.0), ramp))(scalar(2.0)) < 0


def test_claim_22_faster_tokens_are_dearer():
    assert jax.grad(lambda v: price_of_speed(scalar(0.56), v, scalar(2.15)))(scalar(1.5)) > 0


def test_claim_23_supply_locked_early_earns_what_entrants_cost_more():
    capacity, cost = jnp.asarray([60.0, 60.0]), jnp.asarray([1.30, 2.35])
    price = supply.clearing_price(capacity, cost, scalar(100.0))
    assert supply.locked_profit(price, cost[0], capacity[0]) == pytest.approx(60 * 1.05)
    calm = supply.clearing_price(capacity, cost, scalar(50.0))
    assert supply.locked_profit(calm, cost[0], capacity[0]) == pytest.approx(0.0)
