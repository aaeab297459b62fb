"""The two ways a question goes wrong: it is badly put, or it has no answer."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """The question is wrong: a file, a name, a unit or an option. The command line exits with 2."""


class InfeasibleError(ValueError):
    """The question is right and has no answer: it says which limit binds and what would do. Exit code 3."""


def did_you_mean(name: str, known: Iterable[str], closeness: float = 0.5) -> str:
    """A hint such as `; did you mean x?` where a known name is close (1: the same), else nothing."""
    by_folded = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=closeness)
    return f"; did you mean {by_folded[close[0]]}?" if close else ""
