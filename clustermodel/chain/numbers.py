"""The numbers of an answer as things to vary: which leaf of which spec a catalogue number is."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx

from clustermodel import specs
from clustermodel.assembly.formats import resolve_formats
from clustermodel.catalog import Entry, Written
from clustermodel.chain.setup import Setup

_TIER = re.compile(r"memory\[(\d+)\]\.(\w+)")
_PARTS = {"accelerator": specs.Accelerator, "chassis": specs.Chassis}


@dataclasses.dataclass(frozen=True)
class Number:
    """One number of a system as it was written, and where its spec holds it."""

    path: str
    written: Written
    unit: str
    scale: float  # spec value over written value: 1 / count where accelerators share a tier
    where: Callable[[specs.System], Any]
    index: int | None  # tier

    @property
    def range(self) -> tuple[float, float]:
        """Low and high as written, in the spec's own terms (SI)."""
        low, high = self.written.range_si(self.unit)
        return low * self.scale, high * self.scale

    def of(self, system: specs.System) -> Any:
        """The value in a system, or its derivative in a system of derivatives."""
        leaf = self.where(system)
        return leaf if self.index is None else leaf[self.index]

    def set(self, system: specs.System, value: Any) -> specs.System:
        """The system with this number changed."""
        leaf = specs.strong_float(value)
        new = leaf if self.index is None else self.where(system).at[self.index].set(leaf)
        return eqx.tree_at(self.where, system, new)


def system_numbers(entry: Entry[specs.System]) -> Iterator[Number]:
    """Every known number of a system, its accelerator's and its memory's included."""
    shared = {match[1] for path in entry.provenance if (match := _TIER.match(path))}
    own_tiers = len(entry.words["tiers"]) - len(shared)
    for path, written in entry.provenance.items():
        if written.value is not None:
            yield _number(entry, path, written, own_tiers)


def _number(entry: Entry[specs.System], path: str, written: Written, own_tiers: int) -> Number:
    head, _, rest = path.partition(".")
    if tier := _TIER.search(path):
        belongs_to_system = head != "accelerator"
        index, field = int(tier[1]) + (own_tiers if belongs_to_system else 0), tier[2]
        divided = belongs_to_system and field in ("capacity", "bandwidth")
        scale = 1 / float(entry.spec.count) if divided else 1.0
        unit = specs.fields(specs.MemoryTier)[field].metadata["unit"]
        return Number(path, written, unit, scale, lambda s: getattr(s.accelerator.memory, field), index)
    if rest:
        unit = specs.fields(_PARTS[head])[rest].metadata["unit"]
        return Number(path, written, unit, 1.0, lambda s: getattr(getattr(s, head), rest), None)
    unit = specs.fields(specs.System)[path].metadata["unit"]
    return Number(path, written, unit, 1.0, lambda s: getattr(s, path), None)


def with_system(setup: Setup, system: specs.System) -> Setup:
    """The same question on a changed system; the formats follow its arithmetic rates."""
    entry = dataclasses.replace(setup.system, spec=system)
    question = setup.question
    _, formats = resolve_formats(entry, setup.model, question.precision, question.kv_precision)
    return dataclasses.replace(setup, system=entry, formats=formats)


def with_price(setup: Setup, price: float) -> Setup:
    """The same question with the system at another price (USD)."""
    return with_system(setup, eqx.tree_at(lambda s: s.price, setup.system.spec, specs.strong_float(price)))
