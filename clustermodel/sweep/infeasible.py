"""Why no combination of a sweep is an answer, and the nearest objectives that have one."""

import math

from clustermodel.chain.question import Question
from clustermodel.chain.setup import MILLISECONDS
from clustermodel.sweep.reduce import Nearest
from clustermodel.sweep.space import Space

_DIGITS = 4


def out_of_reach(points: Space, question: Question, nearest: Nearest) -> str:
    """Which limit binds, and the least value of it that some combination keeps."""
    none = f"none of {points.size:,} combinations"
    if not math.isfinite(float(nearest.tpot)):
        return (
            f"{none} fits in memory and ever finishes a step; binding limit: capacity. What would do: more "
            "accelerators (--n-accelerators), narrower --precisions, shorter --isls and --osls, or other --systems; "
            "without --exhaustive the same question says by how much"
        )
    asked = [name for name in ("tpot", "ttft") if getattr(question, f"max_{name}_ms") is not None]
    if len(asked) == 1:
        return f"{none} meets {_asked(question, asked[0])}: {_feasible(float(getattr(nearest, asked[0])))}"
    both = f"{none} meets {_asked(question, 'tpot')} and {_asked(question, 'ttft')} at once"
    within = {name: float(getattr(nearest, f"{name}_within")) for name in asked}
    cures = [
        f"{_feasible(least)} for --max-{name}-ms while the other stays"
        for name, least in within.items()
        if math.isfinite(least)
    ]
    if cures:
        return f"{both}: {', or '.join(cures)}"
    least = " and ".join(f"{_up(float(getattr(nearest, name)))} ms for --max-{name}-ms" for name in asked)
    return f"{both}, nor either alone: the least of any combination are {least}; relax both"


def _asked(question: Question, name: str) -> str:
    return f"--max-{name}-ms {getattr(question, f'max_{name}_ms'):g}"


def _feasible(seconds: float) -> str:
    return f"the nearest feasible value is {_up(seconds)} ms"


def _up(seconds: float) -> str:
    """Milliseconds with four digits, rounded up: what is written can be asked for."""
    milliseconds = seconds * MILLISECONDS * (1 + 1e-6)  # above the rounding of float32
    step = 10.0 ** (math.floor(math.log10(milliseconds)) + 1 - _DIGITS)
    return f"{math.ceil(milliseconds / step) * step:.{_DIGITS}g}"
