# %% [markdown]
# # Economics and risk of the build-out: 26 questions
# Who asks: capacity planners, lenders and investors, hardware strategists, researchers. Each answer is one call, or a
# few, and lies where published figures of 2025 and 2026 put it; the last cell asserts that.

# %%
import jax

jax.config.update("jax_enable_x64", True)  # capital sums do not fit float32

import jax.numpy as jnp
import pandas as pd

import clustermodel as cm
from clustermodel.design.memory_bound import MemoryServer, Residency, Upkeep, memory_breakeven, token_rate
from clustermodel.economics import contracts, deals, levelized, margin, market, options, plant, supply, tokens
from clustermodel.economics.credit import expected_loss
from clustermodel.economics.finance_metrics import carry
from clustermodel.economics.tokens import break_even_holding_time, usd_per_mtok
from clustermodel.fleet import FleetProblem
from clustermodel.risk import run_scenario
from clustermodel.scenarios import Contract
from clustermodel.specs import MemoryTier, Terms

YEAR, HOUR, TB = 8760 * 3600.0, 3600.0, 1e12
number = jnp.asarray
catalog = cm.load_catalog()
found = {}  # question -> (figure, lowest and highest believable value)


def scenario(name, *changes, paths=512):
    """Figures of a scenario with some of its numbers changed."""
    changed = cm.load_catalog(overrides=[f"scenario/{name}.{change}" for change in changes])
    return run_scenario(changed, name, paths)


def mean(name, figure, *changes):
    return scenario(name, *changes)["metrics"][figure]["mean"]


# %% [markdown]
# ## What a token costs and what hardware is worth
# 1. DeepSeek R1 on eight H800 at its published rates: USD per million output and input tokens.
# 2. How many more tokens a dollar buys on a GB200 NVL72 than on H100 at 40 tokens/s a user (NVL72 in FP4 against FP8).
# 3. The price at which 128 TB of memory matches a B200 pod at 100 TB/s (1e12 parameters, 1M tokens of context).
# 17. How fast an MI355X must be, over a B200. 18. Energy over capital in the price of a token.
# 21. The exponent of price in speed. 22. What drafted tokens (MTP) are worth.

# %%
found["1 output"] = float(usd_per_mtok(number(16.0), number(14.8e3))), 0.297, 0.303
found["1 input"] = float(usd_per_mtok(number(16.0), number(73.7e3))), 0.059, 0.061

deepseek = {"isl": 8192, "osl": 1024, "max_tpot_ms": 25, "cost_basis": "hyperscaler", "price_date": "2026-04"}
wide = {"tp": 1, "pp": 1, "dp": 32, "ep": 32}
h100 = cm.cost_per_token(
    "hgx-h100", "deepseek-v3", precision="fp8", n_accelerators=16, tp=8, pp=2, dp=1, ep=1, **deepseek
)
nvl72 = cm.cost_per_token("gb200-nvl72", "deepseek-v3", precision="fp4", **wide, **deepseek)
drafted = cm.cost_per_token("gb200-nvl72", "deepseek-v3", precision="fp4", draft_tokens=3, **wide, **deepseek)
found["2"] = h100["usd_per_mtok_total"] / drafted["usd_per_mtok_total"], 4.0, 9.7

user = Residency(weights=0.5 * TB, cache=35.1e9, touched=1.0, slowest=0.1)
pod = MemoryServer(capacity=0.92 * 1.54 * TB, bandwidth=0.7 * 64 * TB)
large = MemoryServer(capacity=0.92 * 128 * TB, bandwidth=0.7 * 100 * TB)
upkeep = Upkeep(running=15 * 0.267 / HOUR, wacc=0.08, life=4 * YEAR)
found["3"] = (
    float(memory_breakeven(token_rate(large, user), 15.6 / HOUR / token_rate(pod, user), upkeep)) / 1e6,
    0.8,
    1.0,
)

found["17"] = float(supply.needed_throughput(number(1.48), number(1.95))), 0.75, 0.77
capital = float(usd_per_mtok(number(1.95), number(6076.0)))
found["18"] = 0.07 / 3.6e6 / 2.8 * 1e6 / capital, 0.07, 0.085  # USD/J over 2.8 M tok/s per MW
exponent = market.speed_exponent(number(4.0 / 0.56), number(2.5))
found["21"] = float(market.price_of_speed(number(1.0), number(2.5), exponent)), 7.0, 7.3
found["22 published"] = (
    float(
        tokens.implied_tok_s(number(1.0), number(0.057)) / tokens.implied_tok_s(number(1.0), number(0.251))
    ),
    4.3,
    4.5,
)
found["22 here"] = nvl72["usd_per_mtok_total"] / drafted["usd_per_mtok_total"], 1.2, 4.4

# %% [markdown]
# ## What to buy, build and power
# 4. GB200 that 10 GUSD and 500 MW buy. 6. A gigawatt a year at 4 years of life over 5. 15. What memory half as dear
# again does to a rack. 16. How fast Vera Rubin must be over GB300. 19. What 20 USD/MWh add to an accelerator-hour.
# 20. What power a year earlier is worth per MWh. 23. Hours for which keeping a cached prefix beats recomputing it.

# %%
fleet = FleetProblem.from_frames(
    {
        "systems": pd.DataFrame(
            {"system": ["gb200", "h200"], "price": [69667.0, 46908.0], "provisioned_power": [2100.0, 1730.0]}
        ),
        "workloads": pd.DataFrame([{"workload": "inference"}]),
        "throughput": pd.DataFrame(
            {"system": ["gb200", "h200"], "workload": "inference", "throughput": [6.27, 1.0]}
        ),
        "demand": pd.DataFrame([{"workload": "inference", "demand": 1e8}]),
        "constraints": pd.DataFrame(
            [
                {"kind": "budget", "value": "10 GUSD"},
                {"kind": "power", "value": "500 MW", "site": "site"},
            ]
        ),
    },
    periods=["now"],
    period_length=1.0,
    objective="served",
    whole_systems=False,
)
plan = fleet.solve()
found["4 thousands"] = plan.purchases["systems"].sum() / 1e3, 143.0, 144.0
found["4 MW"] = plan.power["draw_mw"].sum(), 300.0, 302.0


def gigawatt(it_years):
    """Cost of 1 GW: 25.5 GUSD of IT, 12.5 of building, 0.9 a year to run, 7 %."""
    parts = plant.Plant(25.5e9, 12.5e9, 0.9e9 / YEAR, 0.07, it_years * YEAR, 14 * YEAR)
    return float(plant.plant_cost(parts)) * YEAR / 1e9


found["6 GUSD a year"] = gigawatt(5), 8.4, 8.7
found["6 year 3 to 4"] = gigawatt(3) - gigawatt(4), 2.1, 2.3

rack = [
    mean("memory-up-50", "capex_usd", f"memory_market.level={x}", f"memory_market.target={x}")
    for x in (1, 1.5)
]
found["15"] = (rack[1] - rack[0]) / 25.5e9, 0.12, 0.135
found["16"] = float(supply.needed_throughput(number(4.86), number(2.652))), 1.82, 1.84
hours = [
    cm.cost_per_token(
        "gb200-nvl72",
        "deepseek-v3",
        precision="fp4",
        concurrency=2048,
        **wide,
        catalog=cm.load_catalog(overrides=[f"site.electricity={price} USD/kWh"]),
    )["usd_per_accelerator_hour"]
    for price in (0.07, 0.09)
]
found["19"] = hours[1] / hours[0] - 1, 0.01, 0.025
joules = 2.1e3 * 0.8 * 4 * YEAR
found["20"] = (
    float(supply.premium_for_earlier_power(number((3.30 - 2.21) / HOUR), number(YEAR), number(joules)))
    * 3.6e9,
    160.0,
    164.0,
)
dram = MemoryTier(capacity=1e12, bandwidth=1e11, price=10 / 1e9)
price = levelized.holding_price(dram, Terms(wacc=0.1, life=4 * YEAR))
found["23"] = float(break_even_holding_time(number(0.138 / 1e6), price, number(35.1e3))) / HOUR, 10.5, 11.3

# %% [markdown]
# ## Contracts and credit
# 5. What the default of an anchor tenant costs. 9. What take-or-pay of 85 % adds. 10. Expected loss on what OpenAI owes
# Microsoft. 11. Share of the four clouds' backlog that two buyers hold. 12. Margin of 200 GUSD for 5 GW. 14. What
# prepaying memory costs. 24. Money of the vendor in AMD's and OpenAI's contract.

# %%
anchor = ("rent.level=0.7", "credit.vacancy=6 month", "credit.fill=0.9")
found["5"] = mean("anchor-defaults", "loss_share", *anchor), 0.14, 0.148
bill = [
    float(contracts.expected_billed_share(Contract(term=YEAR, take_or_pay=x), number(0.9), number(0.4)))
    for x in (0, 0.85)
]
found["9"] = bill[1] / bill[0] - 1, 0.10, 0.12
owed = jnp.full(5, 281 / 5)
found["10 high"] = float(expected_loss(owed, number(0.104), number(0.35))) / 281, 0.17, 0.18
found["10 low"] = float(expected_loss(owed, number(0.05), number(0.5))) / 281, 0.065, 0.075
found["11"] = scenario("backlog-two-buyers")["concentration"]["top_2_share"], 0.47, 0.505
price = deals.capacity_price(catalog.entry("contracts", "google-anthropic").spec) * YEAR
found["12"] = float(deals.deal_margin(price, number(8.5))), -0.07, -0.05
lock = options.lock_value(Contract(term=3 * YEAR, prepaid=0.22), number(1.9), number(1.0), number(0.1))
found["14"] = float(lock.prepayment), 0.07, 0.08
found["24"] = float(deals.circularity(catalog.entry("contracts", "amd-openai").spec)), 0.37, 1.08

# %% [markdown]
# ## Utilisation, timing and demand
# 7. Share of hours to sell at 2.35 USD for a merchant H100 to pay. 8. What a rack earns in three years if prices fall
# by 70 % a year (MUSD). 13. What six months of delay cost a gigawatt. 25. Revenue that 5.2 TUSD of capex need. 26. What
# half the tokens do to the cost of what is sold, and to a book of contracts.

# %%
found["7"] = float(margin.break_even_utilisation(number(1.69), number(2.35))), 0.71, 0.73
found["8"] = (
    float(market.stepped_revenue(number(1.5 * 0.4 * YEAR / 1e6), number(0.7), number(3.0))),
    26.0,
    26.6,
)
found["13 carry"] = float(carry(number(38e9), number(0.1), number(0.5))) / 1e9, 1.8, 1.9
delay = mean("six-months-late", "delay_cost_usd", "project.merchant=8 GUSD/year") / 1e9
found["13 revenue"] = delay - found["13 carry"][0], 3.9, 6.7
found["25"] = mean("seven-trillion", "required_revenue_usd_per_year", "finance.margin=0.3") / 1e12, 1.6, 2.0
use = [mean("agents-half", "cost_of_use", "demand.level=0.8", f"demand.undershoot={x}") for x in (0, 0.5)]
found["26 cost"] = use[1] / use[0], 1.99, 2.01
book = scenario("anchor-book", "credit.correlation=0.6", "credit.wrong_way=0.5", paths=8_000)
found["26 CVaR95"] = book["metrics"]["loss_share"]["cvar95"], 0.44, 0.48

# %% [markdown]
# ## All answers

# %%
table = pd.DataFrame(found, index=["answer", "low", "high"]).T
table.round(3)

# %%
assert {int(name.split()[0]) for name in found} == set(range(1, 27))
wrong = table[(table["answer"] < table["low"]) | (table["answer"] > table["high"])]
assert wrong.empty, wrong
