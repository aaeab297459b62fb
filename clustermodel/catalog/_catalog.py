"""Find entries by name in one or more configs folders, and keep where every number came from."""

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

import equinox as eqx
import jax.numpy as jnp

from clustermodel import specs
from clustermodel.catalog import _read
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._kinds import KINDS, Kind, folder_of
from clustermodel.catalog._override import Override, parse_override, replaced
from clustermodel.catalog._provenance import HUGGING_FACE, USER, Written, read_written
from clustermodel.catalog._recount import layer_problem, numbers_in, recounted

_PACKAGED = Path(__file__).parents[1] / "configs"
CONFIGS = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "configs"
QUOTES = "quotes"
_NAMING_LINES = re.compile(r"^(?:name|aliases)[ \t]*=.*$", re.MULTILINE)
_QUOTES_HEADER = re.compile(r"^\s*\[\[\s*quotes\s*\]\]", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Entry(Generic[specs.Spec]):
    """A named spec, the words that go with it, and the provenance of each of its numbers.

    A system's `provenance` holds its accelerator's numbers under "accelerator."; its words name the kinds of
    its memory tiers, nearest first.
    """

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
    """Everything under one or more configs folders; where a slug occurs twice the first folder wins."""

    folders: tuple[Path, ...] = (CONFIGS,)
    overrides: tuple[Override, ...] = ()
    _memory: dict[tuple[str, Any], Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    """What the files say, whatever the overrides."""

    @property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """Every source that a number may name."""
        if ("sources", "") not in self._memory:
            files = [folder / "sources.toml" for folder in reversed(self.folders)]
            tables = [_read.read_toml(path) for path in files if path.exists()]
            own = {
                USER: {"title": "set by the user"},
                HUGGING_FACE: {"title": "Hugging Face config.json given by the user"},
            }
            self._memory["sources", ""] = own | {key: row for table in tables for key, row in table.items()}
        return self._memory["sources", ""]

    @cached_property
    def _own(self) -> dict[tuple[str, Any], Any]:
        """Entries that an override may have changed."""
        return {}

    def changed(self, overrides: Iterable[Override]) -> "Catalog":
        """The catalogue with more numbers of the user's own; it shares the files that either has read."""
        return dataclasses.replace(self, overrides=(*self.overrides, *overrides))

    def paths(self, folder: str) -> dict[str, Path]:
        """Slug -> file of one kind, sorted by slug; lists of quotes in prices/ count as kind "quotes"."""
        if ("paths", folder) not in self._memory:
            of_quotes = folder == QUOTES
            place = "prices" if of_quotes else folder
            found = [p for root in reversed(self.folders) for p in (root / place).glob("*.toml")]
            if place == "prices":
                found = [p for p in found if bool(_QUOTES_HEADER.search(_read.read_text(p))) == of_quotes]
            by_slug = sorted(found, key=lambda path: path.stem)
            self._memory["paths", folder] = {path.stem: path for path in by_slug}
        return self._memory["paths", folder]

    def table(self, path: Path) -> dict[str, Any]:
        """The parsed file, read once."""
        if ("table", path) not in self._memory:
            self._memory["table", path] = _read.read_toml(path)
        return self._memory["table", path]

    def names(self, folder: str) -> dict[str, str]:
        """Every accepted name of a kind (slug, display name, alias; lower case) -> slug."""
        if ("names", folder) not in self._memory:
            known: dict[str, str] = {}
            paths = self.paths(folder)
            for slug, path in paths.items():
                for name in names_in(path):
                    known.setdefault(name.lower(), slug)
            self._memory["names", folder] = known | {slug.lower(): slug for slug in paths}
        return self._memory["names", folder]

    def slug(self, folder: str, name: str) -> str:
        """The slug that a name stands for; unknown names raise with the nearest known one."""
        kind = KINDS[folder].name if folder in KINDS else folder
        _require_text(name, kind)
        if name in self.paths(folder):
            return name
        known = self.names(folder)
        if name.lower() not in known:
            raise ConfigError(
                f"no {kind} named {name!r}{did_you_mean(name, known)}; "
                f"`clustermodel catalog list {folder}` shows all"
            )
        return known[name.lower()]

    def entry(self, folder: str, name: str) -> Entry[Any]:
        """Read one entry by slug, display name or alias."""
        slug = self.slug(folder, name)
        parts = (folder, "accelerators") if folder == "systems" else (folder,)
        overridden = any(override.kind.folder in parts for override in self.overrides)
        memory = self._own if overridden else self._memory
        if ("entry", (folder, slug)) not in memory:
            memory["entry", (folder, slug)] = self._read(KINDS[folder], slug)
        return memory["entry", (folder, slug)]

    def find(self, name: str) -> Entry[Any]:
        """An entry by "kind/name", or by name alone where only one kind has it."""
        _require_text(name, "entry")
        kind, slash, rest = name.partition("/")
        if slash:
            return self.entry(folder_of(kind), rest)
        found = [folder for folder in KINDS if name.lower() in self.names(folder)]
        if len(found) > 1:
            forms = " or ".join(f"{folder}/{self.slug(folder, name)}" for folder in found)
            raise ConfigError(f"{name!r} names more than one entry; write {forms}")
        if not found:
            known = [each for folder in KINDS for each in self.names(folder)]
            raise ConfigError(f"nothing in the catalogue is named {name!r}{did_you_mean(name, known)}")
        return self.entry(found[0], name)

    def _read(self, kind: Kind, slug: str) -> Entry[Any]:
        path = self.paths(kind.folder)[slug]
        table = self._overridden(kind, slug, self.table(path))
        found = _read.problems(kind, table, self.sources)
        if kind.folder == "systems" and not found:
            found = self._part_problems(table)
        if kind.folder == "models" and not found and table != self.table(path):
            table = recounted(table, self.table(path))
            found = [problem] if (problem := layer_problem(numbers_in(table))) else []
        if found:
            raise ConfigError("\n  ".join([path.name, *found]))
        words = {key: table[key] for key in kind.words if key in table}
        provenance = _read.written(kind.spec, table)
        if kind.folder == "systems":
            return self._system(slug, table, words, provenance)
        if kind.folder == "accelerators":
            words["tiers"] = _tier_kinds(table)
            spec = _read.build(kind.spec, table, memory=specs.tiers(_read.memory(table["memory"])))
            return Entry(kind.folder, slug, words, spec, provenance)
        return Entry(kind.folder, slug, words, _read.build(kind.spec, table), provenance)

    def _system(
        self, slug: str, table: Mapping[str, Any], words: dict[str, Any], provenance: dict[str, Written]
    ) -> Entry[specs.System]:
        """A system with its accelerator; the system's own [[memory]] tiers are shared out among them."""
        part = self.entry("accelerators", table["accelerator"])
        own = self._part_table(table)
        count = read_written(table["count"]).si("")
        shared = [_per_accelerator(tier, count) for tier in _read.memory(table.get("memory", []))]
        hierarchy = specs.tiers([*_read.memory(own["memory"]), *shared])
        accelerator = eqx.tree_at(lambda a: a.memory, part.spec, hierarchy)
        spec = _read.build(specs.System, table, accelerator=accelerator)
        merged = provenance | {f"accelerator.{path}": n for path, n in part.provenance.items()}
        words |= {"accelerator": part.slug, "tiers": (*part.words["tiers"], *_tier_kinds(table))}
        return Entry("systems", slug, words, spec, merged)

    def _part_table(self, table: Mapping[str, Any]) -> dict[str, Any]:
        slug = self.slug("accelerators", table["accelerator"])
        return self._overridden(KINDS["accelerators"], slug, self.table(self.paths("accelerators")[slug]))

    def _part_problems(self, table: Mapping[str, Any]) -> list[str]:
        """What keeps a sound system from being put together with its accelerator."""
        if table["accelerator"].lower() not in (known := self.names("accelerators")):
            return [
                f"accelerator: no accelerator named {table['accelerator']!r}"
                f"{did_you_mean(table['accelerator'], known)}"
            ]
        tiers = len(self.entry("accelerators", table["accelerator"]).words["tiers"])
        tiers += len(table.get("memory", []))
        if tiers == 0:
            return ["memory: missing; neither the system nor its accelerator has a [[memory]] tier"]
        if tiers > specs.MAX_TIERS:
            return [f"memory: {tiers} tiers with those of the accelerator; at most {specs.MAX_TIERS}"]
        return []

    def _overridden(self, kind: Kind, slug: str, table: dict[str, Any]) -> dict[str, Any]:
        for override in self.overrides:
            if self.meets(override, kind.folder, slug):
                table = replaced(override, table)
        return table

    def meets(self, override: Override, folder: str, slug: str) -> bool:
        """Whether an override changes this entry."""
        of_kind = override.kind.folder == folder
        return of_kind and (not override.name or self.slug(folder, override.name) == slug)

    @property
    def unused(self) -> list[Override]:
        """The overrides of entries that nobody has asked this catalogue for."""
        read = [where for _, where in self._own]
        return [each for each in self.overrides if not any(self.meets(each, *where) for where in read)]


def _require_text(name: Any, kind: str) -> None:
    if not isinstance(name, str):
        raise ConfigError(f"{kind}: expected a name, got {name!r:.60}")


def names_in(path: Path) -> list[str]:
    """Display name and aliases of a file, without parsing all of it."""
    text = _read.read_text(path)
    try:
        table = _read.parse_toml("\n".join(_NAMING_LINES.findall(text)), path)
    except ConfigError:  # a list over several lines, or a broken file that says so when it is used
        try:
            table = _read.parse_toml(text, path)
        except ConfigError:
            return []
    aliases = table.get("aliases", [])
    found = [table.get("name", path.stem), *(aliases if isinstance(aliases, list) else [])]
    return [name for name in found if isinstance(name, str)]


def _tier_kinds(table: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row.get("kind", "memory") for row in table.get("memory", []))


def _per_accelerator(tier: specs.MemoryTier, count: float) -> specs.MemoryTier:
    shared = (tier.capacity / count, tier.bandwidth / count)
    return eqx.tree_at(lambda t: (t.capacity, t.bandwidth), tier, tuple(map(jnp.asarray, shared)))


def several(given: Any, what: str) -> list[Any]:
    """The things in a list, a set, a column or whatever else holds them; one name, path or entry is a list of one."""
    if isinstance(given, str | os.PathLike | Entry):
        return [given]
    if not isinstance(given, Iterable):
        raise ConfigError(f"{what}: expected a list, got {given!r:.60}")
    return list(given)


def load_catalog(
    folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    overrides: str | Iterable[str] = (),
) -> Catalog:
    """The shipped catalogue, with the user's own folder or folders before it and `--set` texts applied."""
    own = tuple(Path(folder) for folder in several(folders, "folders"))
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"--configs {folder}: no such folder; check the path")
    catalog = Catalog(
        (*own, CONFIGS), tuple(parse_override(text) for text in several(overrides, "overrides"))
    )
    for override in catalog.overrides:
        if override.name:
            catalog.slug(override.kind.folder, override.name)
    return catalog


def load(
    name: str,
    folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    overrides: str | Iterable[str] = (),
) -> Entry[Any]:
    """One entry of the shipped catalogue or the user's folders: `load("systems/hgx-h200")`."""
    return load_catalog(folders, overrides).find(name)
