"""Refuse to compute with numbers that nobody has published."""

from typing import Any

from clustermodel import specs
from clustermodel.catalog._catalog import Entry
from clustermodel.catalog._errors import ConfigError
from clustermodel.catalog._kinds import KINDS


def required(entry: Entry[Any]) -> None:
    """Refuse an entry with unknown numbers: a `ConfigError` says which, and how to set them."""
    if not entry.unknown:
        return
    cures = [f"{path} ({entry.provenance[path].note}); {_cure(entry, path)}" for path in entry.unknown]
    raise ConfigError("\n  ".join([f"{entry.slug} has numbers that nobody has published:", *cures]))


def _cure(entry: Entry[Any], path: str) -> str:
    kind, slug, field = KINDS[entry.kind], entry.slug, path
    if path.startswith("accelerator."):
        kind, slug, field = KINDS["accelerators"], entry.words["accelerator"], path.partition(".")[2]
    owner = specs.MemoryTier if field.startswith("memory[") else kind.spec
    unit = specs.fields(owner)[field.rpartition(".")[2]].metadata["unit"]
    return f"set it with --set {kind.name}/{slug}.{field}='{f'VALUE {unit}'.strip()}'"
