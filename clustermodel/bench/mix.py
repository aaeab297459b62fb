"""The operations that a function asks for, by kind, and how fast this machine does each of them elementwise.

What is counted is what has to be computed: the function's program with constants folded, common subexpressions merged
and nothing fused, so that work which a compiler repeats in several kernels counts once. A kernel that did just that,
one operation after the other with everything in registers, would take the sum of counts times times.
"""

import collections
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.machine import seconds

Mix = Mapping[str, int]

_COUNTED = 17  # elements of the program that is counted, a length that no array of the chain has
_UNFUSED: dict[str, str | bool] = {"xla_disable_hlo_passes": "fusion,fusion-wrapper"}
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


def profile(mix: Mix, n: int, dtype: Any) -> list[dict[str, Any]]:
    """Time of each kind over `n` elements, and its share in the whole, the costliest first.

    Each kind is timed between additions: alone the compiler would find that a quotient of quotients is one division.
    """
    sums = _seconds(["add"] * _REPEATED, n, dtype)
    timed = lambda kind: _seconds(["add", kind] * _REPEATED, n, dtype)
    each = {kind: max(timed(kind) - sums, 0.0) / _REPEATED / _LANES / n for kind in mix}
    whole = sum(each[kind] * count for kind, count in mix.items())
    rows = [
        {"operation": kind, "count": count, "ns_each": 1e9 * each[kind], "share": each[kind] * count / whole}
        for kind, count in mix.items()
    ]
    return sorted(rows, key=lambda row: -row["share"])


def _seconds(kinds: list[str], n: int, dtype: Any) -> float:
    """Seconds of a kernel that does these operations one after the other, on each of the lanes of every element."""

    def run(x: Array, one: Array) -> Array:
        apply = _operations(one)
        lanes = [x + i for i in range(_LANES)]
        for kind in kinds:
            lanes = [apply[kind](lane) for lane in lanes]
        return sum(lanes[1:], lanes[0])

    x, one = jnp.linspace(1.0, 2.0, n, dtype=dtype), jnp.ones((), dtype)
    compiled = jax.jit(run).lower(x, one).compile()
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
