"""Capital spending by company and period: what was reported, and apart from it what was guided."""

import csv
import math
from collections.abc import Mapping
from typing import Any

from clustermodel.catalog._catalog import Catalog
from clustermodel.catalog._errors import ConfigError
from clustermodel.catalog._provenance import CONFIDENCES
from clustermodel.catalog._read import read_text

FILE = "capex.csv"
BASES = ("actual", "guide")
_NUMBERS = ("usd", "low", "high")


def capex_rows(catalog: Catalog) -> list[dict[str, Any]]:
    """The rows of measurements/capex.csv (USD); those of the user's folder where it has the file."""
    paths = [folder / "measurements" / FILE for folder in catalog.folders]
    path = next((each for each in paths if each.exists()), paths[-1])
    table = list(csv.DictReader(read_text(path).splitlines()))
    rows = [{name: _value(name, text) for name, text in row.items()} for row in table]
    problems = [
        f"{FILE}:{line}: {each}" for line, row in enumerate(rows, start=2) for each in _wrong(catalog, row)
    ]
    if problems:
        raise ConfigError("\n  ".join(problems))
    return rows


def _value(name: str, text: str | None) -> Any:
    if name not in _NUMBERS:
        return text or ""
    try:
        number = float(text) if text else None
    except ValueError:
        return text
    return text if number is not None and not math.isfinite(number) else number


def _wrong(catalog: Catalog, row: Mapping[str, Any]) -> list[str]:
    problems = [f"{name}: missing" for name in ("company", "period", "usd") if not row.get(name)]
    problems += [
        f"{name}: write a finite number of USD, got {row[name]!r}"
        for name in _NUMBERS
        if isinstance(row.get(name), str)
    ]
    if row.get("basis") not in BASES:
        problems.append(f"basis: write one of {', '.join(BASES)}, got {row.get('basis')!r}")
    if row.get("confidence") not in CONFIDENCES:
        problems.append(f"confidence: write one of {', '.join(CONFIDENCES)}, got {row.get('confidence')!r}")
    if row.get("source") not in catalog.sources:
        problems.append(f"source {row.get('source')!r} is not in sources.toml")
    return problems
