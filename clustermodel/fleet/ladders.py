"""Ladders of prices in the tables: which row holds for the first systems of an offer, and which beyond how many."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.schema import ALL, FURTHER


@dataclasses.dataclass(frozen=True)
class Rung:
    """One tier: the row that writes it (-1: the usual price), and beyond how many systems it begins and ends."""

    row: int
    above: float
    end: float


@dataclasses.dataclass(frozen=True)
class Ladder:
    """The tiers of one offer in one period, lowest first; of orders it may span several (system, site) pairs.

    kind: reserved or on_demand as contracts say, or buy.
    every: whether the price of the tier that is reached holds for all systems, not only for those beyond.
    hosted: whether what is rented stands in one's own hall.
    """

    kind: str
    period: int
    places: tuple[tuple[int, int], ...]
    rungs: tuple[Rung, ...]
    every: bool
    hosted: bool = False

    def offer(self, tier: int) -> str:
        """What the asset of a tier is called: empty for the first, unless it is on demand in one's own hall."""
        lane = "on demand" if self.kind == "on_demand" and self.hosted else ""
        return ", ".join(part for part in (lane, f"tier {tier + 1}" if tier else "") if part)


def extended(pairs: Pairs, ladders: Iterable[Ladder]) -> Pairs:
    """The assets with one more for every tier beyond the first, and for what is on demand in one's own hall."""
    keys = dict.fromkeys(pairs.keys)
    for ladder in ladders:
        for tier, (system, site) in itertools.product(range(len(ladder.rungs)), ladder.places):
            keys[system, site, ladder.offer(tier)] = None
    systems, sites, offers = zip(*keys, strict=True) if keys else ((), (), ())
    return Pairs(np.array(systems, dtype=int), np.array(sites, dtype=int), offers)


def contract_ladders(tables: Tables) -> list[Ladder]:
    """The tiers of every contract in every period; what cannot be meant is added to the problems."""
    frame, count = tables.frames["contracts"], len(tables.periods)
    spans = zip(tables.when("contracts", "from", 0), tables.when("contracts", "to", count - 1), strict=True)
    active = [range(first, last + 1) for first, last in spans]
    of = [tables.own("contracts", column).tolist() for column in ("system", "site")]
    places = list(zip(*of, strict=True))
    rented, hosted = tables.frames["sites"]["rented"].to_numpy() > 0, frame["hosted"].to_numpy(dtype=float)
    groups: dict[tuple, list[int]] = {}
    for row, (place, kind) in enumerate(zip(places, frame["kind"], strict=True)):
        groups.setdefault((*place, kind), []).append(row)
    found = []
    for (system, site, kind), rows in groups.items():
        for period, tiers in _by_period(frame, active, rows):
            said = hosted[tiers[0]]
            stands = not rented[site] if np.isnan(said) else bool(said)
            ends = _ends(frame, tiers)
            rungs = [Rung(r, a, e) for r, a, e in zip(tiers, frame["above"].iloc[tiers], ends, strict=True)]
            every = len(tiers) > 1 and frame["holds_for"].iloc[tiers[-1]] == ALL
            found.append(Ladder(kind, period, ((system, site),), tuple(rungs), every, stands))
    told = [*_unhosted(frame, places, rented, hosted), *_contract_mistakes(tables, active, groups)]
    tables.problems.extend(f"contracts: {problem}" for problem in dict.fromkeys(told))
    return found


def _by_period(
    frame: pd.DataFrame, active: Sequence[range], rows: Sequence[int]
) -> Iterator[tuple[int, list[int]]]:
    """The rows on offer in every period that has any, lowest tier first."""
    lowest_first = sorted(rows, key=lambda row: frame["above"].iloc[row])
    for period in sorted(set(itertools.chain.from_iterable(active[row] for row in rows))):
        yield period, [row for row in lowest_first if period in active[row]]


def _ends(frame: pd.DataFrame, tiers: list[int]) -> list[float]:
    return [*frame["above"].iloc[tiers[1:]], float(frame["most"].iloc[tiers[-1]])]


def _unhosted(
    frame: pd.DataFrame, places: Sequence[tuple[int, int]], rented: np.ndarray, hosted: np.ndarray
) -> Iterator[str]:
    for row, (_, site) in enumerate(places):
        if rented[site] and hosted[row] > 0:
            name = frame["site"].iloc[row]
            yield (
                f"row {frame.index[row]}: hosted {hosted[row]:g} at {name}, where others own the systems; leave it "
                f"empty, or write rented 0 for {name} in sites"
            )


def _contract_mistakes(
    tables: Tables, active: Sequence[range], groups: dict[tuple, list[int]]
) -> Iterator[str]:
    frame = tables.frames["contracts"]
    for (_, _, kind), rows in groups.items():
        for period, tiers in _by_period(frame, active, rows):
            yield from _twice(frame, tiers, tables.periods[period])
            yield from _without_start(frame, tiers)
            yield from _misfits(frame, tiers, kind) if len(tiers) > 1 else ()


def _twice(frame: pd.DataFrame, tiers: Sequence[int], period: str) -> Iterator[str]:
    for low, high in itertools.pairwise(tiers):
        if frame["above"].iloc[low] == frame["above"].iloc[high]:
            earlier, later = sorted((low, high))
            said = ", ".join(f"{key} {frame[key].iloc[later]!r}" for key in ("system", "site", "kind"))
            yield (
                f"row {frame.index[later]}: {said} is on offer in {period} by row {frame.index[earlier]} already; "
                "keep one, give them periods of their own (from, to), or make it a tier: write in `above` beyond how "
                "many systems its price holds"
            )


def _without_start(frame: pd.DataFrame, tiers: Sequence[int]) -> Iterator[str]:
    first, most = tiers[0], tiers[-1]
    if (above := frame["above"].iloc[first]) > 0:
        yield (
            f"row {frame.index[first]}: above {above:g}, and no row says what the first {above:g} cost then; write "
            "one with above 0"
        )
    if frame["most"].iloc[most] <= frame["above"].iloc[most] and len(tiers) > 1:
        yield (
            f"row {frame.index[most]}: most {frame['most'].iloc[most]:g} counts all tiers, so it has to be more than "
            f"above ({frame['above'].iloc[most]:g})"
        )


def _misfits(frame: pd.DataFrame, tiers: Sequence[int], kind: str) -> Iterator[str]:
    """What the tiers of one contract may not do."""
    cell = lambda column, row: frame[column].iloc[row]
    for low, high in itertools.pairwise(tiers):
        name = f"row {frame.index[high]}"
        if cell("most", low) < cell("above", high):
            yield (
                f"row {frame.index[low]}: most {cell('most', low):g} ends before {name} begins "
                f"(above {cell('above', high):g}); leave it empty, a tier ends where the next begins"
            )
        if cell("take_or_pay", high) != cell("take_or_pay", low):
            due = f"take_or_pay {cell('take_or_pay', high):g}"
            yield f"{name}: {due}: write that of row {frame.index[low]} in all tiers"
        if cell("least", high) > 0:
            yield f"{name}: least {cell('least', high):g}: write it in the first tier, it counts all of them"
    yield from holding(frame, tiers[1:])
    falls = bool(np.any(np.diff(frame["price"].iloc[list(tiers)]) < 0))
    if (falls or cell("holds_for", tiers[-1]) == ALL) and (
        kind == "on_demand" or cell("take_or_pay", tiers[0]) < 1
    ):
        what = "on demand" if kind == "on_demand" else "reserved with take_or_pay below 1"
        yield (
            f"row {frame.index[tiers[1]]}: a discount for many systems that are {what} depends on how many are used "
            "at every moment, which is not modelled; write it as reserved with take_or_pay 1, or one average price"
        )


def holding(frame: pd.DataFrame, tiers: Sequence[int]) -> Iterator[str]:
    """A sentence for every word that says in no known way for which systems a tier's price holds."""
    said = list(dict.fromkeys(frame["holds_for"].iloc[list(tiers)]))
    for word in said:
        if word not in (FURTHER, ALL):
            rows = [row for row in tiers if frame["holds_for"].iloc[row] == word]
            yield f"row {frame.index[rows[0]]}: holds_for {word!r} is neither {FURTHER} nor {ALL}"
    if len(said) > 1 and set(said) == {FURTHER, ALL}:
        yield f"row {frame.index[tiers[-1]]}: holds_for: write the same word in all tiers of an offer"


def order_ladders(tables: Tables, pairs: Pairs) -> list[Ladder]:
    """The tiers of what is bought, by period; pairs to which the same rows apply share them."""
    frame, count = tables.frames["prices"], len(tables.periods)
    above = frame["above"].to_numpy(dtype=float)
    if not np.any(above > 0):
        return []
    rows = pairs.matching(tables, "prices")
    when = tables.index("prices", "period", tables.periods)
    shared: dict[tuple[int, tuple[int, ...]], list[tuple[int, int]]] = {}
    for period in range(count):
        holds = (above > 0) & ((when == period) | (when < 0))
        for a in np.nonzero(rows[holds].any(axis=0))[0]:
            last = {above[row]: int(row) for row in np.nonzero(holds & rows[:, a])[0]}
            tiers = tuple(last[key] for key in sorted(last))
            shared.setdefault((period, tiers), []).append((int(pairs.system[a]), int(pairs.site[a])))
    told = dict.fromkeys(problem for _, tiers in shared for problem in holding(frame, tiers))
    tables.problems.extend(f"prices: {problem}" for problem in told)
    return [_order_ladder(frame, period, tiers, places) for (period, tiers), places in shared.items()]


def _order_ladder(
    frame: pd.DataFrame, period: int, tiers: Sequence[int], places: Sequence[tuple[int, int]]
) -> Ladder:
    starts = [0.0, *frame["above"].iloc[list(tiers)]]
    ends = [*starts[1:], math.inf]
    rungs = [Rung(r, a, e) for r, a, e in zip((-1, *tiers), starts, ends, strict=True)]
    return Ladder("buy", period, tuple(places), tuple(rungs), frame["holds_for"].iloc[tiers[-1]] == ALL)
