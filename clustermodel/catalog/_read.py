"""Turn one TOML table into a spec, or list every mistake in it."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx

from clustermodel import specs
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._kinds import Kind
from clustermodel.catalog._provenance import Written, mistakes, read_written

Table = Mapping[str, Any]


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; a `ConfigError` says what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def nested(kind: type[eqx.Module]) -> dict[str, type[eqx.Module]]:
    """The sub-tables a config of this spec may have, with their specs."""
    return {
        field.name: field.type
        for field in dataclasses.fields(kind)
        if isinstance(field.type, type) and issubclass(field.type, eqx.Module)
    }


def problems(kind: Kind, table: Table, sources: Table | None = None) -> list[str]:
    """Every mistake in `table`, a sentence each that starts with the field."""
    found = list(_spec_problems(kind.spec, table, kind.words, sources, ""))
    if "name" not in table:
        found.append("name: missing; write the name people use")
    if "accelerator" in kind.words and not isinstance(table.get("accelerator"), str):
        found.append("accelerator: missing; write the slug of a file in accelerators/")
    return sorted(found)


def _spec_problems(
    spec: type[eqx.Module], table: Table, words: tuple[str, ...], sources: Table | None, prefix: str
) -> Iterator[str]:
    quantities, subtables = specs.fields(spec), nested(spec)
    known = [*quantities, *subtables, *words, *(["memory"] if spec is specs.System else [])]
    for name in table.keys() - set(known):
        yield f"{prefix}{name}: not a field of {spec.__name__}{did_you_mean(name, known)}"
    for name, field in quantities.items():
        required = field.default is dataclasses.MISSING
        if required or name in table:
            row = table.get(name)
            for problem in mistakes(row, field.metadata["unit"], field.metadata["least"]):
                yield f"{prefix}{name}: {problem}"
            source = row.get("source") if isinstance(row, dict) else None
            if sources is not None and source and source not in sources:
                yield f"{prefix}{name}: source {source!r} is not in sources.toml"
    for name, child in subtables.items():
        if name in table and child not in (specs.MemoryTier, specs.Accelerator):
            yield from _spec_problems(child, table[name], (), sources, f"{prefix}{name}.")
    if spec in (specs.Accelerator, specs.System):
        yield from _memory_problems(spec, table.get("memory", []), sources)


def _memory_problems(spec: type[eqx.Module], rows: Any, sources: Table | None) -> Iterator[str]:
    if spec is specs.Accelerator and not rows:
        yield "memory: missing; write at least one [[memory]] tier"
    if not isinstance(rows, list) or len(rows) > specs.MAX_TIERS:
        yield f"memory: expected at most {specs.MAX_TIERS} [[memory]] tables"
        return
    for index, row in enumerate(rows):
        yield from _spec_problems(specs.MemoryTier, row, ("kind",), sources, f"memory[{index}].")


def written(spec: type[eqx.Module], table: Table, prefix: str = "") -> dict[str, Written]:
    """The provenance of every number in a sound table, by field path."""
    rows = {f"{prefix}{name}": read_written(table[name]) for name in specs.fields(spec) if name in table}
    for name, child in nested(spec).items():
        if name in table and child not in (specs.MemoryTier, specs.Accelerator):
            rows |= written(child, table[name], f"{prefix}{name}.")
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
