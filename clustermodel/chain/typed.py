"""Values as the annotations of a dataclass want them, or a sentence for each that is something else."""

import math
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np

from clustermodel.catalog import ConfigError, Entry


class _Kind(NamedTuple):
    """What a field may be: how errors say it, and a reader that gives None where a value is something else."""

    said: str
    read: Callable[[Any], Any]


def typed(owner: type, given: Mapping[str, Any], option: Callable[[str], str]) -> dict[str, Any]:
    """Fields of a dataclass as they were given: paths as texts, whole floats as whole numbers where they are wanted.

    Raises:
        ConfigError: a sentence for each that is of no kind its annotation allows.
    """
    found, problems = {}, []
    for field, (optional, kinds) in _kinds(owner).items():
        if field not in given:
            continue
        read = [kind.read(given[field]) for kind in kinds]
        found[field] = next((value for value in read if value is not None), None)
        if found[field] is None and not (given[field] is None and optional):
            expected = " or ".join(kind.said for kind in kinds)
            problems.append(f"{option(field)}: expected {expected}, got {_shown(given[field])}")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


@cache
def _kinds(owner: type) -> dict[str, tuple[bool, tuple[_Kind, ...]]]:
    """Whether each field may be None, and what else it may be."""
    hints = {field: get_args(hint) or (hint,) for field, hint in get_type_hints(owner).items()}
    return {
        field: (type(None) in hint, tuple(_kind(each) for each in hint if each is not type(None)))
        for field, hint in hints.items()
    }


def _kind(annotation: Any) -> _Kind:
    if get_origin(annotation) is Entry:
        (spec,) = get_args(annotation)
        return _Kind(
            f"an Entry of {spec.__name__}",
            lambda given: given if isinstance(given, Entry) and isinstance(given.spec, spec) else None,
        )
    return {
        str: _Kind("a text", _text),
        float: _Kind("a number", _number),
        int: _Kind("a whole number", _whole),
    }[annotation]


def _text(given: Any) -> str | None:
    return str(os.fsdecode(given)) if isinstance(given, str | os.PathLike) else None


def _number(given: Any) -> float | None:
    """A number of Python, numpy or jax; a text, a truth value or a list is none."""
    if isinstance(given, str | bytes | bool | np.bool_ | None) or np.ndim(given):
        return None
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return given if isinstance(given, int | float) else number


def _whole(given: Any) -> int | None:
    number = _number(given)
    return int(number) if number is not None and math.isfinite(number) and number == int(number) else None


def _shown(given: Any) -> str:
    return f"{given.kind}/{given.slug}" if isinstance(given, Entry) else f"{given!r:.60}"
