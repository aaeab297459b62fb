"""What others rent out, from tidy tables."""

import math

import numpy as np

from clustermodel.fleet.ladders import Ladder
from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.problem import Rental, Tiers


def rental(tables: Tables, pairs: Pairs, contracts: list[Ladder], peak: float) -> Rental:
    """Offers by reservation and on demand; `peak` is the largest demand at a time, of all workloads."""
    frame, shape = tables.frames["contracts"], (len(tables.periods), len(pairs.system))
    names = ("price", "due", "least", "most", "hosted", "spot", "spot_most")
    offer = {name: np.zeros(shape) for name in names}
    where = {key: a for a, key in enumerate(pairs.keys)}
    for kind in dict.fromkeys(frame["kind"]):
        if kind not in ("reserved", "on_demand"):
            tables.problems.append(f"contracts: kind {kind!r} is neither reserved nor on_demand")
    for ladder in contracts:
        signed = float(frame["least"].iloc[ladder.rungs[0].row])
        for tier, rung in enumerate(ladder.rungs):
            at, terms = (ladder.period, where[(*ladder.places[0], ladder.offer(tier))]), frame.iloc[rung.row]
            width = rung.end if ladder.every else rung.end - rung.above
            if ladder.kind == "reserved":
                last = tier == len(ladder.rungs) - 1
                least = 0.0 if ladder.every else max(signed - rung.above, 0.0)
                offer["price"][at], offer["due"][at] = terms["price"], terms["take_or_pay"]
                offer["least"][at], offer["most"][at] = least if last else min(least, width), width
                offer["hosted"][at] = ladder.hosted
            else:
                offer["spot"][at], offer["spot_most"][at] = terms["price"], width
    return Rental(
        price=offer["price"],
        take_or_pay=offer["due"],
        least=offer["least"],
        most=offer["most"],
        hosted=offer["hosted"],
        on_demand_price=offer["spot"],
        on_demand_most=np.minimum(offer["spot_most"], _most_needed(tables, peak)),
    )


def contract_tiers(tables: Tables, pairs: Pairs, contracts: list[Ladder]) -> list[Tiers]:
    """The tiers of reservations; those on demand need no decision before demand is known."""
    where, least = {key: a for a, key in enumerate(pairs.keys)}, tables.frames["contracts"]["least"]
    found = []
    for ladder in contracts:
        if ladder.kind == "reserved" and len(ladder.rungs) > 1:
            place, count = ladder.places[0], len(ladder.rungs)
            lanes = tuple((where[(*place, ladder.offer(tier))],) for tier in range(count))
            starts, ends = zip(*((rung.above, rung.end) for rung in ladder.rungs), strict=True)
            signed = float(least.iloc[ladder.rungs[0].row])
            found.append(Tiers("reserve", ladder.period, lanes, starts, ends, ladder.every, signed))
    return found


def _most_needed(tables: Tables, peak: float) -> float:
    """Systems that serve everything in any case: a finite stand-in for an unlimited offer."""
    rate = tables.frames["throughput"]["throughput"].to_numpy(dtype=float)
    least = rate[rate > 0].min(initial=math.inf)
    return peak / least if math.isfinite(least) else 0.0
