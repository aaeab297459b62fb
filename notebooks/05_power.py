# %% [markdown]
# # What tokens draw, and what a power cap costs
# From the board to the meter: measured boards, chassis, cooling, and the power a site has to plan for.

# %%
import jax

jax.config.update("jax_enable_x64", True)

import pandas as pd

from clustermodel.catalog import load_catalog
from clustermodel.chain import Question, power

CATALOG = load_catalog()
ASKED = {"precision": "fp8", "max_tpot_ms": 50}
SYSTEMS = ("hgx-h100", "hgx-h200", "hgx-b200", "mi355x", "prometheus-32tb")

# %% [markdown]
# ## Watts by level, per accelerator
# Board power is fitted on H100, B200, A100 and MI355X; others borrow it in units of TDP, and say how far that is off.

# %%
answers = {name: power(CATALOG, Question(name, "llama-3.1-70b", **ASKED)) for name in SYSTEMS}
LEVELS = [f"{level}_w_per_accelerator" for level in ("power", "it", "facility", "p90", "provisioned")]
levels = pd.DataFrame(
    {name: [each[level] for level in LEVELS] for name, each in answers.items()}, index=LEVELS
)
levels.round(0)

# %%
pd.DataFrame({name: each["uncertainty"] for name, each in answers.items()}).T[
    ["relative_error", "measured_on"]
]

# %% [markdown]
# ## By phase, and where it goes

# %%
pd.DataFrame({name: each["phase_w"] for name, each in answers.items()}).round(0)

# %%
pd.DataFrame({name: each["breakdown"]["power_w"] for name, each in answers.items()}).round(0)

# %% [markdown]
# ## Megawatts are scarce, joules are cheap
# Energy is a few per cent of the cost of a token; what a site can feed depends on what it plans for.

# %%
scarce = pd.DataFrame(
    {
        name: {
            "joules per output token": each["joules_per_output_token"],
            "energy share of cost": each["energy_share_of_cost"],
            "accelerators per MW, provisioned": each["accelerators_per_mw"]["provisioned"],
            "accelerators per MW, P90": each["accelerators_per_mw"]["p90"],
        }
        for name, each in answers.items()
    }
)
scarce.round(3)

# %% [markdown]
# ## A cap on the boards
# Prefill slows at once, decode hardly: it waits for memory.

# %%
caps = pd.DataFrame(answers["hgx-b200"]["caps"]).set_index("cap_w")
caps.round(3)

# %% [markdown]
# **Claim.** A cap near half of TDP saves a fifth of the joules per token or more, and slows decode less than
# prefill; for dollars a much higher cap is best, because what is idle costs more than what is drawn.

# %%
best = answers["hgx-b200"]["best_cap_w"]
tightest, full = caps.iloc[0], caps.iloc[-1]
assert caps["board_joules_per_output_token"].min() < 0.8 * full["board_joules_per_output_token"]
assert tightest["decode_slowdown"] < tightest["prefill_slowdown"]
assert best["joules_per_token"] < best["usd_per_token"]
assert (scarce.loc["energy share of cost"] < 0.12).all()
