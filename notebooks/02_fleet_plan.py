# %% [markdown]
# # A fleet under a capex budget
# Ten billion dollars, 500 MW, five workloads that grow for four years: what to buy, when, and what a dollar more
# is worth.

# %%
import jax

jax.config.update("jax_enable_x64", True)  # dollars of ten billion do not fit float32

import clustermodel as cm
from clustermodel.fleet import Options
from clustermodel.fleet.near import near_optimal, table
from clustermodel.fleet.sweep import sweep
from clustermodel.fleet.uncertain import worth_of_planning

# %% [markdown]
# ## The plan
# Throughput and watts of every system under every workload come from the serving model, with each workload's
# objectives on latency.

# %%
problem = cm.FleetProblem.load("ten-billion")
plan = problem.solve(gap=1e-3)
plan.purchases.pivot_table(index="system", columns="period", values="systems", aggfunc="sum", fill_value=0)

# %% [markdown]
# No plan whatever is cheaper than the lower bound:

# %%
dict(cost=plan.objective, lower_bound=plan.lower_bound, gap=plan.gap, solver=plan.solution.solver)

# %%
plan.unmet.groupby("workload")[["demand", "unmet"]].sum().assign(share=lambda f: f["unmet"] / f["demand"])

# %% [markdown]
# ## What limits it
# Capital binds, power does not: more than a dollar is saved by one more dollar of budget.

# %%
prices = plan.shadow_prices[plan.shadow_prices["value"] > 0]
prices.groupby(["constraint", "unit"])["value"].max()

# %% [markdown]
# ## Other budgets
# The slope of the frontier is the budget's shadow price; it ends where supply and power take over.

# %%
frontier = sweep(problem, "budget", [0.5, 0.75, 1.0, 1.25, 1.5, 2.0], Options(gap=1e-3))
frontier[["amount", "objective", "worth_of_1_percent", "capex_usd", "served_share"]]

# %% [markdown]
# ## Other fleets, nearly as cheap
# Within one percent of the best cost the mix is wide open; what they have in common is what to order first.

# %%
alternatives = near_optimal(plan, 0.01)
table(plan, alternatives).drop(columns="objective").set_index("fleet").round(4)

# %% [markdown]
# ## What uncertainty costs
# A smaller fleet, a hundred futures, a tenant of 40 % who may leave: planning for the mean alone costs VSS more,
# knowing the future would save EVPI.

# %%
uncertain = cm.FleetProblem.load("stochastic-100").solve(gap=1e-3)
worth = worth_of_planning(uncertain, Options(gap=1e-3))
dict(planned=worth.planned, vss=worth.vss, evpi=worth.evpi)

# %%
budget = plan.shadow_prices.set_index("constraint")["value"]["budget"]
assert plan.gap <= 1e-3
assert budget > 1  # capital binds
assert plan.power["draw_mw"].max() < 500  # power does not
assert frontier["worth_of_1_percent"].iloc[-1] < frontier["worth_of_1_percent"].iloc[0]
assert (
    table(plan, alternatives).set_index("fleet").loc["fewest kinds", "kinds"]
    <= plan.purchases["system"].nunique()
)
assert worth.vss > 0
