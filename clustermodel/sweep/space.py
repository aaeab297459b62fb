"""All combinations of replicas, loads and prices, and the one that a number stands for.

A point is a number in mixed radix: replica (system, precision and layout), concurrency, input length, output length,
price of the system, price of energy, the last running fastest. What all replicas share stays one number in the
program; only what differs is looked up, so a sweep over layouts alone looks up four. What none of them has, experts or
adapters say, is 0 when the program is compiled, and what follows from it is not computed.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from clustermodel._types import Scalar
from clustermodel.assembly.layouts import Shape, candidates
from clustermodel.catalog import Catalog, ConfigError, Entry
from clustermodel.chain.evaluate import Evaluation, Money, evaluate
from clustermodel.chain.question import Question
from clustermodel.chain.search import concurrencies
from clustermodel.chain.setup import Setup, set_up
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load
from clustermodel.serving.placement import full_batch

ALLOCATION = "time_weighted"
"""The one allocation of a sweep, the default: it sums to the bill, as any does that all tokens pay."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """Values to combine; an empty axis keeps what the question says."""

    precisions: Sequence[str] = ()
    concurrency: Sequence[float] = ()  # empty: 1, 2, 3, 4, 6, 8 ... up to what runs at once
    isl: Sequence[float] = ()
    osl: Sequence[float] = ()
    price_factor: Sequence[float] = (1.0,)  # on the price of each system
    energy_factor: Sequence[float] = (1.0,)  # on the price of electricity


class Replica(NamedTuple):
    """What a row of the table of replicas is, in words."""

    system: str
    precision: str
    shape: Shape


class Numbers(NamedTuple):
    """The axes as arrays."""

    concurrency: Any
    isl: Any
    osl: Any
    price_factor: Any
    energy_factor: Any


class Absent(eqx.Module):
    """A number, or some, that is 0 at every point: known when the program is compiled."""

    shape: tuple[int, ...] = eqx.field(static=True)


class Space(eqx.Module):
    """Every combination of some axes; a pytree whose arrays are as long as the axes, never as their product."""

    varying: Any  # leaves of (deployment, money) that differ among replicas, with a leading axis
    shared: Any  # the leaves that do not, `Absent` where they are 0
    load: Any  # a `Load`, likewise
    axes: Numbers
    replicas: tuple[Replica, ...] = eqx.field(static=True)
    full: bool = eqx.field(static=True)  # whether a concurrency beyond what runs at once stands for what does

    @property
    def lengths(self) -> tuple[int, ...]:
        """Length of every axis."""
        return (len(self.replicas), *(len(axis) for axis in self.axes))

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(self.lengths)

    @property
    def extent(self) -> tuple[int, int, int]:
        """How many replicas, loads of each, and prices of each load."""
        replicas, concurrency, isl, osl, *prices = self.lengths
        return replicas, concurrency * isl * osl, math.prod(prices)

    @property
    def group(self) -> NDArray[np.int32]:
        """Which system each replica belongs to, as a number."""
        names = self.systems
        return np.asarray([names.index(replica.system) for replica in self.replicas], np.int32)

    @property
    def systems(self) -> list[str]:
        """Names of the systems, in the order asked."""
        return list(dict.fromkeys(replica.system for replica in self.replicas))

    def position(self, index: Array) -> tuple[Array, ...]:
        """Place on every axis of the point with a number."""
        places = []
        for length in reversed(self.lengths):
            places.append(index % length)
            index = index // length
        return tuple(reversed(places))

    def evaluate(self, index: Array) -> tuple[Evaluation, Scalar]:
        """The point with a number, from silicon to money, and its requests in flight."""
        row, *rest = self.position(index)
        inputs = self.inputs(row, Numbers(*(axis[i] for axis, i in zip(self.axes, rest, strict=True))))
        return evaluate(*inputs), inputs[1].concurrency

    def inputs(self, row: Array, x: Numbers) -> tuple[Deployment, Load, Money]:
        """Replica number `row` with the values `x`, as the chain takes it."""
        varying = jax.tree.map(lambda leaf: leaf[row], self.varying)
        shared, load = _with_zeros((self.shared, self.load), x.isl.dtype)
        deployment, money = eqx.combine(varying, shared)
        load = eqx.tree_at(lambda l: (l.concurrency, l.isl, l.osl), load, (x.concurrency, x.isl, x.osl))
        priced = eqx.tree_at(lambda d: d.system.price, deployment, deployment.system.price * x.price_factor)
        if self.full:
            most = jnp.floor(full_batch(priced, load))
            load = eqx.tree_at(lambda l: l.concurrency, load, jnp.minimum(load.concurrency, most))
        electricity = money.site.electricity * x.energy_factor
        return priced, load, eqx.tree_at(lambda m: m.site.electricity, money, electricity)

    def words(self, index: int) -> Mapping[str, Any]:
        """What the point with a number is, as a record."""
        row, *rest = np.unravel_index(index, self.lengths)
        replica = self.replicas[int(row)]
        numbers = {
            name: float(axis[i]) for name, axis, i in zip(Numbers._fields, self.axes, rest, strict=True)
        }
        layout = dict(zip(("tp", "pp", "dp", "ep"), replica.shape, strict=True))
        return {"system": replica.system, "precision": replica.precision, "layout": layout, **numbers}


def space(catalog: Catalog, question: Question, systems: Sequence[str | Entry[Any]], axes: Axes) -> Space:
    """Every layout of a model on some systems at all values of `axes`."""
    _refuse_what_a_sweep_leaves_out(question, axes)
    rows: list[tuple[Deployment, Money]] = []
    replicas: list[Replica] = []
    setup = None
    for system in systems:
        for precision in axes.precisions or (question.precision,):
            setup = set_up(catalog, dataclasses.replace(question, system=system, precision=precision))
            for shape in candidates(
                setup.system.spec, setup.model.spec, question.n_accelerators, question.fixed_axes
            ):
                rows.append((setup.deployment(Layout(*map(jnp.asarray, map(float, shape)))), setup.money))
                replicas.append(Replica(setup.system.slug, setup.precision.label, shape))
    if setup is None:
        raise ConfigError("systems is empty; name at least one")
    varying, shared = _divided(rows)
    load = setup.load(jnp.ones(()))
    full = len(axes.concurrency) == 0 and question.concurrency is None
    return Space(
        varying, _without_zeros(shared), _without_zeros(load), _numbers(setup, axes), tuple(replicas), full
    )


def _refuse_what_a_sweep_leaves_out(question: Question, axes: Axes) -> None:
    if question.rate is not None:
        raise ConfigError("--rate: a sweep is over requests in flight; give --concurrency, or neither")
    if question.disaggregated:
        raise ConfigError(
            "pools of their own for prefill and decode (--allocation disaggregated, --prefill-..., "
            "--decode-workers) are not swept; leave them out, or leave --exhaustive out"
        )
    if question.allocation != ALLOCATION:
        raise ConfigError(
            f"--allocation {question.allocation}: a sweep compares the price of all tokens together; leave it "
            "out, or ask `cost` or `compare`"
        )
    factors = {"--price-factors": axes.price_factor, "--energy-factors": axes.energy_factor}
    moved = [option for option, values in factors.items() if np.any(np.asarray(values) != 1)]
    if moved and question.cost_basis != "bottom_up":
        raise ConfigError(
            f"{' and '.join(moved)}: a dated price (--cost-basis {question.cost_basis}) is all in and moves with "
            "neither the price of a system nor that of energy; leave them out, or use bottom_up"
        )


def _without_zeros(tree: Any) -> Any:
    """`Absent` in place of every leaf that is 0 throughout."""
    return jax.tree.map(lambda leaf: leaf if np.any(np.asarray(leaf)) else Absent(np.shape(leaf)), tree)


def _with_zeros(tree: Any, dtype: Any) -> Any:
    """Zeros in place of every `Absent`."""
    absent = lambda node: isinstance(node, Absent)
    return jax.tree.map(
        lambda node: jnp.zeros(node.shape, dtype) if absent(node) else node, tree, is_leaf=absent
    )


def _divided(rows: Sequence[tuple[Deployment, Money]]) -> tuple[Any, Any]:
    """Leaves that differ among the rows, stacked, and those that do not, once."""
    placed = {jax.tree.structure(row) for row in rows}
    if len(placed) > 1:
        raise ConfigError(
            "some systems keep running data in farther memories and some do not; sweep them one after the other"
        )
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
    differs = jax.tree.map(lambda leaf: bool(np.any(np.asarray(leaf) != np.asarray(leaf)[:1])), stacked)
    varying = eqx.filter(stacked, differs)
    return varying, eqx.filter(rows[0], jax.tree.map(lambda each: not each, differs))


def _numbers(setup: Setup, axes: Axes) -> Numbers:
    most = float(setup.engine.spec.max_num_seqs)
    asked = setup.question.concurrency
    values = {
        "concurrency": list(axes.concurrency) or ([asked] if asked else concurrencies(most)),
        "isl": list(axes.isl) or [setup.isl],
        "osl": list(axes.osl) or [setup.osl],
        "price_factor": axes.price_factor,
        "energy_factor": axes.energy_factor,
    }
    for name, given in values.items():
        least = 1.0 if name in ("isl", "osl") else 0.0
        if not (len(given) and np.all(np.isfinite(given)) and np.min(given) >= least and np.min(given) > 0):
            kind = "numbers of tokens of at least 1" if least else "positive numbers"
            raise ConfigError(f"{name}: write {kind}, one or more")
    longest = max(values["isl"]) + max(values["osl"])
    if longest > float(setup.model.spec.context):
        raise ConfigError(
            f"the longest input and output, {longest:g} tokens, exceed the context of {setup.model.name}, "
            f"{float(setup.model.spec.context):g}; shorten one of them"
        )
    return Numbers(**{name: jnp.asarray(given, dtype=float) for name, given in values.items()})
