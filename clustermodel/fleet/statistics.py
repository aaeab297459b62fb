"""A fleet in numbers: by period, site, system, workload and scenario."""

import numpy as np
import pandas as pd

from clustermodel.catalog import ConfigError
from clustermodel.fleet.outcome import Outcome
from clustermodel.fleet.risk import tail_weights
from clustermodel.fleet.slots import slot_seconds

ASSET_KEYS = ("period", "site", "system")
WORKLOAD_KEYS = ("period", "workload")
MWH = 3.6e9  # J
STOCKS = ["owned", "reserved"]  # averaged over periods where those are summed up
_LEFT_OPEN = 1e-9  # of the work asked for, below what a solver's feasibility tolerance decides
RATIOS = {"utilisation": ("busy_hours", "owned_hours"), "unmet_share": ("unmet", "demand")}


def statistics(outcome: Outcome, by: tuple[str, ...]) -> pd.DataFrame:
    """Sums by any of period, site and system, or by workload and period, or by scenario; means over scenarios."""
    if set(by) <= set(ASSET_KEYS) and by:
        frame, ratio = by_asset(outcome), "utilisation"
    elif set(by) <= set(WORKLOAD_KEYS) and by:
        frame, ratio = by_workload(outcome), "unmet_share"
    elif by == ("scenario",):
        return by_scenario(outcome)
    else:
        known = f"{', '.join(ASSET_KEYS)}; {', '.join(WORKLOAD_KEYS)}; or scenario"
        raise ConfigError(f"statistics by {', '.join(by) or 'nothing'}: choose among {known}")
    grouped = frame.groupby(list(by), sort=False, as_index=False).sum(numeric_only=True)
    if "period" not in by and ratio == "utilisation":
        grouped[STOCKS] /= outcome.problem.shape["periods"]
    part, whole = (grouped[name] for name in RATIOS[ratio])
    grouped[ratio] = np.where(whole > 0, part / whole.where(whole > 0, 1), 0.0)
    return grouped


def by_asset(outcome: Outcome) -> pd.DataFrame:
    """One row per period and asset: systems, hours, money of that period (undiscounted), work, energy."""
    problem, use = outcome.problem, outcome.operation
    assets, rental, service = problem.assets, problem.rental, problem.service
    periods, blocks = problem.shape["periods"], problem.shape["blocks"]
    count, seconds = problem.shape["assets"], slot_seconds(problem)
    weigh = lambda array: np.tensordot(problem.demand.probability, array, axes=1)
    hours = lambda array: (array * seconds[:, None]).reshape(periods, blocks, count).sum(axis=1) / 3600
    per_pair = lambda array: np.repeat(array, blocks, axis=0)
    busy, on_demand, reserved = weigh(use.used), weigh(use.on_demand), weigh(use.reserved)
    period_seconds = problem.horizon.seconds[:, None]
    owned, booked = outcome.in_service, outcome.decision("reserve")
    table = {
        "ordered": outcome.decision("buy"),
        "owned": owned,
        "reserved": booked,
        "capex_usd": outcome.decision("buy") * assets.outlay,
        "standing_usd": (outcome.standing * assets.standing_cost + outcome.upkeep) * period_seconds,
        "take_or_pay_usd": booked * rental.price * rental.take_or_pay * period_seconds,
        "reserved_use_usd": 3600 * hours(reserved) * rental.price * (1 - rental.take_or_pay),
        "on_demand_usd": 3600 * hours(on_demand) * rental.on_demand_price,
        "running_usd": 3600 * hours((use.busy * per_pair(service.busy_cost)).sum(axis=-1)),
        "work": 3600 * hours((use.busy * per_pair(service.rate)).sum(axis=-1)),
        "energy_mwh": 3600 / MWH * (
            outcome.standing * assets.standing_power * period_seconds / 3600
            + hours((use.busy * per_pair(service.busy_power)).sum(axis=-1))
        ),
        "owned_hours": (owned * assets.usable + booked) * period_seconds / 3600 + hours(on_demand),
        "busy_hours": hours(busy),
        "unused_reserved_hours": booked * period_seconds / 3600 - hours(reserved),
    }  # fmt: skip
    keys = {
        "period": np.repeat(problem.horizon.periods, count),
        "site": np.tile(assets.sites, periods),
        "system": np.tile(assets.systems, periods),
    }
    frame = pd.DataFrame({**keys, **{name: np.ravel(values) for name, values in table.items()}})
    return frame.assign(emissions_t=frame["energy_mwh"] * np.tile(assets.carbon, periods) * MWH / 1000)


def beyond_rounding(work: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Work, or 0 where it is less than what a solver leaves open of what was asked for."""
    return np.where(work > _LEFT_OPEN * asked, work, 0.0)


def by_workload(outcome: Outcome) -> pd.DataFrame:
    """One row per period and workload: work asked for, served and left out, and what that costs or earns."""
    problem, use = outcome.problem, outcome.operation
    periods, blocks = problem.shape["periods"], problem.shape["blocks"]
    weigh = lambda array: np.tensordot(problem.demand.probability, array, axes=1)
    total = lambda array: (array * slot_seconds(problem)[:, None]).reshape(periods, blocks, -1).sum(axis=1)
    demand = total(weigh(problem.demand.work).reshape(periods * blocks, -1))
    unmet = beyond_rounding(total(weigh(use.left_out + use.breach)), demand)
    breach = beyond_rounding(total(weigh(use.breach)), demand)
    table = {
        "demand": demand,
        "served": demand - unmet,
        "unmet": unmet,
        "breach": breach,
        "penalty_usd": unmet * problem.service.penalty,
        "revenue_usd": (demand - unmet) * problem.service.revenue,
    }
    workloads = problem.service.workloads
    keys = {
        "period": np.repeat(problem.horizon.periods, len(workloads)),
        "workload": np.tile(workloads, periods),
    }
    return pd.DataFrame({**keys, **{name: values.ravel() for name, values in table.items()}})


def by_scenario(outcome: Outcome) -> pd.DataFrame:
    """One row per scenario: probability, present cost of the whole plan, weight in the tail, unmet share."""
    problem, program, use = outcome.problem, outcome.program, outcome.operation
    seconds = slot_seconds(problem)[None, :, None]
    demand = problem.demand.work.reshape(*use.left_out.shape)
    asked = (demand * seconds).sum(axis=(1, 2))
    unmet = beyond_rounding(((use.left_out + use.breach) * seconds).sum(axis=(1, 2)), asked)
    loss = use.cost.sum(axis=1) + program.offset
    return pd.DataFrame(
        {
            "scenario": problem.demand.scenarios,
            "probability": problem.demand.probability,
            "cost": (program.cost @ outcome.x + loss) * program.scale.money,
            "tail_weight": tail_weights(loss, program.probability, program.alpha),
            "demand": asked,
            "unmet": unmet,
            "unmet_share": np.where(asked > 0, unmet / np.where(asked > 0, asked, 1), 0.0),
        }
    )
