"""A fleet plan by period: what is bought, what it draws, what is left out, and what the limits are worth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Field, Part, numbers
from clustermodel.report.figures import count, figure, percent, several, usd, usd_unit, words

Record = Mapping[str, Any]

_TRILLION = 1e12
_ALL = 99.95
"""Per cent from which all is served."""
_LEFT = 5e-4
"""Share of the work from which what is left out is seen."""
_CURVES = 8
"""Limits in one chart, the dearest."""


def fleet(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """One chart for each table of the plan that has something in it."""
    bought = answer.get("purchases") or []
    if bought:
        yield orders(bought)
    if any(row.get("spend_usd") for row in bought):
        yield spending(bought)
    if answer.get("power"):
        yield power(answer["power"])
    if answer.get("unmet"):
        settings = (answer.get("inputs") or {}).get("settings") or {}
        yield served(answer["unmet"], str(settings.get("work_unit", "token")))
        yield unmet(answer["unmet"])
    yield from shadow_prices(answer.get("shadow_prices") or [])


def orders(rows: Sequence[Record]) -> Bars:
    """Systems ordered in each period."""
    parts, periods = _stacked(rows, "system", lambda row: row["systems"])
    total = sum(row["systems"] for row in rows)
    return Bars(
        "orders",
        "What is ordered",
        f"The plan orders {several(count(total), 'system')}, most of them {_top(parts)}.",
        periods,
        Axis("orders", "systems"),
        parts,
    )


def spending(rows: Sequence[Record]) -> Bars:
    """Dollars spent on orders in each period."""
    spent = lambda row: row.get("spend_usd") or 0.0
    scale, unit = usd_unit(max(spent(row) for row in rows))
    parts, periods = _stacked(rows, "system", lambda row: spent(row) / scale)
    return Bars(
        "spending",
        "What it costs to order",
        f"{usd(sum(map(spent, rows)) / scale)} {unit.removesuffix('USD').strip()} in all; most is spent on "
        f"{_top(parts)}.".replace("  ", " "),
        periods,
        Axis("spending", unit),
        parts,
    )


def power(rows: Sequence[Record]) -> Curves:
    """Peak draw of every site by period against its limit."""
    sites = list(dict.fromkeys(str(row["site"]) for row in rows))
    periods = _periods(rows)
    x = numbers(range(1, len(periods) + 1))
    peak = lambda site, period, field: max(
        (row[field] for row in rows if (str(row["site"]), str(row["period"])) == (site, period)), default=0.0
    )
    drawn = [Curve(site, x, numbers([peak(site, p, "draw_mw") for p in periods])) for site in sites]
    limits = [
        Curve(f"limit of {site}", x, numbers([peak(site, p, "limit_mw") for p in periods]), form="reference")
        for site in sites
    ]
    used = max(row["draw_mw"] / row["limit_mw"] for row in rows if row["limit_mw"])
    return Curves(
        "site-power",
        "Power drawn against the limit",
        f"The fullest site uses {percent(used)} of its power.",
        Axis("period", names=periods),
        Axis("power", "MW"),
        (*drawn, *limits),
    )


def served(rows: Sequence[Record], work: str) -> Bars:
    """Work served in each period by workload, and what is left out."""
    largest = max(row["demand"] for row in rows)
    scale, many = (_TRILLION, f"trillion {work}s") if largest >= _TRILLION else (1.0, f"{work}s")
    parts, periods = _stacked(rows, "workload", lambda row: (row["demand"] - row["unmet"]) / scale)
    left = numbers([sum(r["unmet"] for r in rows if str(r["period"]) == p) / scale for p in periods])
    total = sum(sum(part.values) for part in parts)
    return Bars(
        "served",
        "Work served, by workload",
        f"The plan serves {figure(total)} {many}, {percent(total / (total + sum(left)))} of what is asked for.",
        periods,
        Axis("work served in the period", many),
        (*parts, Part("left out", left, spare=True)) if sum(left) > _LEFT * total else parts,
    )


def unmet(rows: Sequence[Record]) -> Field:
    """Share of the work asked for that is served, by workload and period."""
    periods, workloads = _periods(rows), tuple(dict.fromkeys(str(row["workload"]) for row in rows))
    share = {
        (str(row["workload"]), str(row["period"])): round(100 * (1 - row["unmet_share"]), 6) for row in rows
    }
    (workload, period), least = min(share.items(), key=lambda pair: pair[1])
    return Field(
        "unmet",
        "Share of the work that is served [%]",
        f"The least is served of {workload} in {period}: {figure(least)} %."
        if least < _ALL
        else "All work is served.",
        Axis("period", names=periods),
        Axis("workload", names=workloads),
        Axis("share of the work asked for", "%"),
        numbers(range(1, len(periods) + 1)),
        numbers(range(1, len(workloads) + 1)),
        tuple(tuple(share.get((each, p)) for p in periods) for each in workloads),
    )


def shadow_prices(rows: Sequence[Record]) -> Iterator[Curves]:
    """What one more unit of each limit that binds is worth over the periods, 0 where it does not; a chart a unit."""
    for unit in dict.fromkeys(str(row["unit"]) for row in rows):
        own = [row for row in rows if str(row["unit"]) == unit]
        periods, best = _periods(own), max(own, key=lambda row: row["value"])
        worth = {_limit(row): 0.0 for row in own}
        for row in own:
            worth[_limit(row)] = max(worth[_limit(row)], float(row["value"]))
        binding = sorted((name for name in worth if worth[name] > 0), key=lambda name: -worth[name])[:_CURVES]
        if binding and len(periods) > 1:
            yield Curves(
                f"worth-{'-'.join(unit.lower().replace('/', ' ').split())}",
                f"What one more unit of a limit is worth [{unit}]",
                f"One more of {_limit(best)} in {best['period']} is worth the most: {figure(best['value'])} {unit}.",
                Axis("period", names=periods),
                Axis("worth of one more unit", unit),
                tuple(_worth(name, [row for row in own if _limit(row) == name], periods) for name in binding),
            )


def _worth(name: str, rows: Sequence[Record], periods: Sequence[str]) -> Curve:
    found = {str(row["period"]): float(row["value"]) for row in rows}
    x = [i for i, period in enumerate(periods, start=1) if period in found]
    return Curve(name, numbers(x), tuple(found[periods[i - 1]] for i in x))


def _periods(rows: Sequence[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(row["period"]) for row in rows))


def _limit(row: Record) -> str:
    names = [words(str(row[name])) for name in ("constraint", "site", "system") if row.get(name)]
    return " ".join(dict.fromkeys(names))


def _stacked(
    rows: Sequence[Record], by: str, size: Callable[[Record], float]
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Sums by period, one part for each name of the column `by`."""
    periods, parts = _periods(rows), []
    for name in dict.fromkeys(str(row[by]) for row in rows):
        own = [row for row in rows if str(row[by]) == name]
        parts.append(
            Part(name, numbers([sum(size(r) for r in own if str(r["period"]) == p) for p in periods]))
        )
    return tuple(parts), periods


def _top(parts: Sequence[Part]) -> str:
    return max(parts, key=lambda part: sum(part.values)).name
