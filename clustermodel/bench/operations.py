"""How many operations a function asks for: read from its jaxpr, loops counted as often as they run.

A compiled program's own count (`cost_analysis`) takes the body of a loop once, however often it runs. Here what is
asked is counted: one for every element of a result, two for a multiply-add of a product, nothing for moving data.
The compiler may do less, where it finds the same value twice.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

_MOVES = {
    "bitcast_convert_type", "broadcast_in_dim", "concatenate", "copy", "copy_p", "device_put", "dynamic_slice",
    "dynamic_update_slice", "expand_dims", "gather", "iota", "pad", "random_wrap", "random_unwrap", "reshape",
    "rev", "scatter", "slice", "squeeze", "stop_gradient", "transpose",
}  # fmt: skip

_DRAW = 115  # Threefry-2x32: 20 rounds of 5 operations, 5 key injections of 3 [Salmon et al. 2011, SC'11]


def operations(function: Callable[..., Any], *args: Any, rounds: float = 1) -> float:
    """Operations of one call; `rounds` is how often a loop runs that stops by itself (`while_loop`)."""
    return _count(jax.make_jaxpr(function)(*args).jaxpr, rounds)


def _count(jaxpr: Any, rounds: float) -> float:
    return sum(_equation(each, rounds) for each in jaxpr.eqns)


def _equation(equation: Any, rounds: float) -> float:
    name, inner = equation.primitive.name, list(_jaxprs(equation.params))
    size = max((math.prod(out.aval.shape) for out in equation.outvars), default=0)
    shape: Any = equation.invars[0].aval.shape if equation.invars else ()
    if inner:
        counts = [_count(each, rounds) for each in inner]
        if name == "cond":
            return max(counts)
        return sum(counts) * {"scan": equation.params.get("length"), "while": rounds}.get(name, 1)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * size * math.prod(shape[axis] for axis in contracted)
    if name == "cholesky":  # n^3 / 3
        return math.prod(shape) * shape[-1] / 3
    if name == "triangular_solve":  # n^2 for every right-hand side
        return size * shape[-1]
    if name.startswith(("reduce_", "arg")):
        return math.prod(shape)
    if name in ("random_bits", "random_fold_in", "threefry2x32"):
        return _DRAW * max(size, 1)
    return 0 if name in _MOVES else size


def _jaxprs(params: Any) -> Iterator[Any]:
    """Programs inside an equation: bodies of loops, branches, calls."""
    for value in params.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            each = getattr(each, "jaxpr", each)
            if hasattr(each, "eqns"):
                yield each
