"""What tells the rows of a table apart, and the refusal of rows that say the same thing twice."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustermodel.fleet.naming import Tables

KEYS: dict[str, tuple[str, ...]] = {
    "systems": ("system",),
    "sites": ("site",),
    "workloads": ("workload",),
    "throughput": ("system", "workload", "site", "period"),
    "demand": ("workload", "period", "block", "scenario"),
    "prices": ("system", "site", "period"),
    "scenarios": ("scenario",),
    "factors": ("scenario", "workload", "period"),
}
"""Columns of each table that two rows may not have in common; rows of the others add up or all hold."""
MOST_SHOWN = 5


def repeated(name: str, frame: pd.DataFrame) -> Iterator[str]:
    """A sentence for every row whose key an earlier one has."""
    key = list(KEYS.get(name, ()))
    if not key or frame.empty:
        return
    again = frame.duplicated(key).to_numpy()
    keys = list(frame[key].itertuples(index=False, name=None))
    start = dict(reversed(list(zip(keys, frame.index, strict=True))))
    for i in np.nonzero(again)[0][:MOST_SHOWN]:
        said = _named({column: str(frame[column].iloc[i]) for column in key})
        yield f"row {frame.index[i]}: {said} stands in row {start[keys[i]]} already; keep one of them"
    if again.sum() > MOST_SHOWN:
        yield f"and {again.sum() - MOST_SHOWN} rows more"


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{column} {value!r}" for column, value in values.items() if value)


def overlapping(tables: Tables) -> Iterator[str]:
    """A sentence for every contract on offer at the same time as an earlier one of its system, site and kind."""
    frame, count = tables.frames["contracts"], len(tables.periods)
    spans = list(
        zip(tables.when("contracts", "from", 0), tables.when("contracts", "to", count - 1), strict=True)
    )
    keys = list(frame[["system", "site", "kind"]].itertuples(index=False, name=None))
    for later, (first, last) in enumerate(spans):
        for earlier in range(later):
            both = max(first, spans[earlier][0]), min(last, spans[earlier][1])
            if keys[later] == keys[earlier] and both[0] <= both[1]:
                said = _named(dict(zip(("system", "site", "kind"), keys[later], strict=True)))
                yield (
                    f"row {frame.index[later]}: {said} is on offer in {tables.periods[both[0]]} by row "
                    f"{frame.index[earlier]} already; keep one, give them periods of their own (from, to), or "
                    "name the second tier as a site of its own"
                )
