"""Service and demand from tidy tables."""

import numpy as np

from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.problem import Demand, Horizon, Names, Service
from clustermodel.units import SECONDS_PER_YEAR


def service(tables: Tables, horizon: Horizon, pairs: Pairs, planned: np.ndarray) -> Service:
    """Throughput, running cost and power of every asset under every workload, and what work is worth.

    Systems on demand in one's own hall stand there when they are used: all of their power comes with the load.
    """
    frame, workloads = tables.frames["throughput"], tables.names("workloads", "workload")
    systems, sites = tables.frames["systems"], tables.frames["sites"]
    count = len(horizon.periods)
    rate, power, cost = (np.zeros((count, len(pairs.system), len(workloads))) for _ in range(3))
    rows = pairs.matching(tables, "throughput")
    place = zip(tables.index("throughput", "period", horizon.periods), rows,
                tables.own("throughput", "workload"), strict=True)  # fmt: skip
    numbers = frame[["throughput", "power", "cost"]].to_numpy(dtype=float)
    for (period, mine, w), (work, watts, usd) in zip(place, numbers, strict=True):
        t = np.arange(count) if period < 0 else np.array([period])
        a = np.nonzero(mine)[0]
        rate[np.ix_(t, a, [w])], power[np.ix_(t, a, [w])], cost[np.ix_(t, a, [w])] = work, watts, usd
    idle = systems["idle_power"].to_numpy(dtype=float)[pairs.system]
    pue = sites["pue"].to_numpy(dtype=float)[pairs.site]
    electricity = sites["electricity"].to_numpy(dtype=float)[pairs.site]
    idle = idle[None, :, None]
    load = np.maximum(power - idle, 0) + np.where(pairs.on_demand[:, None], idle, 0)
    busy = load * (pue[:, None] * (rate > 0))
    drawn = busy
    if tables.settings["power_basis"] == "provisioned":
        standing = np.where(pairs.on_demand, np.nan_to_num(planned), 0.0)
        drawn = standing[:, None] * (rate > 0)
    own = (sites["rented"].to_numpy(dtype=float)[pairs.site] == 0)[:, None]
    table = tables.frames["workloads"]
    each = lambda column: np.tile(table[column].to_numpy(dtype=float), (count, 1))
    years = np.arange(count)[:, None] * tables.length / SECONDS_PER_YEAR
    change = (1 + each("revenue_change") * SECONDS_PER_YEAR) ** years
    return Service(
        workloads=workloads,
        rate=rate,
        busy_cost=busy * electricity[:, None] + cost * rate,
        busy_power=busy,
        busy_draw=drawn * own,
        penalty=each("penalty"),
        revenue=each("revenue") * change,
        must_serve=each("must_serve"),
    )


def demand(tables: Tables, horizon: Horizon, workloads: Names) -> Demand:
    """Demand of every scenario, period, block and workload."""
    table, scenarios = tables.frames["scenarios"], tables.names("scenarios", "scenario") or ("expected",)
    probability = table["probability"].to_numpy(dtype=float) if len(table) else np.ones(1)
    work = np.zeros((len(scenarios), len(horizon.periods), len(horizon.blocks), len(workloads)))
    load = {str(block["name"]): float(block.get("load", 1.0)) for block in tables.settings["blocks"]}
    loads = np.array([load.get(name, 1.0) for name in horizon.blocks])[:, None]
    place = [
        tables.index("demand", column, known)
        for column, known in (
            ("scenario", scenarios), ("period", horizon.periods), ("block", horizon.blocks),
            ("workload", workloads),
        )
    ]  # fmt: skip
    for value, *where in zip(tables.frames["demand"]["demand"], *place, strict=True):
        s, t, k, w = (slice(None) if i < 0 else slice(i, i + 1) for i in where)
        work[s, t, k, w] = value * (loads if where[2] < 0 else 1.0)
    factors = tables.frames["factors"]
    place = [
        tables.index("factors", column, known)
        for column, known in (("scenario", scenarios), ("period", horizon.periods), ("workload", workloads))
    ]
    for value, *where in zip(factors["factor"], *place, strict=True):
        s, t, w = (slice(None) if i < 0 else i for i in where)
        work[s, t, :, w] *= value
    return Demand(scenarios, probability, work)
