"""Read a fleet folder: fleet.toml and its tables, as texts, with where every number comes from."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from clustermodel.catalog import Bounds, ConfigError, Written, did_you_mean, mistakes, read_toml, read_written
from clustermodel.fleet.schema import PROVENANCE, REQUIRED, SETTINGS, TABLES, Column
from clustermodel.fleet.sheet import read_sheet

OTHERS = ("fleet", "futures")
"""Files of a folder that are not tables."""
Given = tuple[str, str, Written]
"""Entry, field and number as it was written."""


@dataclasses.dataclass(frozen=True, eq=False)
class Folder:
    """The raw content of a fleet folder; `numbers` are those with a source, for a CSV file one for each source."""

    path: Path
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    numbers: tuple[Given, ...]


def read_folder(path: Path) -> Folder:
    """Read every file of a folder; a `ConfigError` lists what is wrong with them."""
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; a fleet is a folder with fleet.toml and its tables")
    problems: list[str] = list(_strangers(path))
    rows = read_toml(path / "fleet.toml")
    settings, used = _settings(rows, problems)
    used += _of_futures(path / "futures.toml")
    tables = {}
    for name in TABLES:
        written, listed = path / f"{name}.toml", path / f"{name}.csv"
        if written.exists():
            work = str(settings["work_unit"])
            tables[name], more = _from_toml(name, read_toml(written), work, problems)
            used += more
        elif listed.exists():
            tables[name] = read_sheet(listed)
            used += _provenance(name, tables[name])
        elif name in REQUIRED:
            problems.append(f"{name}.csv: missing; a fleet needs {', '.join(REQUIRED)}")
    if problems:
        raise ConfigError("\n  ".join([f"{path.name}:", *problems]))
    numbers = {(entry, field, number.source): (entry, field, number) for entry, field, number in used}
    return Folder(path, settings, tables, tuple(numbers.values()))


def _strangers(path: Path) -> Iterator[str]:
    for file in sorted(path.iterdir()):
        if file.suffix in (".csv", ".toml") and file.stem not in (*TABLES, *OTHERS):
            yield f"{file.name}: not a table of a fleet{did_you_mean(file.stem, TABLES)}"


def _of_futures(path: Path) -> list[Given]:
    """The numbers behind random scenarios, which `clustermodel.fleet.futures` has drawn."""
    rows = read_toml(path) if path.exists() else {}
    return [(path.name, key, read_written(row)) for key, row in rows.items() if isinstance(row, dict)]


def _settings(rows: dict[str, Any], problems: list[str]) -> tuple[dict[str, Any], list[Given]]:
    settings, used = {}, []
    for key in rows.keys() - SETTINGS.keys():
        problems.append(f"fleet.toml: {key}: not a setting{did_you_mean(key, SETTINGS)}")
    for key, rule in SETTINGS.items():
        if key not in rows:
            if rule.default is None:
                problems.append(f"fleet.toml: {key}: missing; {rule.doc}")
            settings[key] = rule.default
        elif rule.unit is not None:
            settings[key], more = _written(("fleet.toml", key), rows[key], rule.unit, problems)
            used += more
        elif key == "blocks":
            settings[key], more = _blocks(rows[key], problems)
            used += more
        elif problem := _misfit(rows[key], rule.default):
            problems.append(f"fleet.toml: {key}: {problem}")
            settings[key] = rule.default
        elif rule.choices and rows[key] not in rule.choices:
            names = ", ".join(str(choice).lower() for choice in rule.choices)
            problems.append(f"fleet.toml: {key}: {rows[key]!r} is none of {names}")
        else:
            settings[key] = rows[key]
    return settings, used


def _misfit(value: Any, default: object) -> str:
    """What is wrong with a plain setting; periods are the one list."""
    if default is None:
        good = isinstance(value, list) and value and len(set(map(str, value))) == len(value)
        return "" if good else "expected the names of the periods in order, each once, at least one"
    if isinstance(default, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number else f"expected a number, got {value!r}"
    same = isinstance(value, type(default))
    return (
        "" if same else f"expected {'true or false' if default in (True, False) else 'a text'}, got {value!r}"
    )


def _blocks(rows: Any, problems: list[str]) -> tuple[list[dict[str, Any]], list[Given]]:
    """Load blocks with plain numbers: name, share of the time, load over the mean."""
    made, used = [], []
    for index, row in enumerate(rows if isinstance(rows, list) else [rows]):
        where = f"blocks[{index}]"
        if not isinstance(row, dict) or row.keys() - {"load"} != {"name", "share"}:
            problems.append(f"fleet.toml: {where}: expected name, share and load, got {row!r}")
            continue
        made.append({"name": str(row["name"])})
        for field in [field for field in row if field != "name"]:
            made[-1][field], more = _written(("fleet.toml", f"{where}.{field}"), row[field], "", problems)
            used += more
    return made, used


def _written(
    where: tuple[str, str], row: Any, unit: str, problems: list[str], least: float = 0.0
) -> tuple[float, list[Given]]:
    if wrong := list(mistakes(row, unit, Bounds(least))):
        problems.extend(f"{where[0]}: {where[1]}: {problem}" for problem in wrong)
        return float("nan"), []
    number = read_written(row)
    return number.si(unit), [(*where, number)]


def _from_toml(
    name: str, rows: dict[str, Any], work: str, problems: list[str]
) -> tuple[pd.DataFrame, list[Given]]:
    """One row per table of the file, numbers in SI; the table `default` fills in the others."""
    schema, used, made = TABLES[name], [], []
    key = next(iter(schema))
    defaults = rows.pop("default", {})
    for label, row in rows.items():
        if not isinstance(row, dict):
            problems.append(f"{name}.toml: {label}: write a table [{label}]")
            continue
        values: dict[str, Any] = {key: label}
        for field, value in {**defaults, **row}.items():
            where = (f"{name}.toml", f"{label if field in row else 'default'}.{field}")
            column = schema.get(field)
            if column is None:
                problems.append(f"{where[0]}: {where[1]}: not a field{did_you_mean(field, schema)}")
            else:
                values[field], more = _field(where, value, column, work, problems)
                used += more
        made.append(values)
    return pd.DataFrame(made, index=pd.Index([*rows])), used


def _field(
    where: tuple[str, str], value: Any, column: Column, work: str, problems: list[str]
) -> tuple[Any, list[Given]]:
    if column.unit is None:
        if not isinstance(value, str):
            problems.append(f"{where[0]}: {where[1]}: expected a text, got {value!r}")
        return value, []
    return _written(where, value, column.unit.replace("{work}", work), problems, column.least)


def _provenance(name: str, frame: pd.DataFrame) -> list[Given]:
    """Each source and confidence of a CSV file once; its numbers are in the file."""
    if not {"source", "confidence"} <= set(frame.columns) & set(PROVENANCE):
        return []
    pairs = frame[["source", "confidence"]].drop_duplicates().to_numpy()
    return [(f"{name}.csv", "", Written(None, source, sure)) for source, sure in pairs if source]
