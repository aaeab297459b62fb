"""Find entries by name in one or more configs folders, and keep where every number came from."""

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

import equinox as eqx
import jax.numpy as jnp

from clustermodel import specs
from clustermodel.catalog import _read
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._kinds import KINDS, SINGULAR, Kind
from clustermodel.catalog._provenance import Written

_PACKAGED = Path(__file__).parents[1] / "configs"
CONFIGS = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "configs"


@dataclasses.dataclass(frozen=True)
class Entry(Generic[specs.Spec]):
    """A named spec, the words that go with it, and the provenance of each of its numbers."""

    kind: str
    slug: str
    words: Mapping[str, Any]
    spec: specs.Spec
    provenance: Mapping[str, Written]

    @property
    def name(self) -> str:
        """The name people use."""
        return self.words["name"]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Fields whose value nobody has published."""
        return tuple(path for path, number in self.provenance.items() if number.value is None)


@dataclasses.dataclass(frozen=True)
class Catalog:
    """Everything under one or more configs folders; where a slug occurs twice the first folder wins.

    `overrides` are (kind or "kind/slug", field path, text), as `--set` gives them.
    """

    folders: tuple[Path, ...] = (CONFIGS,)
    overrides: tuple[tuple[str, str, str], ...] = ()

    @cached_property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """Every source that a number may name."""
        files = [folder / "sources.toml" for folder in reversed(self.folders)]
        tables = [_read.read_toml(path) for path in files if path.exists()]
        return {key: row for table in tables for key, row in table.items()}

    def paths(self, folder: str) -> dict[str, Path]:
        """Slug -> file of one kind, sorted by slug."""
        found = [p for root in reversed(self.folders) for p in (root / folder).glob("*.toml")]
        return {path.stem: path for path in sorted(found, key=lambda p: p.stem)}

    @cached_property
    def _tables(self) -> dict[Path, dict[str, Any]]:
        return {}

    def table(self, path: Path) -> dict[str, Any]:
        """The parsed file, read once."""
        if path not in self._tables:
            self._tables[path] = _read.read_toml(path)
        return self._tables[path]

    def names(self, folder: str) -> dict[str, str]:
        """Every accepted name of a kind (slug, display name, alias; lower case) -> slug."""
        known: dict[str, str] = {}
        paths = self.paths(folder)
        for slug, path in paths.items():
            table = self.table(path)
            for name in (table.get("name", slug), *table.get("aliases", ())):
                known.setdefault(str(name).lower(), slug)
        return known | {slug.lower(): slug for slug in paths}

    def slug(self, folder: str, name: str) -> str:
        """The slug that a name stands for; unknown names raise with the nearest known one."""
        known = self.names(folder)
        if name.lower() not in known:
            kind = KINDS[folder].name if folder in KINDS else folder
            raise ConfigError(
                f"no {kind} named {name!r}{did_you_mean(name, known)}; "
                f"`clustermodel catalog list {folder}` shows all"
            )
        return known[name.lower()]

    def entry(self, folder: str, name: str) -> Entry[Any]:
        """Read one entry by slug, display name or alias."""
        kind, slug = KINDS[folder], self.slug(folder, name)
        path = self.paths(folder)[slug]
        table = self._overridden(kind, slug, self.table(path))
        if found := _read.problems(kind, table, self.sources):
            raise ConfigError("\n  ".join([str(path.name), *found]))
        words = {key: table[key] for key in kind.words if key in table}
        provenance = _read.written(kind.spec, table)
        if folder == "systems":
            return self._system(slug, table, words, provenance)
        parts = {"memory": specs.tiers(_read.memory(table["memory"]))} if folder == "accelerators" else {}
        return Entry(folder, slug, words, _read.build(kind.spec, table, **parts), provenance)

    def _system(
        self, slug: str, table: Mapping[str, Any], words: dict[str, Any], provenance: dict[str, Written]
    ) -> Entry[specs.System]:
        """A system with its accelerator; the system's own [[memory]] tiers are shared out among them."""
        part = self.entry("accelerators", table["accelerator"])
        own = self._overridden(
            KINDS["accelerators"], part.slug, self.table(self.paths("accelerators")[part.slug])
        )
        count = Written(**{k: v for k, v in _fields(table["count"]).items()}).si("")
        shared = [_per_accelerator(tier, count) for tier in _read.memory(table.get("memory", []))]
        hierarchy = specs.tiers([*_read.memory(own["memory"]), *shared])
        accelerator = eqx.tree_at(lambda a: a.memory, part.spec, hierarchy)
        spec = _read.build(specs.System, table, accelerator=accelerator)
        merged = provenance | {f"accelerator.{path}": n for path, n in part.provenance.items()}
        return Entry("systems", slug, words, spec, merged)

    def _overridden(self, kind: Kind, slug: str, table: dict[str, Any]) -> dict[str, Any]:
        for target, field, text in self.overrides:
            singular, _, which = target.partition("/")
            if singular == kind.name and which in ("*", "", slug):
                table = _with_value(kind, table, field, text)
        return table


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("value", "source", "confidence")}


def _per_accelerator(tier: specs.MemoryTier, count: float) -> specs.MemoryTier:
    shared = (tier.capacity / count, tier.bandwidth / count)
    return eqx.tree_at(lambda t: (t.capacity, t.bandwidth), tier, tuple(map(jnp.asarray, shared)))


SHORTHANDS = {"hbm_bandwidth": "memory[0].bandwidth", "hbm_capacity": "memory[0].capacity"}


def _with_value(kind: Kind, table: dict[str, Any], field: str, text: str) -> dict[str, Any]:
    """A copy of `table` with one number replaced, marked as the user's own."""
    path = SHORTHANDS.get(field, field)
    number = {"value": text, "source": "user", "confidence": "derived", "note": "set by the user"}
    head, _, rest = path.partition(".")
    if head.startswith("memory[") and rest and head[7:-1].isdigit():
        rows, index = list(table.get("memory", [])), int(head[7:-1])
        if index >= len(rows):
            raise ConfigError(f"--set {kind.name}.{field}: there is no tier {index} in {table['name']}")
        rows[index] = {**rows[index], rest: number}
        return {**table, "memory": rows}
    if rest and head in _read.nested(kind.spec):
        return {**table, head: {**table.get(head, {}), rest: number}}
    if path not in specs.fields(kind.spec):
        known = [*specs.fields(kind.spec), *SHORTHANDS]
        raise ConfigError(
            f"--set {kind.name}.{field}: {kind.spec.__name__} has no such field{did_you_mean(field, known)}"
        )
    return {**table, path: number}


def parse_override(text: str) -> tuple[str, str, str]:
    """Split `accelerator/h200-sxm.hbm_bandwidth=6 TB/s` or `accelerator.tdp=900 W` into its three parts."""
    left, equals, value = text.partition("=")
    target, dot, field = left.strip().partition(".")
    if "/" in target:  # slugs contain dots: take the longest prefix that leaves a field
        kind, _, rest = left.strip().partition("/")
        cut = _field_start(rest)
        target, dot, field = f"{kind}/{rest[:cut]}", "." if cut < len(rest) else "", rest[cut + 1 :]
    if not equals or not dot or not value.strip() or not field:
        raise ConfigError(f"--set {text!r}: write KIND/SLUG.FIELD=VALUE, e.g. accelerator.tdp='900 W'")
    kind = target.partition("/")[0]
    if kind not in SINGULAR:
        raise ConfigError(f"--set {text!r}: no kind {kind!r}{did_you_mean(kind, SINGULAR)}")
    return target, field.strip(), value.strip()


def _field_start(rest: str) -> int:
    """Where the field begins in `SLUG.FIELD`, e.g. at ".hbm_bandwidth" in "llama-3.1-8b.layers"."""
    for marker in (".memory[", ".chassis."):
        if marker in rest:
            return rest.index(marker)
    return rest.rfind(".") if "." in rest else len(rest)


def load_catalog(folders: Iterable[Path | str] = (), overrides: Iterable[str] = ()) -> Catalog:
    """The shipped catalogue, with the user's own folders before it and `--set` texts applied."""
    own = tuple(Path(folder) for folder in folders)
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"--configs {folder}: no such folder; check the path")
    return Catalog((*own, CONFIGS), tuple(parse_override(text) for text in overrides))
