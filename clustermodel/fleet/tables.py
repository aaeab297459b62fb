"""The decisions and consequences of a fleet as tables for people: USD, MW, systems, work."""

import numpy as np
import pandas as pd

from clustermodel.fleet.outcome import NEGLIGIBLE, Outcome
from clustermodel.fleet.problem import Names
from clustermodel.fleet.statistics import by_asset, by_workload
from clustermodel.units import SECONDS_PER_HOUR

MEGA = 1e6
FLOWS = ("capex", "standing", "take_or_pay", "reserved_use", "on_demand", "running")


def purchases(outcome: Outcome) -> pd.DataFrame:
    """Orders with their price and spending."""
    problem, ordered = outcome.problem, outcome.decision("buy")
    t, a = np.nonzero(ordered)
    outlay = problem.assets.outlay[t, a]
    spent = {"systems": ordered[t, a], "outlay_usd": outlay, "spend_usd": outlay * ordered[t, a]}
    return pd.DataFrame(_where(outcome, t, a) | spent)


def reservations(outcome: Outcome) -> pd.DataFrame:
    """Take-or-pay reservations with their hourly price and what is due even if they are not used."""
    problem, rental, booked = outcome.problem, outcome.problem.rental, outcome.decision("reserve")
    t, a = np.nonzero(booked)
    due = booked * rental.price * rental.take_or_pay * problem.horizon.seconds[:, None]
    hourly = rental.price[t, a] * SECONDS_PER_HOUR
    return pd.DataFrame(
        _where(outcome, t, a) | {"systems": booked[t, a], "usd_per_hour": hourly, "due_usd": due[t, a]}
    )


def retirements(outcome: Outcome) -> pd.DataFrame:
    """Systems taken out of service before their end of life."""
    layout = outcome.program.layout
    values = outcome.x[layout.retire]
    gone = np.nonzero(values > NEGLIGIBLE)[0]
    assets = np.array([layout.lots[i].asset for i in layout.retire_lot[gone]], dtype=int)
    return pd.DataFrame(_where(outcome, layout.retire_period[gone], assets) | {"systems": values[gone]})


def _where(outcome: Outcome, t: np.ndarray, a: np.ndarray) -> dict[str, np.ndarray]:
    problem = outcome.problem
    names = lambda labels, index: np.array(labels, dtype=object)[index]
    return {
        "period": names(problem.horizon.periods, t),
        "site": names(problem.assets.sites, a),
        "system": names(problem.assets.systems, a),
    }


def dispatch(outcome: Outcome) -> pd.DataFrame:
    """Expected use of every system for every workload: busy systems and work per second."""
    problem, busy = outcome.problem, outcome.operation.busy
    blocks = problem.shape["blocks"]
    j, a, w = np.nonzero(busy > NEGLIGIBLE)
    rate = problem.service.rate[j // blocks, a, w]
    names: dict[str, Names] = {"block": problem.horizon.blocks, "workload": problem.service.workloads}
    keys = _where(outcome, j // blocks, a) | {
        "block": np.array(names["block"], dtype=object)[j % blocks],
        "workload": np.array(names["workload"], dtype=object)[w],
    }
    frame = pd.DataFrame(keys | {"busy_systems": busy[j, a, w], "work_per_s": busy[j, a, w] * rate})
    return frame.groupby(list(keys), sort=False, as_index=False).sum()  # tiers of one price do the same work


def cash_flow(outcome: Outcome) -> pd.DataFrame:
    """Expected USD by period, costs positive; `present_usd` is their discounted sum.

    Systems left at the horizon are sold then: within the last period, discounted to its end.
    """
    problem = outcome.problem
    frame = by_asset(outcome).groupby("period", sort=False)[[f"{name}_usd" for name in FLOWS]].sum()
    work = by_workload(outcome).groupby("period", sort=False)[["penalty_usd", "revenue_usd"]].sum()
    earned = 1.0 if problem.policy.objective == "npv" else 0.0
    frame = frame.join(work.assign(revenue_usd=-earned * work["revenue_usd"]))
    horizon, last = problem.horizon, np.eye(problem.shape["periods"])[-1]
    frame["resale_usd"] = -outcome.sold - outcome.left * last
    frame["total_usd"] = frame.sum(axis=1)
    later = outcome.left * last * (horizon.discount - horizon.last_discount)
    frame["present_usd"] = frame["total_usd"] * horizon.discount + later
    return frame.reset_index()


def power(outcome: Outcome) -> pd.DataFrame:
    """Expected draw within the scope of every limit in every block against the smallest limit there."""
    problem, assets = outcome.problem, outcome.problem.assets
    blocks, rows = problem.shape["blocks"], []
    for resource in outcome.program.resources:
        for slot, limit in resource.limits.items() if resource.kind == "power" else ():
            mine, period = limit.covers(assets), slot // blocks
            standing = outcome.standing[period] @ (assets.standing_draw * mine)
            load = (outcome.operation.busy[slot] * problem.service.busy_draw[period])[mine].sum()
            names = (problem.horizon.periods[period], problem.horizon.blocks[slot % blocks])
            scope = (limit.site, limit.subject)
            rows.append((*names, *scope, (standing + load) / MEGA, limit.value / MEGA))
    return pd.DataFrame(rows, columns=["period", "block", "site", "system", "draw_mw", "limit_mw"])


def unmet(outcome: Outcome) -> pd.DataFrame:
    """Work asked for and left out, expected over scenarios."""
    frame = by_workload(outcome)[["period", "workload", "demand", "unmet"]]
    asked = frame["demand"].to_numpy()
    share = np.where(asked > 0, frame["unmet"] / np.where(asked > 0, asked, 1), 0.0)
    return frame.assign(unmet_share=share)
