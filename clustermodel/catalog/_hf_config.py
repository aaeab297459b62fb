"""Typed access to a Hugging Face config.json that collects every mistake instead of stopping at the first."""

import math
from collections.abc import Mapping
from typing import Any

_NESTS = ("text_config", "llm_config", "language_config", "thinker_config")


def language_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the language model: its nested table where there is one, over the outer table."""
    part = dict(config)
    for name in _NESTS:
        inner = part.get(name)
        if isinstance(inner, dict):
            part |= {key: value for key, value in language_part(inner).items() if value is not None}
    return part


class Config:
    """A config.json; `problems` has a sentence for every field that is missing or malformed."""

    def __init__(self, facts: Mapping[str, Any]):
        self._facts = language_part(facts)
        self.problems: list[str] = []

    @property
    def model_type(self) -> str:
        """The family, in lower case."""
        return self.word("model_type").lower()

    def _first(self, names: tuple[str, ...]) -> tuple[str, Any]:
        found = ((name, self._facts[name]) for name in names if self._facts.get(name) is not None)
        return next(found, (names[0], None))

    def has(self, *names: str) -> bool:
        """Whether one of the fields is there and not null."""
        return self._first(names)[1] is not None

    def number(self, *names: str, default: float | None = None, least: float = 0.0) -> float:
        """The first of the fields that is there; `default` where none is, and a problem without a default."""
        name, value = self._first(names)
        if value is None:
            if default is None:
                others = f" (or {', '.join(names[1:])})" if names[1:] else ""
                self.problems.append(f"{name}{others}: missing; expected a number")
            return least if default is None else default
        number = finite(value)
        if math.isnan(number):
            self.problems.append(f"{name}: expected a number, got {value!r:.40}")
            return least
        if number < least:
            self.problems.append(f"{name}: {value!r} is below {least:g}")
        return max(number, least)

    def whole(self, *names: str, default: float | None = None, least: float = 0.0) -> float:
        """As `number`, of things that are counted."""
        number, (name, value) = self.number(*names, default=default, least=least), self._first(names)
        if not number.is_integer():
            self.problems.append(f"{name}: expected a whole number, got {value!r:.40}")
        return number

    def word(self, name: str) -> str:
        """A text; empty where there is none."""
        value = self._facts.get(name)
        if value is not None and not isinstance(value, str):
            self.problems.append(f"{name}: expected a text, got {value!r:.40}")
        return value if isinstance(value, str) else ""

    def flag(self, *names: str, default: bool = False) -> bool:
        """True or false."""
        name, value = self._first(names)
        if value is not None and not isinstance(value, bool):
            self.problems.append(f"{name}: expected true or false, got {value!r:.40}")
        return value if isinstance(value, bool) else default

    def part(self, name: str) -> "Config":
        """A nested table as a config of its own; empty where there is none."""
        value = self._facts.get(name)
        if value is not None and not isinstance(value, dict):
            self.problems.append(f"{name}: expected a table, got {value!r:.40}")
        inner = Config(value if isinstance(value, dict) else {})
        inner.problems = self.problems
        return inner

    def rows(self, name: str) -> list[Any]:
        """A list of texts or numbers; empty where there is none."""
        value = self._facts.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str | int | float) for each in value):
            self.problems.append(f"{name}: expected a list, got {value!r:.40}")
            return []
        return value

    def has_list(self, name: str) -> bool:
        """Whether the field is a list."""
        return isinstance(self._facts.get(name), list)


def finite(value: Any) -> float:
    """A finite float, or NaN for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan
