"""Whose contracts these are: a buyer defaults on all of its contracts at once, so it has one hazard."""

from collections.abc import Sequence

import numpy as np

from clustermodel.catalog import ConfigError, Entry, Written
from clustermodel.scenarios import Contract
from clustermodel.specs import fields

Contracts = Sequence[Entry[Contract]]

_HAZARD = "hazard"
_UNIT = fields(Contract)[_HAZARD].metadata["unit"]
_ROUNDING = 1e-9


def buyers(contracts: Contracts) -> list[str]:
    """The buyer of each contract: its obligor; a template names none and stands for a new buyer each time."""
    return [each.words.get("obligor", f"{each.slug} {i + 1}") for i, each in enumerate(contracts)]


def of_the_buyer(contract: Entry[Contract], field: str) -> bool:
    """Whether a number belongs to the buyer that a contract names, rather than to the contract."""
    return field == _HAZARD and "obligor" in contract.words


def refuse_split_buyers(contracts: Contracts) -> None:
    """A buyer that contracts name is one: they must agree on how likely it defaults, range included."""
    first: dict[str, Entry[Contract]] = {}
    for buyer, contract in zip(buyers(contracts), contracts, strict=True):
        _refuse_many(contract)
        other = first.setdefault(buyer, contract)
        if not np.allclose(_hazard(contract), _hazard(other), rtol=_ROUNDING, atol=0):
            raise ConfigError(
                f"contracts/{contract.slug}.toml: {_HAZARD}: {buyer} defaults on all of its contracts at once, so it "
                f"has one hazard, but here it is {_words(contract)} and in contracts/{other.slug}.toml "
                f"{_words(other)}; write the same value and range in both"
            )


def _refuse_many(contract: Entry[Contract]) -> None:
    if "obligor" in contract.words and float(contract.spec.buyers) > 1:
        raise ConfigError(
            f"contracts/{contract.slug}.toml: buyers: {contract.words['obligor']} is one buyer, not "
            f"{float(contract.spec.buyers):g}; leave out `buyers`, or `obligor` where many share the value"
        )


def _hazard(contract: Entry[Contract]) -> tuple[float, float, float]:
    """Value and range (1/s)."""
    written = contract.provenance.get(_HAZARD)
    value = float(contract.spec.hazard)
    return (value, *written.range_si(_UNIT)) if written else (value, value, value)


def _words(contract: Entry[Contract]) -> str:
    written: Written | None = contract.provenance.get(_HAZARD)
    if written is None:
        return "not given, which means 0"
    ends = [written.value if end is None else end for end in (written.low, written.high)]
    _, low, high = _hazard(contract)
    return str(written.value) if low == high else f"{written.value} ({ends[0]} to {ends[1]})"
