# %% [markdown]
# # What a million tokens cost, and which wall sets the cost
# Names come from the catalogue (`clustermodel catalog list`), every number in it has a source.

# %%
import jax

jax.config.update("jax_enable_x64", True)  # capital sums do not fit float32

import clustermodel as cm

SYSTEMS = ["hgx-h100", "hgx-h200", "hgx-b200", "gb200-nvl72", "mi355x"]

# %% [markdown]
# ## One deployment
# The cheapest layout and concurrency that keep 50 ms per token.

# %%
answer = cm.cost_per_token("hgx-h200", "llama-3.1-70b", precision="fp8", max_tpot_ms=50)
{key: answer[key] for key in ("usd_per_mtok_total", "binding_limit", "layout", "concurrency", "tpot_ms")}

# %% [markdown]
# Where the time per token and the money of the hour go:

# %%
answer["breakdown"]["step_ms"]

# %%
answer["breakdown"]["usd_per_accelerator_hour"]

# %% [markdown]
# ## The same question for several systems

# %%
COLUMNS = [
    "system",
    "usd_per_mtok_total",
    "usd_per_mtok_output",
    "output_tok_s_per_accelerator",
    "binding_limit",
]
comparison = cm.compare(SYSTEMS, "llama-3.1-70b", precision="fp8", max_tpot_ms=50)
comparison.to_frame()[COLUMNS]

# %% [markdown]
# ## The memory wall
# Llama-3.1-70B in FP8 leaves one H100 room for two dozen short sequences: capacity, not bandwidth, sets its
# throughput. A second accelerator multiplies the batch, further ones cost more communication than they bring.

# %%
offline = {
    "precision": "fp8",
    "isl": 128,
    "osl": 2048,
    "engine": "trtllm",
    "concurrency": 1024,
    "pp": 1,
    "dp": 1,
}
wall = {tp: cm.cost_per_token("hgx-h100", "llama-3.1-70b", tp=tp, **offline) for tp in (1, 2, 4, 8)}
{tp: (each["output_tok_s_per_accelerator"], each["binding_limit"]) for tp, each in wall.items()}

# %% [markdown]
# ## What the answer rests on
# Estimates and assumptions carry a range; replace any of them.

# %%
dearer = cm.load_catalog(overrides=["price.wacc=0.12", "site.electricity=0.12 USD/kWh"])
doubled = cm.cost_per_token("hgx-h200", "llama-3.1-70b", precision="fp8", max_tpot_ms=50, catalog=dearer)
doubled["usd_per_mtok_total"] / answer["usd_per_mtok_total"]

# %%
assert wall[1]["binding_limit"] == "capacity"
assert wall[2]["output_tok_s_per_accelerator"] > 2 * wall[1]["output_tok_s_per_accelerator"]
assert doubled["usd_per_mtok_total"] > answer["usd_per_mtok_total"]
