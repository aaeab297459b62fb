"""Assets and rental offers from tidy tables."""

import math

import numpy as np

from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.problem import Assets, Horizon, Rental
from clustermodel.units import SECONDS_PER_YEAR

FOREVER = 10**6  # periods


def assets(tables: Tables, horizon: Horizon, pairs: Pairs, planned: np.ndarray) -> Assets:
    """Prices, lives, power and supply of every asset; `planned` is its planning power (W), NaN where unknown."""
    systems, sites = tables.frames["systems"], tables.frames["sites"]
    count, length = len(horizon.periods), tables.length
    of_system = lambda column: systems[column].to_numpy(dtype=float)[pairs.system]
    of_site = lambda column: sites[column].to_numpy(dtype=float)[pairs.site]
    first = tables.when("systems", "available_from", 0)[pairs.system]
    last = tables.when("systems", "last_order", count - 1)[pairs.system]
    _refuse_closed(tables, count)
    price = _prices(tables, pairs, first)
    t = np.arange(count)[:, None]
    sold = np.isfinite(price) & (t >= first) & (t <= last) & (of_site("rented") == 0)
    provisioned, pue = np.nan_to_num(planned), of_site("pue")
    standing = of_system("idle_power") * pue
    building = of_site("building") * provisioned / pue
    rest = np.clip(1 - (count - t) * length / of_site("building_life"), 0, 1)
    legacy_price = _first_known(price)
    price = np.where(np.isfinite(price), price, 0.0)
    drawn = provisioned if tables.settings["power_basis"] == "provisioned" else standing
    names = pairs.names(tables)
    return Assets(
        *names,
        price=price,
        building=np.tile(building, (count, 1)),
        lasting=building * rest,
        resale=of_system("resale"),
        standing_cost=np.tile(standing * of_site("electricity"), (count, 1)),
        maintenance=of_system("maintenance"),
        legacy_price=legacy_price,
        supply=np.where(sold, np.inf, 0.0),
        lead=np.ceil(of_system("lead_time") / length - 1e-9).astype(int),
        life=np.clip(np.floor(of_system("life") / length + 1e-9), 1, FOREVER).astype(int),
        legacy=_legacy(tables, pairs),
        usable=of_system("usable"),
        standing_power=standing,
        standing_draw=np.where(of_site("rented") > 0, 0.0, drawn),
        memory=of_system("memory"),
        carbon=of_site("carbon"),
    )


def _prices(tables: Tables, pairs: Pairs, first: np.ndarray) -> np.ndarray:
    """[period, asset]: the price with its change since the first order, or what prices.csv says."""
    systems, count = tables.frames["systems"], len(tables.periods)
    change = systems["price_change"].to_numpy(dtype=float)[pairs.system] * SECONDS_PER_YEAR
    years = np.maximum(np.arange(count)[:, None] - first, 0) * tables.length / SECONDS_PER_YEAR
    price = systems["price"].to_numpy(dtype=float)[pairs.system] * (1 + change) ** years
    frame = tables.frames["prices"]
    rows = pairs.matching(tables, "prices")
    for value, period, mine in zip(
        frame["price"], tables.index("prices", "period", tables.periods), rows, strict=True
    ):
        price[slice(None) if period < 0 else period, mine] = value
    return price


def _refuse_closed(tables: Tables, count: int) -> None:
    """Systems whose last order lies before the first."""
    first, last = tables.when("systems", "available_from", 0), tables.when("systems", "last_order", count - 1)
    frame = tables.frames["systems"]
    for i in np.nonzero(first > last)[0].tolist():
        tables.problems.append(
            f"systems: row {frame.index[i]}: {frame['system'].iloc[i]} is available from {tables.periods[first[i]]}, "
            f"after its last order in {tables.periods[last[i]]}; exchange them or leave one empty"
        )


def _first_known(price: np.ndarray) -> np.ndarray:
    """[asset] the price of the first period that has one, 0 where none has."""
    known = np.isfinite(price)
    first = np.take_along_axis(price, known.argmax(axis=0)[None], axis=0)[0]
    return np.where(known.any(axis=0), first, 0.0)


def _legacy(tables: Tables, pairs: Pairs) -> np.ndarray:
    count, frame = len(tables.periods), tables.frames["legacy"]
    legacy = np.zeros((count, len(pairs.system)))
    rows = pairs.matching(tables, "legacy")
    until = tables.when("legacy", "until", count - 1)
    for systems, last, mine in zip(frame["systems"], until, rows, strict=True):
        legacy[: last + 1, mine] += systems
    return legacy


def rental(tables: Tables, horizon: Horizon, pairs: Pairs, peak: float) -> Rental:
    """What others rent out, reserved and on demand; `peak` is the largest demand at a time, of all workloads."""
    frame, count, assets = tables.frames["contracts"], len(horizon.periods), len(pairs.system)
    offer = {
        name: np.zeros((count, assets)) for name in ("price", "due", "least", "most", "spot", "spot_most")
    }
    rows = pairs.matching(tables, "contracts")
    span = zip(tables.when("contracts", "from", 0), tables.when("contracts", "to", count - 1), strict=True)
    for (kind, price, due, least, most), (first, last), mine in zip(
        frame[["kind", "price", "take_or_pay", "least", "most"]].to_numpy(), span, rows, strict=True
    ):
        block = np.ix_(np.arange(first, last + 1), np.nonzero(mine)[0])
        if kind == "reserved":
            offer["price"][block], offer["least"][block], offer["most"][block] = price, least, most
            offer["due"][block] = due
        elif kind == "on_demand":
            offer["spot"][block], offer["spot_most"][block] = price, most
        else:
            tables.problems.append(f"contracts: kind {kind!r} is neither reserved nor on_demand")
    limit = _most_needed(tables, peak)
    return Rental(
        price=offer["price"],
        take_or_pay=offer["due"],
        least=offer["least"],
        most=offer["most"],
        on_demand_price=offer["spot"],
        on_demand_most=np.minimum(offer["spot_most"], limit),
    )


def _most_needed(tables: Tables, peak: float) -> float:
    """Systems that serve everything in any case: a finite stand-in for an unlimited offer."""
    rate = tables.frames["throughput"]["throughput"].to_numpy(dtype=float)
    least = rate[rate > 0].min(initial=math.inf)
    return peak / least if math.isfinite(least) else 0.0
