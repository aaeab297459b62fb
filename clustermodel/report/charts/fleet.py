"""A fleet plan by period: what is bought, what it draws, what is left out, and what the limits are worth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Part, numbers
from clustermodel.report.figures import figure, percent, words

Record = Mapping[str, Any]

_BILLION = 1e9


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
        yield unmet(answer["unmet"])
    yield from shadow_prices(answer.get("shadow_prices") or [])


def orders(rows: Sequence[Record]) -> Bars:
    """Systems ordered in each period."""
    parts, periods = _stacked(rows, "system", lambda row: row["systems"])
    total = sum(row["systems"] for row in rows)
    return Bars(
        "orders",
        "What is ordered",
        f"The plan orders {figure(total)} systems, most of them {_top(parts)}.",
        periods,
        Axis("orders", "systems"),
        parts,
    )


def spending(rows: Sequence[Record]) -> Bars:
    """Dollars spent on orders in each period."""
    parts, periods = _stacked(rows, "system", lambda row: (row.get("spend_usd") or 0.0) / _BILLION)
    return Bars(
        "spending",
        "What it costs to order",
        f"Most is spent on {_top(parts)}.",
        periods,
        Axis("spending", "billion USD"),
        parts,
    )


def power(rows: Sequence[Record]) -> Curves:
    """Peak draw of every site by period against its limit."""
    sites = list(dict.fromkeys(str(row["site"]) for row in rows))
    periods = list(dict.fromkeys(str(row["period"]) for row in rows))
    x = numbers(range(1, len(periods) + 1))
    peak = lambda site, period, field: max(
        (row[field] for row in rows if (str(row["site"]), str(row["period"])) == (site, period)), default=0.0
    )
    drawn = [
        Curve(site, x, numbers([peak(site, p, "draw_mw") for p in periods]), marks=tuple(periods))
        for site in sites
    ]
    limits = [
        Curve(f"limit of {site}", x, numbers([peak(site, p, "limit_mw") for p in periods]), form="reference")
        for site in sites
    ]
    used = max(row["draw_mw"] / row["limit_mw"] for row in rows if row["limit_mw"])
    return Curves(
        "site-power",
        "Power drawn against the limit",
        f"The fullest site uses {percent(used)} of its power.",
        Axis("period"),
        Axis("power", "MW"),
        (*drawn, *limits),
    )


def unmet(rows: Sequence[Record]) -> Bars:
    """Share of the work asked for that is left out, by period and workload."""
    names = tuple(f"{row['period']} {row['workload']}" for row in rows)
    served = numbers([100 * (1 - row["unmet_share"]) for row in rows])
    left = numbers([100 * row["unmet_share"] for row in rows])
    worst = max(range(len(left)), key=lambda i: left[i])
    return Bars(
        "unmet",
        "Work served and left out",
        f"Most is left out of {names[worst]}: {figure(left[worst])} %."
        if left[worst] > 0
        else "All work is served.",
        names,
        Axis("share of the work asked for", "%"),
        (Part("served", served), Part("left out", left)),
    )


def shadow_prices(rows: Sequence[Record]) -> Iterator[Curves]:
    """What one more unit of each binding limit is worth, over the periods; one chart a unit."""
    binding = [row for row in rows if row["value"]]
    periods = list(dict.fromkeys(str(row["period"]) for row in rows))
    for unit in dict.fromkeys(str(row["unit"]) for row in binding):
        own = [row for row in binding if str(row["unit"]) == unit]
        best = max(own, key=lambda row: row["value"])
        groups = list(dict.fromkeys(_limit(row) for row in own))
        curves = []
        for name in groups:
            found = {str(row["period"]): float(row["value"]) for row in own if _limit(row) == name}
            x = [periods.index(period) + 1 for period in found]
            curves.append(Curve(name, numbers(x), tuple(found.values()), marks=tuple(found), form="points"))
        yield Curves(
            f"worth-{len(groups)}-{'-'.join(unit.lower().replace('/', ' ').split())}",
            f"What one more unit of a limit is worth, {unit}",
            f"{_limit(best)} in {best['period']} is worth the most: {figure(best['value'])} {unit}.",
            Axis("period"),
            Axis("worth of one more unit", unit),
            tuple(curves),
        )


def _limit(row: Record) -> str:
    names = [words(str(row[name])) for name in ("constraint", "site", "system") if row.get(name)]
    return " ".join(dict.fromkeys(names))


def _stacked(
    rows: Sequence[Record], by: str, size: Callable[[Record], float]
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Sums by period, one part for each name of the column `by`."""
    periods = tuple(dict.fromkeys(str(row["period"]) for row in rows))
    parts = []
    for name in dict.fromkeys(str(row[by]) for row in rows):
        own = [row for row in rows if str(row[by]) == name]
        parts.append(
            Part(name, numbers([sum(size(r) for r in own if str(r["period"]) == p) for p in periods]))
        )
    return tuple(parts), periods


def _top(parts: Sequence[Part]) -> str:
    return max(parts, key=lambda part: sum(part.values)).name
