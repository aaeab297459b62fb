"""The `shape` word of a model: what its parameter count needs and no field of `specs.Model` holds."""

from collections.abc import Iterator
from typing import Any

from clustermodel.catalog._errors import did_you_mean
from clustermodel.catalog._layers import RECURRENT

_NUMBERS = ("index_heads", "index_dim", "index_bytes", "index_layers", "out_rank", "out_groups")
_FLAGS = ("gated", "value_is_key")
_GROUPS = ("full", "sliding")
_GROUP_NUMBERS = ("heads", "kv_heads", "head_dim", "v_head_dim")
_ROW = 3  # layers, tokens per entry, indexed


def bad_shape(shape: Any) -> Iterator[str]:
    """Everything wrong with a `shape` word, a sentence each."""
    if not isinstance(shape, dict):
        yield f"expected a table, got {shape!r}"
        return
    known = (*_NUMBERS, *_FLAGS, *_GROUPS, "compression", "recurrent")
    for name, value in shape.items():
        if name in _GROUPS:
            yield from (f"{name}.{problem}" for problem in _bad_group(value))
        elif name == "recurrent":
            yield from (f"recurrent: {problem}" for problem in _bad_recurrent(value))
        elif name == "compression":
            if not isinstance(value, list) or not all(_is_row(row) for row in value):
                yield f"compression: expected rows [layers, tokens per entry, 1 if indexed], got {value!r}"
        elif name not in known:
            yield f"{name}: not a fact of a shape{did_you_mean(name, known)}"
        elif not (isinstance(value, bool) if name in _FLAGS else _is_count(value)):
            yield f"{name}: expected {'true or false' if name in _FLAGS else 'a number'}, got {value!r}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == _ROW and all(_is_count(each) for each in row)


def _bad_group(group: Any) -> Iterator[str]:
    if not isinstance(group, dict):
        yield f" expected a table, got {group!r}"
        return
    for name, value in group.items():
        if name not in (*_GROUP_NUMBERS, *_FLAGS):
            yield f"{name}: not a fact of attention layers{did_you_mean(name, _GROUP_NUMBERS)}"
        elif not (isinstance(value, bool) if name in _FLAGS else _is_count(value)):
            yield f"{name}: expected {'true or false' if name in _FLAGS else 'a number'}, got {value!r}"


def _bad_recurrent(table: Any) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"expected a table, got {table!r}"
        return
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in RECURRENT:
        yield f"kind {kind!r} is none of {', '.join(RECURRENT)}"
        return
    names = RECURRENT[kind][1]
    for name in names:
        if name != "groups" and not _is_count(table.get(name)):
            yield f"{name}: missing; {kind} layers need a number"
    for name in table.keys() - {"kind", *names}:
        yield f"{name}: not a fact of {kind} layers{did_you_mean(name, names)}"
    if "groups" in table and not _is_count(table["groups"]):
        yield f"groups: expected a number, got {table['groups']!r}"
