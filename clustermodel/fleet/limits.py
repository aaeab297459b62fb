"""Read the table of constraints into limits, one for each period where a limit holds in each."""

from collections.abc import Iterator
from typing import cast, get_args

import numpy as np
import pandas as pd

from clustermodel.catalog import did_you_mean
from clustermodel.fleet.problem import UNITS, Limit, LimitKind, Names
from clustermodel.units import parse

EACH, TOTAL = "each", "total"
STOCKS = ("power", "systems")
"""Limits on what stands there at a time; they have no total over the horizon."""


def limits(
    frame: pd.DataFrame, periods: Names, assets: tuple[Names, Names, Names], problems: list[str]
) -> tuple[Limit, ...]:
    """Limits of a tidy table; what is wrong with a row is added to `problems`."""
    found: list[Limit] = []
    known: dict[str, Names] = {"system": assets[0], "site": assets[1], "vendor": assets[2]}
    for row, record in zip(frame.index, frame.to_dict("records"), strict=True):
        values = {str(column): str(cell) for column, cell in record.items()}
        wrong = list(_mistakes(values, periods, known))
        problems.extend(f"constraints: row {row}: {problem}" for problem in wrong)
        if not wrong:
            found.extend(_expanded(values, periods))
    return tuple(found)


def _mistakes(row: dict[str, str], periods: Names, known: dict[str, Names]) -> Iterator[str]:
    kind, period = row["kind"], row["period"]
    if kind not in get_args(LimitKind):
        yield f"kind {kind!r} is none of {', '.join(get_args(LimitKind))}{did_you_mean(kind, UNITS)}"
        return
    try:
        if parse(row["value"], UNITS[cast(LimitKind, kind)]) < 0:
            yield f"value {row['value']!r} is negative"
    except ValueError as error:
        yield str(error)
    if period not in (*periods, EACH, TOTAL):
        yield f"period {period!r} is none of {', '.join(periods[:6])}, {EACH}, {TOTAL}"
    if period == TOTAL and kind in STOCKS:
        yield f"a limit on {kind} holds at a time; write a period or {EACH}"
    if kind == "vendor_share" and not row["vendor"]:
        yield "a vendor_share needs a vendor"
    for scope, names in known.items():
        if row[scope] and row[scope] not in names:
            yield f"{scope} {row[scope]!r} is not known{did_you_mean(row[scope], names)}"


def _expanded(row: dict[str, str], periods: Names) -> Iterator[Limit]:
    kind = cast(LimitKind, row["kind"])
    value = parse(row["value"], UNITS[kind])
    where = np.arange(len(periods)) if row["period"] == EACH else [row["period"]]
    for period in where:
        number = (
            None if period == TOTAL else periods.index(period) if isinstance(period, str) else int(period)
        )
        yield Limit(kind, value, number, system=row["system"], site=row["site"], vendor=row["vendor"])
