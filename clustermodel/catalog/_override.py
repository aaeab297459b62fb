"""`--set KIND/SLUG.FIELD=VALUE`: numbers of the user's own in place of the catalogue's."""

import dataclasses
import re
from typing import Any

from clustermodel import specs
from clustermodel.catalog import _read
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._kinds import KINDS, SINGULAR, Kind
from clustermodel.catalog._provenance import Bounds, set_by_user
from clustermodel.units import parse

SHORTHANDS = {"hbm_bandwidth": "memory[0].bandwidth", "hbm_capacity": "memory[0].capacity"}
TIER = re.compile(r"memory\[(\d+)\]\.(\w*)")
_PARTS = tuple(f".{child}." for kind in KINDS.values() for child in _read.subtables(kind.spec))
_USAGE = "write KIND/SLUG.FIELD=VALUE, e.g. accelerator.tdp='900 W'"


@dataclasses.dataclass(frozen=True)
class Override:
    """One number that the user sets: in one entry, or in every entry of a kind that is in use."""

    kind: Kind
    name: str  # slug or alias; empty for the entries in use
    field: str
    value: str

    @property
    def target(self) -> str:
        """What it changes, as people write it: `accelerator/h200-sxm`, or `accelerator` for those in use."""
        return f"{self.kind.name}/{self.name}" if self.name else self.kind.name

    def __str__(self) -> str:
        return f"--set {self.target}.{self.field}={self.value}"


def parse_override(text: str) -> Override:
    """Read `accelerator/h200-sxm.hbm_bandwidth=6 TB/s` or `accelerator.tdp=900 W`."""
    left, equals, value = text.partition("=")
    target, field = _split(left.strip())
    singular, _, name = target.partition("/")
    if not equals or not field or not value.strip() or ("/" in target and not name):
        raise ConfigError(f"--set {text!r}: {_USAGE}")
    if singular not in SINGULAR:
        known = ", ".join(SINGULAR)
        raise ConfigError(f"--set {text!r}: no kind {singular!r}{did_you_mean(singular, SINGULAR)}; {known}")
    override = Override(KINDS[SINGULAR[singular]], name, field, value.strip())
    if problem := _problem(override):
        raise ConfigError(f"{override}: {problem}")
    return override


def _split(left: str) -> tuple[str, str]:
    """Target and field of `KIND/SLUG.FIELD`; slugs contain dots, fields may be `memory[0].price`."""
    if "/" not in left:
        target, _, field = left.partition(".")
        return target, field.strip()
    for marker in (".memory[", *_PARTS):
        if marker in left:
            return left[: left.index(marker)], left[left.index(marker) + 1 :]
    target, _, field = left.rpartition(".")
    return (target, field.strip()) if "/" in target else (left, "")


def _path(override: Override) -> str:
    """The field's full path; shorthands are the accelerator's own."""
    of_accelerator = override.kind.spec is specs.Accelerator
    return SHORTHANDS.get(override.field, override.field) if of_accelerator else override.field


def _problem(override: Override) -> str:
    """What is wrong with the field or the value, whatever entry it is for; empty if nothing."""
    spec, path = override.kind.spec, _path(override)
    head, _, rest = path.partition(".")
    children = _read.subtables(spec)
    if (tier := TIER.fullmatch(path)) and spec in (specs.Accelerator, specs.System):
        owner, field = specs.MemoryTier, tier[2]
    elif rest and head in children:
        owner, field = children[head], rest
    else:
        owner, field = spec, path
    known = specs.fields(owner)
    if field not in known:
        names = [*known, *(f"{child}.{name}" for child, of in children.items() for name in specs.fields(of))]
        return f"{owner.__name__} has no such field{did_you_mean(field, names)}"
    if known[field].metadata["noted"]:
        return f"{field} is noted in the catalogue, no formula reads it; leave it out"
    try:
        number = parse(override.value, expect=known[field].metadata["unit"])
    except ValueError as error:
        return str(error)
    problem = Bounds.of(known[field].metadata).problem(number, known[field].metadata["unit"])
    return f"{override.value!r} {problem}" if problem else ""


def replaced(override: Override, table: dict[str, Any]) -> dict[str, Any]:
    """A copy of an entry's table with the number of `override` in it."""
    path, row = _path(override), set_by_user(override.value)
    if tier := TIER.fullmatch(path):
        return {**table, "memory": _with_tier(override, table, int(tier[1]), {tier[2]: row})}
    head, _, rest = path.partition(".")
    return {**table, head: {**table.get(head, {}), rest: row}} if rest else {**table, path: row}


def _with_tier(
    override: Override, table: dict[str, Any], index: int, fields: dict[str, Any]
) -> list[dict[str, Any]]:
    """The tiers with one changed, or with one more behind the last."""
    rows = list(table.get("memory", []))
    if index > len(rows) or (not rows and override.kind.spec is specs.Accelerator):
        owner = "; its memory belongs to the system" if not rows else ""
        raise ConfigError(f"{override}: there is no tier {index} in {table.get('name')}{owner}")
    old = rows[index] if index < len(rows) else {}
    return [*rows[:index], {**old, **fields}, *rows[index + 1 :]]
