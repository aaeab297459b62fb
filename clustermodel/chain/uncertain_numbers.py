"""Numbers behind an answer that were written with a range, and the same question with one of them changed."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import equinox as eqx

from clustermodel import specs
from clustermodel.catalog import Entry, Written
from clustermodel.chain.numbers import Number, system_numbers, with_system
from clustermodel.chain.setup import Setup

S = TypeVar("S")
_ENTRIES = ("model", "engine", "workload", "site", "terms")
_ASKED = {"draft_acceptance": "acceptance"}
"""Fields of entries that the question overrules under another name."""


@dataclasses.dataclass(frozen=True)
class Uncertain(Generic[S]):
    """A number that may lie between `low` and `high`, in SI, and the question asked with it changed."""

    name: str
    low: float
    value: float
    high: float
    written: Written
    asked_with: Callable[[float], S]


def uncertain_numbers(setup: Setup) -> Iterator[Uncertain[Setup]]:
    """Every number behind an answer that was written with a range; what the question itself says is certain."""
    for number in system_numbers(setup.system):
        if setup.quote is None or number.path != "price":
            yield from _of_system(setup, number)
    for part in _ENTRIES:
        entry: Entry[Any] = getattr(setup, part)
        for path, written in entry.provenance.items():
            asked = getattr(setup.question, _ASKED.get(path, path), None)
            if path in specs.fields(type(entry.spec)) and asked is None:
                yield from _of_entry(setup, part, path, written)
    if setup.quote is not None:
        low, high = setup.quote.range_si
        at = lambda price: dataclasses.replace(setup, money=_with(setup.money, "all_in_price", price))
        name = f"prices/{setup.quote.basis}"
        yield from _ranged(name, (low, setup.quote.si, high), setup.quote.number, at)


def _of_system(setup: Setup, number: Number) -> Iterator[Uncertain[Setup]]:
    low, high = number.range
    value = float(number.of(setup.system.spec))
    at = lambda changed: with_system(setup, number.set(setup.system.spec, specs.strong_float(changed)))
    yield from _ranged(f"systems/{setup.system.slug}.{number.path}", (low, value, high), number.written, at)


def _of_entry(setup: Setup, part: str, path: str, written: Written) -> Iterator[Uncertain[Setup]]:
    entry: Entry[Any] = getattr(setup, part)
    low, high = written.range_si(specs.fields(type(entry.spec))[path].metadata["unit"])
    value = float(getattr(entry.spec, path))

    def at(changed: float) -> Setup:
        moved = dataclasses.replace(entry, spec=_with(entry.spec, path, changed))
        money = setup.money
        if part in ("site", "terms"):
            money = eqx.tree_at(lambda m: getattr(m, part), money, moved.spec)
        if path == "reuse_interval":
            money = _with(money, path, changed)
        return dataclasses.replace(setup, **{part: moved}, money=money)

    yield from _ranged(f"{entry.kind}/{entry.slug}.{path}", (low, value, high), written, at)


def _ranged(
    name: str, ends: tuple[float, float, float], written: Written, at: Callable[[float], Setup]
) -> Iterator[Uncertain[Setup]]:
    low, value, high = ends
    if low < high:
        yield Uncertain(name, low, value, high, written, at)


def _with(spec: Any, field: str, value: float) -> Any:
    return eqx.tree_at(lambda s: getattr(s, field), spec, specs.strong_float(value))
