"""Which layouts of a model on a system are worth trying."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel.catalog import ConfigError
from clustermodel.physics.deployment import Layout
from clustermodel.specs import Model, System

AXES = ("tp", "pp", "dp", "ep")
Shape = tuple[int, int, int, int]

_SYSTEMS_TRIED = 4
"""Systems that a replica may span over the network."""


def divisors(n: int) -> list[int]:
    """Divisors of n, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def sizes(system: System) -> list[int]:
    """Accelerators per replica: divisors of the system's count, powers of two below it, multiples over a network.

    Experts and heads come in powers of two; what such replicas leave of a system of 72 is paid for all the same.
    """
    count = int(system.count)
    linked = float(system.accelerator.link_bandwidth) > 0
    powers = [2**k for k in range(count.bit_length()) if 2**k < count]
    within = sorted({*divisors(count), *powers}) if linked else [1]
    networked = linked and float(system.accelerator.scaleout_bandwidth) > 0
    beyond = [count * k for k in range(2, _SYSTEMS_TRIED + 1)] if networked else []
    return within + beyond


def splits(model: Model, n: int) -> Iterable[Shape]:
    """Every (tp, pp, dp, ep) of n accelerators that divides the model evenly.

    tp divides the query heads; at most one stage per layer; attention-data parallelism only where there are
    routed experts, since elsewhere it is another replica; ep is the whole stage, which then divides the
    experts, or 1, which then divides their width.
    """
    heads, layers, experts = int(model.heads), int(model.layers), int(model.n_experts)
    width = int(model.moe_ffn_dim)
    for tp in divisors(n):
        if heads % tp:
            continue
        for pp in divisors(n // tp):
            dp = n // tp // pp
            if pp > layers or (dp > 1 and not experts):
                continue
            stage = tp * dp
            if width % stage == 0:
                yield tp, pp, dp, 1
            if stage > 1 and experts and experts % stage == 0:
                yield tp, pp, dp, stage


def candidates(
    system: System, model: Model, n_accelerators: int | None, fixed: dict[str, int]
) -> list[Shape]:
    """Layouts to try; `fixed` holds the axes that the question names.

    Raises a `ConfigError` that says which named axis divides nothing.
    """
    if n_accelerators is None and {"tp", "pp", "dp"} <= fixed.keys():
        n_accelerators = fixed["tp"] * fixed["pp"] * fixed["dp"]
    asked = [n_accelerators] if n_accelerators else sizes(system)
    if fixed.get("tp") and int(model.heads) % fixed["tp"]:
        raise ConfigError(
            f"--tp {fixed['tp']} does not divide the model's {int(model.heads)} query heads; "
            f"it can be {_listed(divisors(int(model.heads)))}"
        )
    every = [shape for n in asked for shape in splits(model, n)]
    if fixed.get("ep", 1) > 1 and not int(model.n_experts):
        raise ConfigError(f"--ep {fixed['ep']}: the model has no routed experts; leave --ep out")
    named = {AXES.index(axis): value for axis, value in fixed.items()}
    if 3 in named:
        every = sorted({(*shape[:3], named[3]) for shape in every if shape[0] * shape[2] % named[3] == 0})
    found = [shape for shape in every if all(shape[i] == value for i, value in named.items())]
    if not found:
        wanted = ", ".join(f"--{axis} {value}" for axis, value in fixed.items())
        raise ConfigError(
            f"no layout of {_listed(asked)} accelerators has {wanted or 'whole shares'}; "
            "tp x pp x dp must equal --n-accelerators and ep must divide tp x dp"
        )
    return found


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" ..." if len(numbers) > 8 else "")


def stack_layouts(shapes: list[Shape]) -> Layout:
    """Layouts with a leading axis."""
    columns = jnp.asarray(np.asarray(shapes, dtype=float).T)
    return jax.tree.unflatten(jax.tree.structure(Layout(*jnp.ones(len(AXES)))), columns)
