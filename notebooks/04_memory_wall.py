# %% [markdown]
# # When terabytes beat bandwidth, and when they do not
# A server of 8 to 128 TB at 25.6 TB/s keeps more bytes than a rack of accelerators and reads them 15 times slower.
# No such server has been measured: its bandwidth, arithmetic and price are assumptions with ranges.

# %%
import jax

jax.config.update("jax_enable_x64", True)

import pandas as pd

from clustermodel.catalog import load_catalog
from clustermodel.chain import Question
from clustermodel.design import breakeven_map, memory
from clustermodel.design.memory_bound import MemoryServer, Residency, Upkeep, memory_breakeven, token_rate

CATALOG = load_catalog()

# %% [markdown]
# ## On one page: a server that waits for memory alone
# A model of 1e12 parameters at 4 bits, 1M tokens of context at 35.1 kB each, 10 tokens/s a user or more. The
# reference is a pod of eight accelerators (1.54 TB, 64 TB/s, 15.6 USD/h) at the same efficiency of 70 %.
# Price in MUSD at which 128 TB match it, by bandwidth and by the share of the context that a token touches:


# %%
def rate(terabytes, bandwidth, touched):
    server = MemoryServer(capacity=0.92 * terabytes * 1e12, bandwidth=0.7 * bandwidth * 1e12)
    return token_rate(server, Residency(weights=0.5e12, cache=35.1e9, touched=touched, slowest=0.1))


def price_musd(bandwidth, touched):
    upkeep = Upkeep(running=15 * 0.267 / 3600, wacc=0.08, life=4 * 365 * 86400.0)
    token_cost = 15.6 / 3600 / rate(1.54, 64, touched)
    return float(memory_breakeven(rate(128, bandwidth, touched), token_cost, upkeep)) / 1e6


BANDWIDTHS, TOUCHED = (25, 50, 100, 200, 300), (1.0, 0.1, 0.01)
ideal = pd.DataFrame(
    [[price_musd(b, t) for b in BANDWIDTHS] for t in TOUCHED],
    index=pd.Index(TOUCHED, name="touched"),
    columns=pd.Index(BANDWIDTHS, name="TB/s"),
)
ideal.round(2)

# %% [markdown]
# ## The same with measured efficiencies, arithmetic, prefill and links
# Now the reference is an HGX B200 as calibrated, with 99.9 % of the input cached: almost nothing but decoding.
# Thousand USD; an empty cell has no price at which the server matches.

# %%
ASKED = {"precision": "fp4", "workload": "long-context-1m", "prefix_hit_rate": 0.999, "max_tpot_ms": 100}


def whole_chain(reference):
    question = Question("prometheus-128tb", "hyp-1t-mla", **ASKED)
    cells = pd.DataFrame(breakeven_map(CATALOG, question, "prometheus-128tb", reference)["cells"])
    cells["TB/s"], cells["kUSD"] = (cells["bandwidth"] / 1e12).round(1), cells["price_usd"] / 1e3
    return cells.pivot(index="touched", columns="TB/s", values="kUSD").sort_index(ascending=False)


chain = whole_chain("hgx-b200")
chain.round(0)

# %% [markdown]
# ## What memory is for: keeping what would be prefilled again

# %%
kept = memory(CATALOG, Question("hgx-b200", "deepseek-v3", precision="fp8", max_tpot_ms=50))
pd.DataFrame(kept["tiers"])[["memory", "share", "usd_per_mtok_hour", "faster_than_prefill", "pays_for_hours"]]

# %% [markdown]
# **Claim.** Bandwidth decides: read in full, 128 TB would match a B200 at less than a hundredth of what the DRAM
# costs even with twelve times the published bandwidth, for arithmetic then binds, and at no price with four times;
# with 1 % of the context touched the matching price at the published bandwidth is still below that of the DRAM.
# `clustermodel design claims` holds what the vendor says against this.

# %%
dram_kusd = 128e3 * 18 * 1.2 / 1e3  # 18 USD/GB with its markup
assert chain.loc[1.0].fillna(0).max() < dram_kusd / 100
assert chain.loc[1.0, :103].isna().all()  # four times the published bandwidth
assert 0 < chain.loc[0.01, 25.6] < dram_kusd
assert ideal.loc[0.01, 25] > 50 * ideal.loc[1.0, 25]
