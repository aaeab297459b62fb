"""The operations that a function asks for, by kind, and how fast this machine does each of them elementwise.

What is counted is what has to be computed: the function's program with constants folded, common subexpressions merged
and nothing fused, so that work which a compiler repeats in several kernels counts once. A kernel of just these
operations, evenly mixed and with everything in registers, is the limit that is measured (`rate`).
"""

import collections
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.machine import seconds
from clustermodel.chain.bulk import compiler_options

Mix = Mapping[str, int]

_COUNTED = 17  # elements of the program that is counted, a length that no array of the chain has
_UNFUSED: dict[str, str | bool] = {
    "xla_disable_hlo_passes": "fusion,fusion-wrapper",
    "xla_backend_optimization_level": "0",  # of the machine code, which is not run
}
_LINE = re.compile(rf"= (\w+)\[{_COUNTED}\]\S* ([a-z][a-z0-9-]*)\(")
_INTEGERS = ("s32", "s64", "u32", "u64")
_MOVES = (
    "bitcast",
    "bitcast-convert",
    "broadcast",
    "concatenate",
    "constant",
    "copy",
    "fusion",
    "parameter",
    "reshape",
    "slice",
)
"""No operations: they rename or move data; a fusion is one operation and its wrapper."""
_KINDS = {
    "add": "add", "subtract": "add", "negate": "add", "reduce": "add", "multiply": "multiply", "divide": "divide",
    "maximum": "compare", "minimum": "compare", "clamp": "compare", "compare": "compare", "select": "compare",
    "is-finite": "compare", "and": "compare", "or": "compare", "not": "compare", "abs": "compare", "sign": "compare",
    "floor": "round", "ceil": "round", "sqrt": "square root", "rsqrt": "square root", "power": "power",
    "exponential": "exponential", "exponential-minus-one": "exponential minus one",
    "log": "logarithm", "log-plus-one": "logarithm of one plus",
}  # fmt: skip
_LANES = 8  # independent values of one element, enough to hide how long an operation takes
_RUNS = 20  # of which the fastest counts: differences of short times are wanted
_REPEATED = 16  # operations of one kind on each, few enough for a processor to look over all of them


def operations_of(function: Callable[[Any], Any], example: Any) -> dict[str, int]:
    """Operations of one element, by kind; `example` has leaves of one element each.

    Counted for a processor whatever runs here: what has to be computed is the same everywhere.
    """
    with jax.default_device(jax.devices("cpu")[0]):
        block = jax.tree.map(lambda leaf: jnp.full(_COUNTED, leaf, leaf.dtype), example)
        compiled = jax.jit(jax.vmap(function)).lower(block).compile(compiler_options=_UNFUSED)
    lines = _LINE.findall(compiled.as_text() or "")
    found = collections.Counter(_kind(number, name) for number, name in lines)
    return {kind: count for kind, count in found.most_common() if kind}


def _kind(number: str, name: str) -> str:
    if name in _MOVES:
        return ""
    return "integer" if number in _INTEGERS else _KINDS.get(name, "other")


def rate(mix: Mix, n: int, dtype: Any) -> float:
    """Elements a second of one elementwise kernel that does exactly these operations on each of `n` elements.

    The fastest of few and many numbers at a time: few wait for each other, many do not fit into the registers.
    """
    return n / min(_seconds(evenly(mix), lanes, n, dtype) for lanes in (_LANES // 2, _LANES))


def evenly(mix: Mix) -> list[str]:
    """Every operation of the mix, each kind spread over the whole."""
    places = [((i + 0.5) / count, kind) for kind, count in mix.items() for i in range(count)]
    return [kind for _, kind in sorted(places)]


def alone(kinds: Iterable[str], n: int, dtype: Any) -> dict[str, float]:
    """Seconds of one operation of each kind on one element, the others out of the way.

    Differences of two kernels. Between additions where a compiler would merge two in a row, as a quotient of quotients;
    a sum and a product by themselves, since together they are one instruction.
    """
    times = functools.cache(lambda *order: _seconds(_each(order * _REPEATED), _LANES, n, dtype))
    base = lambda kind: kind if kind in ("add", "multiply") else "add"
    more = {kind: times(base(kind), kind) - times(base(kind)) for kind in kinds}
    return {kind: max(each, 0.0) / (_REPEATED * _LANES * n) for kind, each in more.items()}


def _each(order: Sequence[str]) -> list[str]:
    """The same operations on every lane."""
    return [kind for kind in order for _ in range(_LANES)]


def profile(mix: Mix, each: Mapping[str, float]) -> list[dict[str, Any]]:
    """Time of each kind, taken alone, and its share in the sum of all, the costliest first."""
    whole = sum(each[kind] * count for kind, count in mix.items())
    rows = [
        {"operation": kind, "count": count, "ns_each": 1e9 * each[kind], "share": each[kind] * count / whole}
        for kind, count in mix.items()
    ]
    return sorted(rows, key=lambda row: -row["share"])


def chained(kinds: Sequence[str], lanes: int) -> Callable[[Array, Array], Array]:
    """A kernel that does the operations one after the other, each on the next of `lanes` independent numbers.

    Comparisons of a number are maxima and minima in turn: a compiler makes one of two maxima in a row.
    """

    def run(x: Array, one: Array) -> Array:
        apply, low = _operations(one), [itertools.cycle((True, False)) for _ in range(lanes)]
        numbers = [x + i for i in range(lanes)]
        for i, kind in enumerate(kinds):
            lane = i % lanes
            below = kind == "compare" and not next(low[lane])
            numbers[lane] = jnp.minimum(numbers[lane], one + 1) if below else apply[kind](numbers[lane])
        return sum(numbers[1:], numbers[0])

    return run


def _seconds(kinds: Sequence[str], lanes: int, n: int, dtype: Any) -> float:
    x, one = jnp.linspace(1.0, 2.0, n, dtype=dtype), jnp.ones((), dtype)
    compiled = jax.jit(chained(kinds, lanes)).lower(x, one).compile(compiler_options())
    return seconds(lambda: compiled(x, one), _RUNS)


def _operations(one: Array) -> dict[str, Callable[[Array], Array]]:
    """One operation of each kind on numbers above 1; `one` is 1 at run time, which no compiler can know."""
    nothing, more = one - 1, one + 1

    def integer(v: Array) -> Array:
        bits = jax.lax.bitcast_convert_type(v, jnp.int32 if v.dtype == jnp.float32 else jnp.int64)
        return jax.lax.bitcast_convert_type(bits + nothing.astype(bits.dtype), v.dtype)

    return {
        "add": lambda v: v + one,
        "other": lambda v: v + one,  # what is rare enough to have no line of its own
        "multiply": lambda v: v * one,
        "divide": lambda v: more / v,
        "compare": lambda v: jnp.maximum(v, one),
        "round": jnp.floor,
        "integer": integer,
        "square root": jnp.sqrt,
        "power": lambda v: v**one,
        "exponential": lambda v: jnp.exp(-v),
        "exponential minus one": lambda v: jnp.expm1(-v),
        "logarithm": jnp.log,
        "logarithm of one plus": jnp.log1p,
    }
