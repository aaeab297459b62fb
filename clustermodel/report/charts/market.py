"""The build-out: announced deals made comparable, and what the builders spend."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustermodel.report.charts.data import Axis, Bars, Chart, Part, numbers
from clustermodel.report.figures import figure

Record = Mapping[str, Any]

_BILLION, _MW_PER_GW = 1e9, 1e3
_BASES = {"actual": "reported", "guide": "a guide"}
_AND = " + "


def listed(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """The chart of a list of the catalogue: there is one for contracts."""
    rows = [
        row
        for row in answer["entries"]
        if row.get("value_usd") and row.get("power_mw") and row.get("term_years")
    ]
    if rows:
        yield deals(rows)


def deals(rows: Sequence[Record]) -> Bars:
    """Billions of dollars per gigawatt and year of every deal with a value, a power and a term."""
    prices = {str(row["name"]): _price(row) for row in rows}
    ordered = sorted(prices.items(), key=lambda pair: -pair[1])
    return Bars(
        "deals",
        "Deals by what a gigawatt-year costs in them",
        f"From {figure(ordered[-1][1])} ({ordered[-1][0]}) to {figure(ordered[0][1])} billion USD ({ordered[0][0]}) "
        "for a gigawatt and year; powers are those of the full ramp.",
        tuple(name for name, _ in ordered),
        Axis("value of the deal per power and year", "billion USD/GW/year"),
        (Part("announced", tuple(price for _, price in ordered)),),
    )


def _price(row: Record) -> float:
    return row["value_usd"] / _BILLION / (row["power_mw"] / _MW_PER_GW) / row["term_years"]


def spending(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """The charts of a table of capital spending: years apart from quarters where it tells guides from reports."""
    rows = [row for row in answer["rows"] if row["usd"] is not None]
    if not all(row.get("basis") for row in rows):
        yield capex(rows)
        return
    single = [row for row in rows if _AND not in str(row["company"])]  # sums would count their parts again
    for length in ("year", "quarter"):
        own = [row for row in single if ("Q" in str(row["period"])) == (length == "quarter")]
        if own:
            yield reported(length, own)


def reported(length: str, rows: Sequence[Record]) -> Bars:
    """Capital spending by company and period: reported, or guided where no report is known yet."""
    best = {(str(row["company"]), str(row["period"])): row for row in rows if row["basis"] == "guide"}
    best |= {(str(row["company"]), str(row["period"])): row for row in rows if row["basis"] == "actual"}
    most = {company: max(row["usd"] for key, row in best.items() if key[0] == company) for company, _ in best}
    keys = sorted(best, key=lambda key: (-most[key[0]], key[0], key[1].removeprefix("FY")))
    sizes = {basis: [best[key]["usd"] * (best[key]["basis"] == basis) for key in keys] for basis in _BASES}
    (company, period), top = max(best.items(), key=lambda pair: pair[1]["usd"])
    return Bars(
        f"capex-{length}",
        f"Capital spending by company and {length}",
        f"The most is {company}'s in {period}: {figure(top['usd'] / _BILLION)} billion USD, {_BASES[top['basis']]}.",
        tuple(f"{company} {period}" for company, period in keys),
        Axis("capital spending", "billion USD"),
        tuple(
            Part(name, numbers([each / _BILLION for each in sizes[basis]]))
            for basis, name in _BASES.items()
            if any(sizes[basis])
        ),
    )


def capex(rows: Sequence[Record]) -> Bars:
    """Capital spending of each company (`company`, `period`, `usd`), a bar for each period."""
    periods = tuple(dict.fromkeys(str(row["period"]) for row in rows))
    spent = {(str(row["company"]), str(row["period"])): row["usd"] / _BILLION for row in rows}
    companies = list(dict.fromkeys(company for company, _ in spent))
    parts = [
        Part(company, numbers([spent.get((company, period), 0.0) for period in periods]))
        for company in companies
    ]
    totals = [sum(part.values[i] for part in parts) for i in range(len(periods))]
    return Bars(
        "capex",
        "Capital spending by company",
        f"{figure(totals[-1])} billion USD in {periods[-1]}, after {figure(totals[0])} in {periods[0]}.",
        periods,
        Axis("capital spending", "billion USD"),
        tuple(parts),
    )
