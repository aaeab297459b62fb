"""Published economic figures, each reproduced by the public function that a user would call."""

import math
import tomllib
from pathlib import Path

import jax.numpy as jnp
import pytest

from clustermodel import specs
from clustermodel.catalog import load_catalog, price_quote
from clustermodel.economics import (
    concentration,
    contracts,
    credit,
    finance,
    lcot,
    margin,
    market,
    materials,
    plant,
    tokens,
)
from clustermodel.economics.levelized import HourCost, owned_cost, per_sold, rented_cost
from clustermodel.scenarios import Contract
from clustermodel.serving.phases import Phases
from clustermodel.units import MILLION, SECONDS_PER_HOUR, SECONDS_PER_YEAR

REFERENCE = Path(__file__).parent / "reference"
ANCHORS = tomllib.loads((REFERENCE / "economics_anchors.toml").read_text())
PRICES = tomllib.loads((REFERENCE / "ownership_prices.toml").read_text())
JOULES_PER_KWH = 3.6e6
DAY = 86_400.0


def s(value):
    return jnp.asarray(value, dtype=float)


def hourly(usd_per_hour):
    return rented_cost(s(usd_per_hour) / SECONDS_PER_HOUR).total


def deepseek_bill(nodes, accelerators_per_node, usd_per_hour, hours):
    return hourly(usd_per_hour) * nodes * accelerators_per_node * hours * SECONDS_PER_HOUR


def deepseek_revenue(uncached, cached, output, **usd_per_mtok):
    rates = tokens.TokenRates(uncached / DAY, cached / DAY, output / DAY)
    prices = [usd_per_mtok[f"usd_per_mtok_{kind}"] / MILLION for kind in ("uncached", "cached", "output")]
    return tokens.revenue(rates, tokens.TokenPrices(*prices)) * DAY


def deepseek_nodes(uncached, cached, output, seconds, prefill_rate, decode_rate):
    """Prefill and decode nodes; the published prefill rate counts cached input too."""
    prefill = tokens.pool_size(s((uncached + cached) / seconds), s(prefill_rate))
    return prefill, tokens.pool_size(s(output / seconds), s(decode_rate))


def deepseek_unit_cost(reload, usd_per_node_hour, seconds, **day):
    """A hit takes `reload` of the time of a prefilled token; each pool pays for its own nodes."""
    prefill, decode = deepseek_nodes(seconds=seconds, **day)
    rates = tokens.TokenRates(day["uncached"] / seconds, day["cached"] / seconds, day["output"] / seconds)
    phases = Phases(s(1.0), s(reload), s(1.0))
    price = hourly(usd_per_node_hour)
    return tokens.disaggregated_costs(price * prefill, price * decode, rates, phases, s(0.0))


def deepseek_input(reload, **day):
    """USD per million input tokens, hits included: 0.4375 c_in + 0.5625 c_cached."""
    unit = deepseek_unit_cost(reload, **day)
    hits = day["cached"] / (day["uncached"] + day["cached"])
    return MILLION * ((1 - hits) * unit.input + hits * unit.cached_input)


def gigawatt(it_usd, facility_usd, operating_usd_per_year, rate, it_years, facility_years):
    it_life, facility_life = it_years * SECONDS_PER_YEAR, facility_years * SECONDS_PER_YEAR
    operating = operating_usd_per_year / SECONDS_PER_YEAR
    return plant.plant_cost(plant.Plant(it_usd, facility_usd, operating, rate, it_life, facility_life))


def per_accelerator_hour(cost, power, rack_power, per_rack):
    return cost / plant.accelerators_in(s(power), s(rack_power), s(per_rack)) * SECONDS_PER_HOUR


def bernstein_rack(share, usd_per_rack):
    return materials.split(s(usd_per_rack), materials.BillOfMaterials(accelerators=share))


def undiscounted(usd_each, power, load, pue, usd_per_kwh, years) -> HourCost:
    """Purchase price and energy only, no interest: the simple cost of ownership of hardware portals."""
    empty = specs.MemoryTier(capacity=1.0, bandwidth=1.0)
    accelerator = specs.Accelerator(memory=specs.tiers([empty]), tdp=power)
    system = specs.System(accelerator=accelerator, chassis=specs.Chassis(), count=1, price=usd_each)
    site = specs.Site(
        electricity=usd_per_kwh / JOULES_PER_KWH,
        pue=pue,
        facility_capex=0.0,
        facility_life=1.0,
        facility_rate=0.0,
    )
    terms = specs.Terms(wacc=0.0, life=years * SECONDS_PER_YEAR)
    return owned_cost(system, site, terms, s(power * load))


def ownership(accelerators, years, **each):
    return accelerators * undiscounted(years=years, **each).total * years * SECONDS_PER_YEAR


def per_petaflop_year(accelerators, petaflops, load, **each):
    """Per effective PFLOP-year; the number of accelerators cancels."""
    return per_sold(undiscounted(load=load, **each), s(load)).total * SECONDS_PER_YEAR / petaflops


def two_tenants(openai, anthropic, backlogs, outside_backlog):
    named = jnp.array([sum(openai), sum(anthropic)], dtype=float)
    rest = sum(backlogs) + outside_backlog - sum(openai) - sum(anthropic)
    return concentration.top_share(jnp.append(named, rest / 10 * jnp.ones(10)), 2)


def wind_farm(charge, turbine, balance, operating, rating, energy, wake):
    kwh = energy / rating * (1 - wake)
    return lcot.lcoe(s(charge), s(turbine + balance), s(operating), s(kwh), s(0.0))


def obligation(value):
    """What a supplier reports of a contract on the day it is signed, five years as most of these."""
    contract = Contract(term=5 * SECONDS_PER_YEAR, value=value)
    return contracts.remaining_obligation(contract, s(0.0))


def hazard(spread, recovery):
    return credit.hazard(s(spread), s(recovery))


FUNCTIONS = {
    "D1": deepseek_bill,
    "D2": deepseek_revenue,
    "D3": lambda rev, cost: margin.cost_profit_margin(s(rev), s(cost)),
    "D3b": lambda rev, cost: margin.gross_margin(s(rev), s(cost)),
    "D4": lambda **day: sum(deepseek_nodes(**day)),
    "D5": lambda **day: MILLION * deepseek_unit_cost(0.1, **day).output,
    "D6": lambda **day: deepseek_input(0.1, **day),
    "D7": lambda **day: MILLION * deepseek_unit_cost(0.0, **day).input,
    "X1": lambda price, cost: margin.gross_margin(s(price), s(cost)),
    "X2": lambda price, cost: margin.gross_margin(s(price), s(cost)),
    "X3": lambda tco, cost: tokens.implied_tok_s(s(tco), s(cost)),
    "X4": lambda tco, cost: tokens.implied_tok_s(s(tco), s(cost)),
    "X5": lambda base, new, usd_per_hour: (
        tokens.implied_tok_s(s(usd_per_hour), s(new)) / tokens.implied_tok_s(s(usd_per_hour), s(base))
    ),
    "X6": lambda slow, fast, slow_speed, fast_speed: market.price_of_speed(
        s(1.0), s(fast_speed / slow_speed), market.speed_exponent(s(fast / slow), s(fast_speed / slow_speed))
    ),
    "X7": lambda perf, tco_ratio: (
        tokens.usd_per_mtok(s(1.0), s(1.0)) / tokens.usd_per_mtok(s(tco_ratio), s(perf))
    ),
    "E1": lambda **pile: gigawatt(**pile) * SECONDS_PER_YEAR / 1e9,
    "E2": lambda **pile: gigawatt(**pile) * SECONDS_PER_YEAR / 1e9,
    "E3": lambda **pile: gigawatt(**pile) * SECONDS_PER_YEAR / 1e9,
    "E4": lambda usd_per_year, **site: per_accelerator_hour(s(usd_per_year / SECONDS_PER_YEAR), **site),
    "E5": lambda power, rack_power, per_rack, **pile: per_accelerator_hour(
        gigawatt(**pile), power, rack_power, per_rack
    ),
    "B1": lambda usd_per_gw, usd_per_rack: plant.units_within(s(usd_per_gw), s(usd_per_rack)),
    "B2": lambda **rack: bernstein_rack(**rack).accelerators / 1e6,
    "B3": lambda accelerators, substitute, usd_per_rack: materials.substitution_saving(
        s(accelerators), s(substitute), s(usd_per_rack)
    ),
    "C1": hazard,
    "C2": lambda years, **cds: credit.annual_default_probability(hazard(**cds), s(years)),
    "C3": lambda years, **cds: credit.annual_default_probability(hazard(**cds), s(years)),
    "C4": lambda years, **cds: credit.default_probability(hazard(**cds), s(years)),
    "G1": lambda capital_usd, payback_years, running: margin.payback_rent(
        s(capital_usd), s(payback_years * 8760), s(running)
    ),
    "G2": lambda capital_usd, payback_years, running: margin.payback_rent(
        s(capital_usd), s(payback_years * 8760), s(running)
    ),
    "G3": lambda active_params, peak_flops, utilisation, usd_per_hour: (
        MILLION * tokens.prefill_cost(s(active_params), s(peak_flops * utilisation), hourly(usd_per_hour))
    ),
    "G4": lambda active_params, peak_flops, utilisation, usd_per_hour: (
        MILLION * tokens.prefill_cost(s(active_params), s(peak_flops * utilisation), hourly(usd_per_hour))
    ),
    "T1": lambda **lot: ownership(**lot) / 1e6,
    "T2": lambda **lot: ownership(**lot) / 1e6,
    "T3": per_petaflop_year,
    "T4": per_petaflop_year,
    "N1": lambda tok_s, usd_per_mtok, decline, years: (
        market.stepped_revenue(s(tok_s * SECONDS_PER_YEAR * usd_per_mtok / MILLION), s(decline), s(years))
        / 1e6
    ),
    "M1": lambda usd_per_hour, tok_s: tokens.usd_per_mtok(s(usd_per_hour), s(tok_s)),
    "W1": wind_farm,
    "F1": lambda rate, periods, present: finance.pmt(s(rate), s(periods), s(present)),
    "F2": lambda cf: finance.irr(s(cf)),
    "F3": lambda payback, years: finance.payback_irr(s(payback), s(years)),
    "F4": lambda payback, years: finance.payback_irr(s(payback), s(years)),
    "K1": lambda backlog, share: obligation(backlog * share),
    "K2": lambda backlogs: sum(obligation(backlog) for backlog in backlogs),
    "K3": two_tenants,
    "V1": lambda memory, rack: (
        materials.shares(materials.BillOfMaterials(memory=memory, other=rack - memory)).memory
    ),
    "R1": lambda short, long, short_years, long_years: market.forward_rent(
        s(short), s(long), s(short_years), s(long_years)
    ),
    "Q1": lambda start, end, months: market.doubling_time(s(start), s(end), s(months)),
}


def test_every_anchor_has_its_function():
    assert set(FUNCTIONS) == set(ANCHORS)
    assert len(ANCHORS) == 48


@pytest.mark.parametrize("name", ANCHORS)
def test_the_published_figure_is_reproduced_within_its_tolerance(name):
    anchor = ANCHORS[name]
    value = float(FUNCTIONS[name](**anchor["inputs"]))
    assert value == pytest.approx(anchor["expected"], rel=anchor["tolerance"])


@pytest.mark.parametrize("reload", [0.0, 0.1, 1.0])
def test_input_with_hits_costs_the_same_however_much_a_hit_takes(reload):
    """DeepSeek's 0.060 USD per million input tokens holds for every split between hits and misses."""
    assert float(deepseek_input(reload, **ANCHORS["D6"]["inputs"])) == pytest.approx(0.0603, rel=1e-3)


def test_bernstein_racks_draw_the_derived_power():
    """35 GUSD per GW at 5.9 MUSD a rack: 168.6 kW of facility power per rack."""
    racks = plant.units_within(s(35e9), s(5.9e6))
    assert 1e6 / float(racks) == pytest.approx(168.6, rel=1e-3)


def test_a_smaller_margin_alone_explains_most_of_the_saving_by_own_silicon():
    """Margin 50 instead of 70 %: 2.3 MUSD become 1.38, 15.6 % of the rack; the source's 1.2 assumes more."""
    price = materials.repriced(s(2.3e6), s(0.7), s(0.5))
    assert float(price) == pytest.approx(1.38e6, rel=1e-9)
    assert float(materials.substitution_saving(s(2.3e6), price, s(5.9e6))) == pytest.approx(0.156, rel=2e-3)


def test_dearer_memory_moves_the_rack_by_its_share():
    """Memory + 50 % on a VR200 rack: + 12.8 %."""
    inputs = ANCHORS["V1"]["inputs"]
    rest = inputs["rack"] - inputs["memory"]
    before, after = (materials.BillOfMaterials(memory=f * inputs["memory"], other=rest) for f in (1.0, 1.5))
    assert float(after.total / before.total) - 1 == pytest.approx(0.128, abs=5e-4)


@pytest.mark.parametrize("accelerator", PRICES["usd_per_hour"])
def test_the_catalogue_quotes_the_cost_table_of_2026_04_exactly(accelerator):
    """Nine accelerators on three bases and their planning power: they are data, not results."""
    catalog = load_catalog()
    for basis, expected in zip(PRICES["bases"], PRICES["usd_per_hour"][accelerator], strict=True):
        quote = price_quote(catalog, accelerator, basis, "2026-04")
        assert quote.si * SECONDS_PER_HOUR == pytest.approx(expected, rel=1e-12), basis
    power = price_quote(catalog, accelerator, "all_in_power", "2026-04")
    assert power.si == pytest.approx(1e3 * PRICES["provisioned_kw"][accelerator], rel=1e-12)


def test_no_anchor_is_trivially_wide():
    """Only the two comparisons between sources are looser than 5 %."""
    loose = {name for name, anchor in ANCHORS.items() if anchor["tolerance"] > 0.05}
    assert loose == {"X7", "E5"}
    assert all(math.isfinite(anchor["expected"]) and anchor["expected"] != 0 for anchor in ANCHORS.values())
