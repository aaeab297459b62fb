# %% [markdown]
# # Measure this machine and let the model calibrate itself on it
# The model's coefficients are shares of what hardware can do at the best, fitted on servers that others measured. Here
# they are measured on the machine that runs this page, a real transformer is served on it, and its times stand beside
# what the model says of them before and after. The sizes are small on a processor and grow on an accelerator.

# %%
import tempfile
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import pandas as pd

import clustermodel as cm

# %% [markdown]
# ## What the machine reaches, beside its peaks
# Peaks come from the catalogue where the accelerator is in it; elsewhere the best figure measured here is the peak.

# %%
calibration = Path(tempfile.mkdtemp()) / "this-machine.toml"
machine = cm.bench_device(quick=True, calibration_out=calibration)
print(machine["device"], "| peaks:", machine["peaks"])
machine.to_frame().set_index(["name", "kind", "size"])[["value", "unit", "percent_of_peak"]]

# %% [markdown]
# ## The coefficients that follow
# `weight_read` is the share of the memory's bandwidth at which weights are read in a decode step, `dense_math` the
# share of peak arithmetic in a prompt; launch times are seconds. Beside them are those of published measurements.

# %%
pd.DataFrame(machine["coefficients"]).set_index("coefficient")[["here", "shipped", "unit"]]

# %% [markdown]
# ## A transformer served here, and what the model says of it
# Random weights at the shapes of Llama-3.1-8B, scaled down on a processor. `before` is the shipped fit, `after` the
# calibration of this machine; no coefficient was chosen to match these points.

# %%
served = cm.bench_serve(quick=True, measured=machine)
points = served.to_frame().set_index(["phase", "context", "batch"])
points[["measured_ms", "before_ms", "after_ms", "tokens_per_s", "percent_of_roofline"]].round(2)

# %% [markdown]
# ## The calibration answers questions
# The file that was written is a coefficient table like the shipped one. With it a question is answered as if every
# accelerator were used as well, or as badly, as this machine is; on an H200 its own file belongs here.

# %%
question = {"system": "hgx-h200", "model": "llama-3.1-8b", "concurrency": 32, "n_accelerators": 1}
answers = {
    "shipped fit": cm.cost_per_token(**question),
    "this machine's shares": cm.cost_per_token(**question, calibration=str(calibration)),
}
pd.DataFrame(answers).T[["tpot_ms", "ttft_ms", "output_tok_s_per_accelerator", "usd_per_mtok_output"]].astype(
    float
)

# %% [markdown]
# ## What an H200 should show
# From the catalogue alone: the least time of a decode step is what its weights and its cache take to be read; above it
# stands what the shipped fit expects of an engine. `clustermodel bench serve` on one puts its own figures beside both.

# %%
h200 = cm.load("accelerators/h200-sxm").spec
print(f"{float(h200.hbm_bandwidth) / 1e12:.1f} TB/s, {float(h200.flops_bf16) / 1e12:.0f} TFLOP/s in bf16")
expected = [cm.cost_per_token(**question | {"concurrency": n}, precision="bf16") for n in (1, 8, 32)]
pd.DataFrame(
    {
        "concurrency": [answer["concurrency"] for answer in expected],
        "tpot_ms": [answer["tpot_ms"] for answer in expected],
        "least_ms": [answer["bounds"]["tpot_ms"] for answer in expected],
    }
).round(2)

# %% [markdown]
# The claim: a decoder that runs token by token from its cache computes what a full pass computes, no measured share
# exceeds its peak, and what is predicted with the machine's own coefficients lies within a factor of the measured time
# that even a busy machine keeps.

# %%
errors = (points["after_ms"] / points["measured_ms"]).map(lambda ratio: max(ratio, 1 / ratio))
assert served["decode_against_forward"] < 0.05
assert all(0 < row["here"] < 1 for row in machine["coefficients"] if row["unit"] == "share")
assert errors.median() < 4
assert answers["this machine's shares"]["tpot_ms"] >= answers["shipped fit"]["bounds"]["tpot_ms"]
