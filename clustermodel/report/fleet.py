"""The answer to `fleet`: the certificate, what to buy, what it serves, and what limits it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import count, figure, percent, short, words
from clustermodel.report.records import titled

Record = Mapping[str, Any]

MOST_ORDERS = 24
MOST_PRICES = 3
"""Rows for each kind of limit."""
NEGLIGIBLE_GAP = 1e-8
WORTHLESS = 1e-9
"""Share of the largest shadow price of a unit below which one counts as none."""
MINIMA = ("purchases",)
"""Limits from below: a shadow price is that of one less, so one more costs it."""
SERVED = 0.995
"""Share from which a workload counts as served."""

_BEYOND: Mapping[str, str] = {
    "sweep": "with other limits",
    "replanned": "when it comes otherwise",
}
_SHARES = ("gap", "served_share")
_WAYS: Mapping[str, str] = {
    "planned": "planned for all scenarios",
    "for_the_mean": "planned for the mean demand",
    "foreseen": "each scenario foreseen",
    "vss": "worth of planning for all (VSS)",
    "evpi": "worth of knowing (EVPI)",
}


def proven(answer: Record) -> Iterator[RenderableType]:
    """The plan with its bounds, then its tables."""
    yield Text(answer["question"], style="bold")
    unit, gap = answer["unit"], 100 * answer["gap"] if answer["gap"] > NEGLIGIBLE_GAP else 0.0
    cost = f"{_exact(answer['objective'])} {unit}, proven between {_exact(answer['lower_bound'])}"
    yield Text(f"{cost} and {_exact(answer['upper_bound'])}: gap {gap:.3g} %")
    yield Text(f"{words(answer['status'])}, {answer['solver']}; {_size(answer['shape'])}")
    yield Padding(_totals(answer["totals"]), (1, 0, 0, 2))
    yield from _orders(answer["purchases"])
    yield from _unserved(answer["unmet"])
    yield from _worth(answer["shadow_prices"])
    for name, title in _BEYOND.items():
        if name in answer:
            yield Text(title, style="cyan")
            yield from _compared(answer[name])
    if "near_optimal" in answer:
        yield Text("nearly as cheap", style="cyan")
        yield _alternatives(answer["near_optimal"])
    for row in answer.get("left_out", ()):
        yield Text(f"{words(row['table'])} left out: {row['reason']}")
    if "uncertainty" in answer:
        yield Padding(_uncertainty(answer["uncertainty"]), (0, 0, 1, 2))


def _compared(records: Sequence[Record]) -> Iterator[RenderableType]:
    """One line for each fleet or limit; columns without a value anywhere are left out."""
    names = [name for name in records[0] if any(_known(row[name]) for row in records) and name != "reason"]
    table = _plain(words(names[0]))
    for name in names[1:]:
        table.add_column(words(name).replace(" ", "\n"), justify="right", no_wrap=True)
    for row in records:
        table.add_row(*(_figure(name, row[name]) for name in names))
    yield table
    for row in records:
        if isinstance(row.get("reason"), str):
            yield Text(f"  {row[names[0]]}: {row['reason']}")


def _alternatives(records: Sequence[Record]) -> Table:
    """One line for each fleet: what it costs more, its power, and what it is made of."""
    table = _numbers(_plain("fleet"), "over best", "MW")
    table.add_column("systems bought", overflow="fold")
    for row in records:
        bought = {name.removeprefix("systems."): n for name, n in row.items() if name.startswith("systems.")}
        listed = ", ".join(f"{count(n)} {name}" for name, n in bought.items() if n)
        over = f"{100 * row['over_optimum']:.3g} %"
        table.add_row(row["fleet"], over, figure(row["standing_mw"]), listed)
    return table


def _known(value: Any) -> bool:
    return value not in (None, "", 0, 0.0) and value == value


def _figure(name: str, value: Any) -> str:
    if name in _SHARES and _known(value):
        return f"{100 * value:.3g} %"
    return str(value) if isinstance(value, str) else short(value)


def _uncertainty(worth: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in worth.items():
        table.add_row(Text(_WAYS[name], style="cyan"), _exact(value))
    return table


def _exact(value: float) -> str:
    """Enough digits to tell the bounds apart."""
    return f"{value:,.6g}" if abs(value) < 1e6 else short(value, digits=6)


def _size(shape: Record) -> str:
    return ", ".join(f"{size:,} {axis if size > 1 else axis[:-1]}" for axis, size in shape.items())


def _totals(totals: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    usd = {name: totals[f"{name}_usd"] for name in ("capex", "running", "rent") if totals[f"{name}_usd"]}
    for name, value in usd.items():
        table.add_row(Text(name, style="cyan"), f"{short(value)} USD")
    if totals["peak_power_mw"] is not None:
        table.add_row(Text("power", style="cyan"), f"{figure(totals['peak_power_mw'])} MW at most")
    if totals["served_share"] is not None:
        table.add_row(Text("served", style="cyan"), f"{percent(totals['served_share'])} of the work")
    return table


def _plain(*titles: str) -> Table:
    table = titled()
    for title in titles:
        table.add_column(title, justify="left", no_wrap=True)
    return table


def _numbers(table: Table, *titles: str) -> Table:
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _orders(purchases: Sequence[Record]) -> Iterator[RenderableType]:
    if not purchases:
        yield Text("nothing is bought")
        return
    table = _numbers(_plain("period", "site", "system", "contract"), "systems", "USD each", "USD")
    for row in purchases[:MOST_ORDERS]:
        each = row["outlay_usd"] if row["contract"] == "owned" else row["usd_per_hour"]
        per = "" if row["contract"] == "owned" else "/h"
        named = [str(row[name]) for name in ("period", "site", "system", "contract")]
        table.add_row(*named, count(row["systems"]), f"{short(each)}{per}", short(row["spend_usd"]))
    yield table
    if len(purchases) > MOST_ORDERS:
        yield Text(f"  and {len(purchases) - MOST_ORDERS} orders more (--format csv)")


def _unserved(unmet: Sequence[Record]) -> Iterator[RenderableType]:
    """Workloads of which something is left out, over all periods."""
    asked: dict[str, list[float]] = {}
    for row in unmet:
        sums = asked.setdefault(row["workload"], [0.0, 0.0])
        sums[0] += row["demand"]
        sums[1] += row["unmet"]
    short_of = {name: 1 - left / all_ for name, (all_, left) in asked.items() if left > (1 - SERVED) * all_}
    if short_of:
        rows = ", ".join(f"{name} {percent(share)}" for name, share in short_of.items())
        yield Padding(Text(f"served in part: {rows}"), (0, 0, 1, 2))


def _worth(prices: Sequence[Record]) -> Iterator[RenderableType]:
    """The limits that bind, dearest first, and the others by name."""
    most: dict[str, float] = {}
    for row in prices:
        most[row["unit"]] = max(most.get(row["unit"], 0.0), row["value"])
    binding = [row for row in prices if row["value"] > WORTHLESS * most[row["unit"]]]
    if not binding:
        return
    table = _numbers(_plain("limit that binds", "where", "period"), "one more is worth", "unit")
    shown = 0
    for kind in dict.fromkeys(row["constraint"] for row in binding):
        mine = sorted((r for r in binding if r["constraint"] == kind), key=lambda r: -r["value"])[
            :MOST_PRICES
        ]
        shown += len(mine)
        for row in mine:
            where = " ".join(part for part in (row["site"], row["system"]) if part)
            worth = -row["value"] if kind in MINIMA else row["value"]
            table.add_row(words(kind), where, row["period"], short(worth), row["unit"])
    yield table
    hidden = len(binding) - shown
    basis = "; prices of the relaxation with fractions" if prices[0]["basis"] == "lp_relaxation" else ""
    yield Padding(Text(f"{f'{hidden} more bind' if hidden else 'no other binds'}{basis}"), (0, 0, 1, 2))
