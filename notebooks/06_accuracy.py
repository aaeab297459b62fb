# %% [markdown]
# # How far to trust the numbers
# Every measurement that ships beside its prediction: with what the fit has seen, and on what it has not.

# %%
import jax

jax.config.update("jax_enable_x64", True)

import pandas as pd

from clustermodel.calibration.cross_validation import stored
from clustermodel.calibration.validate import validate
from clustermodel.catalog import load_catalog

CATALOG = load_catalog()
ERRORS = ["n", "median_abs_pct", "p90_abs_pct", "bias_pct"]

# %% [markdown]
# ## Rows that the fit has seen, and the strongest peer on the same rows
# Errors are |predicted / measured - 1| in per cent. The peer (aiconfigurator) interpolates measured tables of
# operations, for NVIDIA alone, and leaves part of the rows without an answer (`peer_n` are those it answers).

# %%
found = validate(CATALOG)
groups = pd.DataFrame(found["groups"])
modes = groups[groups["by"].eq("mode")].set_index(["key", "metric"])
modes[[*ERRORS, "peer_n", "peer_median_abs_pct", "peer_p90_abs_pct"]].round(1)

# %% [markdown]
# ## Rows left out of the fit
# The whole fit is repeated without each model, system, combination and load curve; a combination that was never
# measured is predicted by the shared coefficients alone.

# %%
unseen = stored(CATALOG)
left_out = pd.DataFrame(unseen["errors"]).query(
    "mode == 'aggregated' and source in ('all', 'aiconfigurator-silicon')"
)
left_out = left_out.set_index(["source", "left_out", "metric"]).sort_index()
left_out[[*ERRORS, "median_se", "p90_se"]].round(1)

# %% [markdown]
# ## The 80 % ranges of answers
# Share of the measurements left out that lie in the range of their prediction.

# %%
held = pd.DataFrame(unseen["coverage"]).query("source == 'all'")
held.pivot_table(index="left_out", columns="metric", values="coverage").round(3)

# %% [markdown]
# ## Measurements better than physics allows
# A bound above its measurement says that the table states something else than what ran.

# %%
pd.DataFrame(found["bounds_above_measurement"])

# %% [markdown]
# The claim: a system, model or combination that nobody has measured is predicted within 12.5 % at the median, better
# than the peer does with its own measurements, and eight in ten measurements lie in their range.

# %%
tpot = left_out.xs("tpot_ms", level="metric")["median_abs_pct"]
assert (tpot < 12.5).all()
assert tpot.max() < modes.loc[("aggregated", "tpot_ms"), "peer_median_abs_pct"]
assert held.query("metric == 'tpot_ms'")["coverage"].between(0.75, 0.85).all()
