"""Turn one TOML table into a spec, or list every mistake in it."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx

from clustermodel import specs
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._kinds import Kind, bad_words
from clustermodel.catalog._provenance import USER, Bounds, Written, mistakes, read_written

Table = Mapping[str, Any]
_SLIP = 0.7
"""How close a source must be to a known one to be taken for it: there are hundreds, and most keys are short."""


def read_text(path: Path) -> str:
    """The text of a file; a `ConfigError` says why it can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark of its encoding
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse TOML; a `ConfigError` says what is wrong with it."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # huge integers and deep nesting included
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read and parse a TOML file."""
    return parse_toml(read_text(path), path)


def nested(kind: type[eqx.Module]) -> dict[str, type[eqx.Module]]:
    """The sub-tables a config of this spec may have, with their specs."""
    return {
        field.name: field.type
        for field in dataclasses.fields(kind)
        if isinstance(field.type, type) and issubclass(field.type, eqx.Module)
    }


def subtables(kind: type[eqx.Module]) -> dict[str, type[eqx.Module]]:
    """Nested specs written as `[name]` tables; hierarchies and accelerators have forms of their own."""
    special = (specs.MemoryTier, specs.Accelerator)
    return {name: child for name, child in nested(kind).items() if child not in special}


def problems(kind: Kind, table: Table, sources: Table | None = None) -> list[str]:
    """Every mistake in `table`, a sentence each that starts with the field."""
    return sorted([*_spec_problems(kind.spec, table, kind.words, sources, ""), *bad_words(kind, table)])


def _spec_problems(
    spec: type[eqx.Module], table: Table, words: tuple[str, ...], sources: Table | None, prefix: str
) -> Iterator[str]:
    quantities, children = specs.fields(spec), subtables(spec)
    hierarchy = ["memory"] if spec in (specs.Accelerator, specs.System) else []
    known = [*quantities, *children, *words, *hierarchy]
    for name in table.keys() - set(known):
        yield f"{prefix}{name}: not a field of {spec.__name__}{did_you_mean(name, known)}"
    for name, field in quantities.items():
        if field.default is dataclasses.MISSING or name in table:
            bounds = Bounds.of(field.metadata)
            for problem in number_problems(table.get(name), field.metadata["unit"], bounds, sources):
                yield f"{prefix}{name}: {problem}"
    for name, child in children.items():
        if name in table:
            yield from _table_problems(child, table[name], (), sources, f"{prefix}{name}")
    if hierarchy:
        yield from _memory_problems(spec, table, sources)


def number_problems(row: Any, unit: str, bounds: Bounds, sources: Table | None) -> Iterator[str]:
    """Everything wrong with one number, its source key included."""
    yield from mistakes(row, unit, bounds)
    source = row.get("source") if isinstance(row, dict) else None
    if sources is not None and isinstance(source, str) and source not in sources:
        yield (
            f"source {source!r} is not in sources.toml{did_you_mean(source, sources, _SLIP)}; "
            f"add it to CONFIGS/sources.toml, or write source = {USER!r}"
        )


def _table_problems(
    spec: type[eqx.Module], table: Any, words: tuple[str, ...], sources: Table | None, path: str
) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"{path}: expected a table, got {table!r}"
        return
    yield from _spec_problems(spec, table, words, sources, f"{path}.")


def _memory_problems(spec: type[eqx.Module], table: Table, sources: Table | None) -> Iterator[str]:
    if spec is specs.Accelerator and "memory" not in table:
        yield "memory: missing; write [[memory]] tiers, or memory = [] where the memory belongs to the system"
    rows = table.get("memory", [])
    if not isinstance(rows, list) or len(rows) > specs.MAX_TIERS:
        yield f"memory: expected at most {specs.MAX_TIERS} [[memory]] tables"
        return
    for index, row in enumerate(rows):
        path = f"memory[{index}]"
        yield from _table_problems(specs.MemoryTier, row, ("kind",), sources, path)
        if isinstance(row, dict) and not isinstance(row.get("kind", ""), str):
            yield f"{path}.kind: expected a text, got {row['kind']!r}"


def written(spec: type[eqx.Module], table: Table, prefix: str = "") -> dict[str, Written]:
    """The provenance of every number in a sound table, by field path."""
    rows = {f"{prefix}{name}": read_written(table[name]) for name in specs.fields(spec) if name in table}
    for name, child in subtables(spec).items():
        rows |= written(child, table.get(name, {}), f"{prefix}{name}.")
    for index, row in enumerate(table.get("memory", [])):
        rows |= written(specs.MemoryTier, row, f"{prefix}memory[{index}].")
    return rows


def build(spec: type[specs.Spec], table: Table, **parts: Any) -> specs.Spec:
    """Make the spec of a sound table; `parts` are nested specs made elsewhere."""
    values = {
        name: read_written(table[name]).si(field.metadata["unit"])
        for name, field in specs.fields(spec).items()
        if name in table
    }
    for name, child in nested(spec).items():
        if name not in parts:
            parts[name] = build(child, table.get(name, {}))
    return spec(**values, **parts)


def memory(rows: list[Table]) -> list[specs.MemoryTier]:
    """The tiers of one [[memory]] list, nearest first."""
    return [build(specs.MemoryTier, row) for row in rows]
