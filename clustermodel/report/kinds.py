"""Kinds of answer that a report can show, and what is wrong with an answer of none of them."""

from collections.abc import Mapping
from typing import Any

from clustermodel.catalog import did_you_mean

KINDS = (
    *("cost", "compare", "frontier", "power", "risk", "scenarios", "fleet", "fleets", "fleet_columns"),
    *(
        "design_sensitivity",
        "design_breakeven",
        "design_map",
        "design_memory",
        "design_claims",
        "design_optimize",
    ),
    *("validate", "validate_rows", "calibrate", "bench-device", "bench-serve", "bench-model"),
    *("catalog_list", "catalog_entry", "catalog_sources", "catalog_check", "capex"),
)
SCHEMA = 1
"""Form of the answers that are read; see `cli/_command.py`."""


def unreadable(answer: Mapping[str, Any]) -> str:
    """Why an answer can't be shown, with the kinds that can; empty if it can."""
    if (kind := answer.get("kind")) not in KINDS:
        known = ", ".join(KINDS)
        return (
            f"{kind!r:.40} is no kind of answer{did_you_mean(str(kind), KINDS, 0.7)}; a report shows {known}"
        )
    if (schema := answer.get("schema", SCHEMA)) != SCHEMA:
        return f"an answer of form {schema!r:.40}, of which this version reads {SCHEMA}; make it anew"
    return ""
