"""Totals of a model whose shapes the user changed: parameters and cache follow, and layers have to add up."""

from collections.abc import Mapping
from typing import Any

from clustermodel import specs
from clustermodel.catalog._counts import COUNTED, count
from clustermodel.catalog._provenance import read_written, set_by_user

Table = Mapping[str, Any]

MIXERS = ("full_attn_layers", "sliding_layers", "linear_layers")
NETWORKS = ("dense_ffn_layers", "moe_layers")
_FIELDS = specs.fields(specs.Model)


def recounted(table: Table, original: Table) -> Table:
    """The table of a model with totals in the proportion in which those that follow from its shapes have changed.

    A total that the user changed too stands as it is. Both tables are sound.
    """
    before, after = (count(_shapes(each), each.get("shape", {})) for each in (original, table))
    follow = {}
    for field, name in COUNTED.items():
        was, now, stated = getattr(before, name), getattr(after, name), _number(original, field)
        if now != was and table.get(field) == original.get(field):
            total = stated * now / was if was else now
            row = set_by_user(f"{total:.17g} {_FIELDS[field].metadata['unit']}".strip())
            follow[field] = row | {"confidence": "derived", "note": "follows from shapes set by the user"}
    return {**table, **follow}


def layer_problem(numbers: Mapping[str, float]) -> str:
    """Why the kinds of layers are not the layers of the model; empty where they are, or are not told apart.

    A layer has a mixer and a network, as in transformers, or is one of the two, as in Nemotron-H.
    """
    layers = numbers["layers"]
    mixers, networks = (sum(numbers.get(name, 0.0) for name in names) for names in (MIXERS, NETWORKS))
    whole = mixers in (0, layers) and networks in (0, layers)
    if whole or mixers + networks == layers:
        return ""
    told = [f"{name} {numbers[name]:g}" for name in (*MIXERS, *NETWORKS) if numbers.get(name)]
    return f"layers: {layers:g}, but of kinds of layers there are {', '.join(told)}; change them together"


def numbers_in(table: Table) -> dict[str, float]:
    """The numbers that the table of a model writes, in SI."""
    return {field: _number(table, field) for field in _FIELDS if field in table}


def _shapes(table: Table) -> dict[str, float]:
    """Its numbers, where no kind of attention is told with all layers looking at the whole context."""
    found = numbers_in(table)
    told = any(found.get(name) for name in MIXERS)
    return found if told else found | {"full_attn_layers": found["layers"]}


def _number(table: Table, field: str) -> float:
    return read_written(table[field]).si(_FIELDS[field].metadata["unit"]) if field in table else 0.0
