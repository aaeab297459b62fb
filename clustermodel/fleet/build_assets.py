"""What is owned or can be bought, from tidy tables."""

import numpy as np

from clustermodel.fleet.ladders import Ladder
from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.problem import Assets, Tiers
from clustermodel.units import SECONDS_PER_YEAR

FOREVER = 10**6  # periods


def assets(tables: Tables, pairs: Pairs, orders: list[Ladder], planned: np.ndarray) -> Assets:
    """Prices, lives, power and supply of every asset; `planned` is its planning power (W), NaN where unknown."""
    systems, sites = tables.frames["systems"], tables.frames["sites"]
    count, length = len(tables.periods), tables.length
    of_system = lambda column: systems[column].to_numpy(dtype=float)[pairs.system]
    of_site = lambda column: sites[column].to_numpy(dtype=float)[pairs.site]
    first = tables.when("systems", "available_from", 0)[pairs.system]
    last = tables.when("systems", "last_order", count - 1)[pairs.system]
    _refuse_closed(tables, count)
    price = _prices(tables, pairs, orders, first)
    t = np.arange(count)[:, None]
    sold = np.isfinite(price) & (t >= first) & (t <= last) & _for_sale(tables, pairs)
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
        offers=pairs.offer,
    )


def _for_sale(tables: Tables, pairs: Pairs) -> np.ndarray:
    """[asset] whether systems may be bought there: at own sites, and only where the system may stand."""
    at = tables.index("systems", "site", tables.names("sites", "site"))[pairs.system]
    rented = tables.frames["sites"]["rented"].to_numpy(dtype=float)[pairs.site]
    return (rented == 0) & ((at < 0) | (at == pairs.site)) & ~pairs.on_demand


def _prices(tables: Tables, pairs: Pairs, orders: list[Ladder], first: np.ndarray) -> np.ndarray:
    """[period, asset]: the price with its change since the first order, or what prices.csv says; NaN where none."""
    systems, count = tables.frames["systems"], len(tables.periods)
    change = systems["price_change"].to_numpy(dtype=float)[pairs.system] * SECONDS_PER_YEAR
    years = np.maximum(np.arange(count)[:, None] - first, 0) * tables.length / SECONDS_PER_YEAR
    price = systems["price"].to_numpy(dtype=float)[pairs.system] * (1 + change) ** years
    frame = tables.frames["prices"]
    rows = pairs.matching(tables, "prices") & (frame["above"].to_numpy(dtype=float) == 0)[:, None]
    for value, period, mine in zip(
        frame["price"], tables.index("prices", "period", tables.periods), rows, strict=True
    ):
        price[slice(None) if period < 0 else period, mine] = value
    price[:, ~pairs.plain] = np.nan
    where = {key: a for a, key in enumerate(pairs.keys)}
    for ladder in orders:
        for tier, rung in list(enumerate(ladder.rungs))[1:]:
            for system, site in ladder.places:
                price[ladder.period, where[system, site, ladder.offer(tier)]] = frame["price"].iloc[rung.row]
    return price


def order_tiers(tables: Tables, pairs: Pairs, orders: list[Ladder], owned: Assets) -> list[Tiers]:
    """The tiers of orders in the periods in which they can be placed; one without a first price is a mistake."""
    where, frame, found = {key: a for a, key in enumerate(pairs.keys)}, tables.frames["prices"], []
    for ladder in orders:
        lanes = [
            tuple(where[system, site, ladder.offer(tier)] for system, site in ladder.places)
            for tier in range(len(ladder.rungs))
        ]
        on_sale = owned.supply[ladder.period] > 0
        if not on_sale[list(lanes[1])].any():
            continue
        if not on_sale[list(lanes[0])].all():
            row, above = frame.index[ladder.rungs[1].row], ladder.rungs[1].above
            tables.problems.append(
                f"prices: row {row}: above {above:g}, and nothing says what the first {above:g} cost in "
                f"{tables.periods[ladder.period]}; write a row with above 0, or a price in systems"
            )
        starts, ends = zip(*((rung.above, rung.end) for rung in ladder.rungs), strict=True)
        found.append(Tiers("buy", ladder.period, tuple(lanes), starts, ends, ladder.every))
    return found


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
    rows = pairs.matching(tables, "legacy") & pairs.plain
    until = tables.when("legacy", "until", count - 1)
    for systems, last, mine in zip(frame["systems"], until, rows, strict=True):
        legacy[: last + 1, mine] += systems
    return legacy
