"""Synthetic fleet problems with known optima, drawn in a fixed order from a seed.

The order of the random draws is part of the contract: changing it changes every known value. Units are
abstract: one period lasts one second, work and money are numbers.
"""

import numpy as np

from clustermodel.fleet import Assets, Demand, FleetProblem, Horizon, Limit, Policy, Rental, Service

OPTIMA = {
    (20, 20, 12, 1, 0.0): 884.4937043,
    (40, 50, 40, 1, 0.0): 8632.7483836,
    (20, 20, 12, 20, 0.3): 1690.7038160,
    (20, 20, 12, 20, 0.0): 1216.6732624,
    (20, 20, 12, 100, 0.0): 1081.6705688,
    (20, 20, 12, 100, 0.3): 1509.5794259,
}
"""Optimum of the linear relaxation by (systems, workloads, periods, scenarios, omega)."""


def draw(systems=20, workloads=20, periods=12, scenarios=1, seed=0):
    """The raw arrays of an instance."""
    H, W, T, S = systems, workloads, periods, scenarios
    r = np.random.default_rng(seed)
    t = np.arange(T)[None]
    release = np.sort(r.integers(-4, max(2, T - 3), H))
    release[: max(2, H // 4)] = -4
    power = 20 * 1.25 ** r.normal(0, 1, H) * np.exp(0.03 * release)
    perf = power * np.exp(0.08 * release) * 1.2 ** r.normal(0, 1, H) / 20
    size = 1.6 ** r.normal(0, 1, W)
    rate = perf[:, None] * size[None] * 1.35 ** r.normal(0, 1, (H, W))
    rate *= r.random((H, W)) > 0.25
    source, host = r.integers(0, H, W), r.integers(0, H, W)
    rate[host, np.arange(W)] = (perf[:, None] * size)[source, np.arange(W)]
    base = 0.9 * perf**0.9 * 1.15 ** r.normal(0, 1, H) + 0.4
    price = base[:, None] * np.exp(-0.05 * np.maximum(0, t - release[:, None]))
    lead = r.integers(0, 3, H)
    life = np.minimum(r.integers(10, 17, H), T + 20)
    demand = 14 * size * np.exp(r.normal(0, 0.5, W))
    growth = np.exp(0.07 * np.arange(T))[:, None] * np.exp(0.02 * np.arange(T))[:, None]
    mean = (demand * growth)[None]
    supply = np.ceil(np.exp(r.normal(2.2, 0.6, (H, 1))) * np.exp(0.04 * t))
    supply = np.where(t >= release[:, None], supply, 0)
    legacy = np.zeros((H, T))
    old = max(2, H // 4)
    legacy[:old] = np.maximum(0, np.round(r.integers(2, 10, (old, 1)) * (1 - t / 8)))
    vendor = r.random(H) < 0.5
    return dict(
        power=power, rate=rate, base=base, price=price, lead=lead, life=life, supply=supply, legacy=legacy,
        vendor=vendor, mean=mean, work=_paths(demand * growth, S, seed), disc=1.025 ** (-np.arange(T)),
    )  # fmt: skip


def _paths(mean, scenarios, seed):
    """Common and idiosyncratic random walks around the mean, one path per scenario."""
    if scenarios == 1:
        return mean[None]
    T, W = mean.shape
    r = np.random.default_rng(seed + 999)
    common = np.cumsum(r.normal(0, 0.09, (scenarios, T, 1)), 1)
    own = np.cumsum(r.normal(0, 0.08, (scenarios, T, W)), 1)
    drift = 0.5 * (0.09**2 + 0.08**2) * np.arange(1, T + 1)[None, :, None]
    return mean * np.exp(common + own - drift)


def instance(systems=20, workloads=20, periods=12, scenarios=1, omega=0.0, whole_systems=False, seed=0):
    """The instance as a `FleetProblem`."""
    g = draw(systems, workloads, periods, scenarios, seed)
    H, W, T, S = systems, workloads, periods, scenarios
    idle, busy = 0.35 * g["power"], 0.65 * g["power"]
    safe = np.where(g["rate"] > 0, g["rate"], 1)
    rent, median = 0.17 * g["base"], np.nanmedian(np.where(g["rate"] > 0, g["rate"], np.nan))
    need = g["mean"][0].sum(1)
    most = np.full(H, 0.4 * np.mean(g["supply"]))
    budget = np.maximum(0.55 * np.nanmedian(g["price"]) / median * need * 0.14, 3 * np.median(g["base"]))
    site = np.maximum(
        0.62 * np.median(g["power"]) * need / median, (idle[:, None] * g["legacy"]).sum(0) * 1.3
    )
    penalty = 2.5 * np.nanmax(np.where(g["rate"] > 0, rent[:, None] * 1.8 / safe, 0), 0)
    each = lambda per_asset: np.tile(per_asset, (T, 1))
    pair = lambda per_pair: np.tile(np.broadcast_to(per_pair, (H, W)), (T, 1, 1))
    return FleetProblem(
        Horizon(tuple(f"p{t}" for t in range(T)), ("all",), np.ones(T), g["disc"], g["disc"][-1], np.ones(1)),
        Assets(
            systems=tuple(f"s{h}" for h in range(H)), sites=("here",) * H,
            vendors=tuple("a" if v else "b" for v in g["vendor"]),
            price=g["price"].T, building=np.zeros((T, H)), lasting=np.zeros((T, H)),
            resale=np.full(H, 0.5), standing_cost=np.zeros((T, H)),
            maintenance=np.zeros(H), legacy_price=np.zeros(H),
            supply=g["supply"].T, lead=g["lead"], life=g["life"], legacy=g["legacy"].T,
            usable=np.full(H, 0.75), standing_power=idle, standing_draw=idle, memory=np.zeros(H),
            carbon=np.zeros(H), offers=("",) * H,
        ),
        Service(
            workloads=tuple(f"w{w}" for w in range(W)), rate=pair(g["rate"]),
            busy_cost=pair(0.012 * busy[:, None]), busy_power=pair(busy[:, None]),
            busy_draw=pair(busy[:, None]), penalty=np.tile(penalty, (T, 1)),
            revenue=np.zeros((T, W)), must_serve=np.zeros((T, W)),
        ),
        Rental(
            price=each(rent), take_or_pay=np.full((T, H), 0.7), least=np.zeros((T, H)), most=each(0.5 * most),
            hosted=np.zeros((T, H)),
            on_demand_price=each(1.8 * rent), on_demand_most=each(most),
        ),
        Demand(tuple(f"f{s}" for s in range(S)), np.full(S, 1 / S), g["work"][:, :, None, :]),
        (
            *(Limit("budget", float(budget[t]), t) for t in range(T)),
            *(Limit("power", float(site[t]), t, site="here") for t in range(T)),
            Limit("vendor_share", 0.75, None, vendor="a"),
        ),
        Policy(omega=omega if S > 1 else 0.0, alpha=0.9, whole_systems=whole_systems),
    )  # fmt: skip
