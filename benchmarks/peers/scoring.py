"""Errors of several tools on the same rows, and the reasons of the rows that a tool does not answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

_ROUNDING = 1e-9  # a prediction at its bound is not below it


def errors(predicted: pd.Series, measured: pd.Series, bound: pd.Series) -> dict[str, Any]:
    """Median, 90 % and bias of the error in %, and how many predictions lie below the physical bound."""
    error = (predicted / measured - 1) * 100
    return {
        "n": len(error),
        "median_abs_pct": _number(error.abs().median()),
        "p90_abs_pct": _number(error.abs().quantile(0.9)),
        "bias_pct": _number(error.median()),
        "below_bound": int((predicted < bound * (1 - _ROUNDING)).sum()),
    }


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def on_rows(rows: pd.DataFrame, tools: Sequence[str], answers: pd.Index) -> dict[str, dict[str, Any]]:
    """Errors of the tools on the rows of an index."""
    part = rows.loc[answers]
    return {tool: errors(part[tool], part["measured"], part["bound"]) for tool in tools}


def common(rows: pd.DataFrame, tools: Sequence[str]) -> pd.Index:
    """The rows that all tools answer."""
    return rows.index[rows[list(tools)].gt(0).all(axis=1)]


def answers_by_id(answers: Sequence[Mapping[str, Any]]) -> pd.Series:
    """Predicted times by row; missing where there is a reason instead."""
    found = {row["id"]: float(row["tpot_ms"]) for row in answers if "tpot_ms" in row}
    return pd.Series(found, dtype=float)


def reasons(answers: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows were not answered, by reason, the most frequent first."""
    return dict(Counter(row["reason"] for row in answers if "reason" in row).most_common())
