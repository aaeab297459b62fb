"""What tells the rows of a table apart, and the refusal of rows that say the same thing twice."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

KEYS: dict[str, tuple[str, ...]] = {
    "systems": ("system",),
    "sites": ("site",),
    "workloads": ("workload",),
    "throughput": ("system", "workload", "site", "period"),
    "demand": ("workload", "period", "block", "scenario"),
    "prices": ("system", "site", "period", "above"),
    "scenarios": ("scenario",),
    "factors": ("scenario", "workload", "period"),
}
"""Columns of each table that two rows may not have in common; rows of the others add up or all hold."""
MOST_SHOWN = 5


def repeated(name: str, frame: pd.DataFrame) -> Iterator[str]:
    """A sentence for every row whose key an earlier one has; none where a column of the key is not written."""
    key = list(KEYS.get(name, ()))
    if not key or frame.empty or not set(key) <= set(frame.columns):
        return
    frame = frame.fillna({"above": 0.0}) if "above" in key else frame
    again = frame.duplicated(key).to_numpy()
    keys = list(frame[key].itertuples(index=False, name=None))
    start = dict(reversed(list(zip(keys, frame.index, strict=True))))
    for i in np.nonzero(again)[0][:MOST_SHOWN]:
        said = _named({column: str(frame[column].iloc[i]) for column in key})
        yield f"row {frame.index[i]}: {said} stands in row {start[keys[i]]} already; keep one of them"
    if again.sum() > MOST_SHOWN:
        yield f"and {again.sum() - MOST_SHOWN} rows more"


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{column} {value!r}" for column, value in values.items() if value not in ("", "0.0"))
