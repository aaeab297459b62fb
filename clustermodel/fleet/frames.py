"""Check the tables of a problem against their schema and bring every number to SI."""

import math
import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from clustermodel.catalog import did_you_mean
from clustermodel.fleet.schema import PROVENANCE, TABLES, Column
from clustermodel.units import parse, unit_scale

_HEADER = re.compile(r"^\s*([\w-]+)\s*(?:\[(.*)\])?\s*$")
MOST_SHOWN = 5
"""Mistakes of one column that are listed."""


def tidied(name: str, raw: pd.DataFrame, work: str) -> tuple[pd.DataFrame, list[str]]:
    """A table with plain headers and SI numbers, NaN where none is written; and every mistake in it, a sentence each.

    Args:
        name: the table, a key of `schema.TABLES`.
        raw: texts as a file has them, or numbers: these are SI where the header has no unit.
        work: the unit of work, which replaces `{work}`.
    """
    schema, problems, columns = TABLES[name], [], {}
    headers = dict(_headers(raw, schema, problems))
    for column, rule in schema.items():
        if column in headers:
            source, unit = headers[column]
            values, wrong = _values(raw[source], rule, unit, work)
            columns[column] = values
            problems.extend(f"{column}: {problem}" for problem in wrong)
        elif rule.default is None:
            problems.append(f"column {column} ({rule.doc}) is missing")
        else:
            names = rule.unit is None
            columns[column] = np.full(
                len(raw), rule.default if names else math.nan, object if names else float
            )
    frame = pd.DataFrame(columns, index=raw.index)
    kept = [column for column in PROVENANCE if column in headers]
    return frame.join(raw[[headers[column][0] for column in kept]]) if kept else frame, problems


def with_defaults(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A tidy table with the schema's default for every number that is not written."""
    numbers = {
        column: frame[column].fillna(rule.default)
        for column, rule in TABLES[name].items()
        if rule.unit is not None and rule.default is not None
    }
    return frame.assign(**numbers)


def _headers(
    raw: pd.DataFrame, schema: dict[str, Column], problems: list[str]
) -> Iterator[tuple[str, tuple[str, str | None]]]:
    found: dict[str, str] = {}
    for header in raw.columns:
        match = _HEADER.match(str(header))
        name = match[1] if match else str(header)
        if name in found:
            problems.append(f"column {name} stands there twice, as {found[name]!r} and {header!r}; keep one")
        elif name in schema or name in PROVENANCE:
            found[name] = str(header)
            yield name, (header, match[2] if match else None)
        else:
            problems.append(f"column {name!r} is none of {', '.join(schema)}{did_you_mean(name, schema)}")


def _values(column: pd.Series, rule: Column, unit: str | None, work: str) -> tuple[np.ndarray, list[str]]:
    if rule.unit is None:
        texts = column.fillna("").astype(str).str.strip().to_numpy(dtype=object)
        empty = [i for i, text in enumerate(texts) if not text]
        if rule.default is None:
            return texts, _listed(column, empty, lambda row: "empty")
        texts[empty] = rule.default
        return texts, []
    expected = rule.unit.replace("{work}", work)
    try:
        factor = _factor(expected, unit)
    except ValueError as error:
        return np.full(len(column), math.nan), [str(error)]
    return _numbers(column, rule, expected, factor)


def _factor(expected: str, unit: str | None) -> float | None:
    """What turns cells into SI; None where every cell carries its own unit."""
    if unit is None:
        return None if expected else 1.0
    scale, dimension = unit_scale(unit)
    if dimension != unit_scale(expected)[1]:
        raise ValueError(f"[{unit}] is no unit of {expected or 'a plain number'}")
    return scale


def _numbers(
    column: pd.Series, rule: Column, expected: str, factor: float | None
) -> tuple[np.ndarray, list[str]]:
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float) * (factor or 1.0)
        return values, _misfits(column, values, rule)
    texts = column.fillna("").astype(str).str.strip()
    values, wrong = np.full(len(column), math.nan), []
    for i, text in enumerate(texts):
        if text:
            try:
                values[i] = parse(text, expected) if factor is None else parse(text, "") * factor
            except ValueError as error:
                wrong.append((i, str(error)))
    said = dict(wrong)
    problems = _listed(column, list(said), lambda row: said[row])
    known = np.array([i not in said for i in range(len(values))], dtype=bool)
    return values, problems + _misfits(column[known], values[known], rule)


def _misfits(column: pd.Series, values: np.ndarray, rule: Column) -> list[str]:
    """Numbers that are missing though they are needed, and those out of range."""
    missing = np.nonzero(np.isnan(values) & (rule.default is None))[0]
    outside = np.nonzero((values < rule.least) | (values > rule.most))[0]
    low_high = f"not between {rule.least:g} and {rule.most:g}"
    empty = _listed(column, missing.tolist(), lambda row: "empty; a number is needed")
    return empty + _listed(column, outside.tolist(), lambda row: f"{column.iloc[row]!r} is {low_high}")


def _listed(column: pd.Series, rows: list[int], what: Callable[[int], str]) -> list[str]:
    said = [f"row {column.index[row]}: {what(row)}" for row in rows[:MOST_SHOWN]]
    return said + ([f"and {len(rows) - MOST_SHOWN} rows more"] if len(rows) > MOST_SHOWN else [])
