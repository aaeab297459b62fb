"""Numbers of things to measure with, or one sentence on each that is no such number."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from clustermodel.catalog import ConfigError


def check_counts(options: Iterable[tuple[str, Any, int]]) -> None:
    """Refuse what is no whole number of at least the last of (option, value or values, least); None is no value."""
    problems = [
        f"--{name} {value!r:.40}: write a whole number of at least {least}"
        for name, given, least in options
        for value in (given if isinstance(given, Sequence) and not isinstance(given, str) else [given])
        if value is not None and not _is_count(value, least)
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
