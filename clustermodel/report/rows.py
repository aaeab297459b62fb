"""Answers as flat rows and as plain JSON values: nested fields become dotted columns."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]

QUANTILES = ("p10", "p90")
UNFLATTENED = ("inputs", "assumptions", "drivers", "sources")
"""Parts of an answer that describe it as a whole and have no place in a row; JSON carries them."""
NAMED = {"metrics": "metric"}
"""Parts that are records by name, and the column that the name goes into."""
_ROWS = {"power": "caps"}
"""The table that the rows are, by kind of answer, where it is not the first."""
_ASKED = {"fleet": ("near_optimal", "sweep", "uncertainty", "replanned")}
"""Tables that the rows are where they were asked for; a column `table` tells several apart."""


def plain(value: Any) -> Any:
    """The same value in JSON's own types; what is not finite is not defined, hence null."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Sequence):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # numpy and jax scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def tables_of(answer: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The tables in an answer by name: lists of records such as `points`, and named records such as `metrics`."""
    found = {}
    for name, value in answer.items():
        if name in NAMED and isinstance(value, Mapping):
            found[name] = [{NAMED[name]: key, **record} for key, record in value.items()]
        elif name not in UNFLATTENED and isinstance(value, list):
            if all(isinstance(row, Mapping) for row in value):
                found[name] = value
    return found


def rows(answer: Mapping[str, Any]) -> list[Row]:
    """One flat row for each record of the answer's main table, or one for an answer about one thing."""
    asked = [name for name in _ASKED.get(str(answer.get("kind")), ()) if name in answer]
    if asked:
        parts = {name: answer[name] if isinstance(answer[name], list) else [answer[name]] for name in asked}
        named = lambda name: {"table": name} if len(asked) > 1 else {}
        return [named(name) | flat(row) for name, part in parts.items() for row in part]
    found = tables_of(answer)
    table = found.get(_ROWS.get(str(answer.get("kind")), "")) or next(iter(found.values()), [answer])
    return [flat(row) for row in table]


def columns(table: Sequence[Row]) -> list[str]:
    """Every column of any row, in the order of first appearance."""
    return list(dict.fromkeys(name for row in table for name in row))


def flat(record: Mapping[str, Any]) -> Row:
    """Nested fields with dots between: `memory.kv_gb`, `uncertainty.tpot_ms.p10`."""
    kept = {name: value for name, value in record.items() if name not in UNFLATTENED}
    return dict(_leaves("", plain(kept)))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list):
        pair = len(value) == len(QUANTILES) and path.startswith("uncertainty.")
        children = zip(QUANTILES if pair else map(str, range(len(value))), value, strict=True)
    else:
        yield path, value
        return
    for name, child in children:
        yield from _leaves(f"{path}.{name}" if path else str(name), child)
