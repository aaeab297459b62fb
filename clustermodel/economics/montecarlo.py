"""Run a model over many random paths, and say how sure the result is.

The random numbers of a path depend on the seed and the number of the path alone, so that results do not depend on
how paths are cut into blocks or spread over accelerators. Paths come in `REPLICATES` independent groups; errors
are read from the spread between groups, which is right for dependent (antithetic, quasi-random) paths too.
"""

import abc
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar
from clustermodel.economics.lowdiscrepancy import net_point, random_shift

REPLICATES = 16
"""Independent groups of paths."""

NET_DIMENSIONS = 24
"""Leading coordinates that the digital net covers; in many more it is no evener than chance at these counts."""

METHODS = ("pseudo", "antithetic", "quasi")

Uniforms = Float[Array, " draw"]


class Sampling(eqx.Module):
    """How the uniforms of path `index` are made; `paths` is rounded up to whole pairs in every replicate."""

    key: Array
    paths: int = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    method: str = eqx.field(static=True, default="quasi")

    def __check_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"sampling method {self.method!r} is none of {', '.join(METHODS)}")
        if self.paths < 1:
            raise ValueError(f"paths must be at least 1, not {self.paths}")

    @property
    def per_replicate(self) -> int:
        """Paths of one replicate, an even number."""
        return 2 * -(-self.paths // (2 * REPLICATES))

    @property
    def total(self) -> int:
        """Paths that are run."""
        return REPLICATES * self.per_replicate


def uniforms(sampling: Sampling, index: Int[Array, ""]) -> Uniforms:
    """The random numbers of one path, each in the open interval (0, 1)."""
    replicate, member = index // sampling.per_replicate, index % sampling.per_replicate
    key = jax.random.fold_in(sampling.key, replicate)
    mirrored = sampling.method == "antithetic"
    own = jax.random.fold_in(key, member // 2 if mirrored else member)
    draws = jax.random.uniform(own, (sampling.draws,), minval=jnp.finfo(float).eps)
    if mirrored:
        return jnp.where(member % 2 == 1, 1 - draws, draws)
    if sampling.method == "quasi":
        covered = min(NET_DIMENSIONS, sampling.draws)
        shift = random_shift(jax.random.fold_in(key, sampling.per_replicate), covered)
        return jnp.concatenate([net_point(member, shift), draws[covered:]])
    return draws


class AbstractPathModel(eqx.Module):
    """What can be run: a pytree whose arrays are traced, so that one compilation serves all of the same shapes.

    Two steps, so that what is drawn is computed once and not again at each use.
    """

    @abc.abstractmethod
    def prepare(self, uniforms: Uniforms) -> Any:
        """Turn the uniforms of one path into what the model computes on."""

    @abc.abstractmethod
    def __call__(self, prepared: Any) -> Any:
        """Results of one path, a pytree of arrays."""


@eqx.filter_jit
def _prepared(model: AbstractPathModel, sampling: Sampling, indices: Int[Array, " path"]) -> Any:
    return jax.vmap(lambda index: model.prepare(uniforms(sampling, index)))(indices)


@eqx.filter_jit
def _results(model: AbstractPathModel, prepared: Any) -> Any:
    return jax.vmap(model)(prepared)


def blocks(model: AbstractPathModel, sampling: Sampling, size: int) -> Iterator[Any]:
    """Outputs of the model, `size` paths at a time, on all accelerators at hand; memory is that of one block.

    Args:
        model: what is run on each path.
        sampling: how paths are drawn.
        size: paths of a block; rounded up to a multiple of the accelerators.
    """
    devices = np.asarray(jax.devices())
    size = -(-size // devices.size) * devices.size
    spread = NamedSharding(Mesh(devices, ("path",)), PartitionSpec("path"))
    for start in range(0, sampling.total, size):
        indices = jax.device_put(jnp.arange(start, start + size), spread)
        kept = min(size, sampling.total - start)
        result = _results(model, _prepared(model, sampling, indices))
        yield jax.tree.map(lambda leaf, kept=kept: leaf[:kept], result)


def simulate(model: AbstractPathModel, sampling: Sampling, size: int) -> Any:
    """All outputs of the model, one leading axis of `sampling.total` paths."""
    parts = list(blocks(model, sampling, size))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


class Summary(eqx.Module):
    """A sample in few numbers, with standard errors of the mean and of `cvar`.

    `var` is exceeded in the bad direction by 1 - level of all paths, `cvar` is the mean of those.
    """

    mean: Scalar
    p10: Scalar
    p50: Scalar
    p90: Scalar
    var: Scalar
    cvar: Scalar
    se: Scalar
    cvar_se: Scalar


def tail(sample: Float[Array, " path"], level: Scalar) -> tuple[Scalar, Scalar]:
    """Value at risk and conditional value at risk of losses: high is bad.

    CVaR = VaR + E[max(L - VaR, 0)] / (1 - a), right for samples with ties
    [Rockafellar & Uryasev 2002, Conditional value-at-risk for general loss distributions, eq. 24]
    """
    var = jnp.quantile(sample, level)
    return var, var + jnp.mean(jnp.maximum(sample - var, 0.0)) / (1 - level)


def standard_error(groups: Float[Array, " replicate"]) -> Scalar:
    """Standard error of the mean of independent groups' results."""
    return jnp.std(groups, ddof=1) / jnp.sqrt(groups.size)


@eqx.filter_jit
def summary(sample: Float[Array, " path"], level: Scalar, low_is_bad: Scalar) -> Summary:
    """Mean, quantiles and tail of a sample from `simulate`; the tail is the bad one."""
    sign = jnp.where(low_is_bad > 0, -1.0, 1.0)
    groups = jnp.reshape(sample, (REPLICATES, -1))
    var, cvar = tail(sign * sample, level)
    group_cvar = jax.vmap(lambda group: tail(sign * group, level)[1])(groups)
    p10, p50, p90 = jnp.quantile(sample, jnp.asarray([0.1, 0.5, 0.9]))
    return Summary(
        mean=jnp.mean(sample),
        p10=p10,
        p50=p50,
        p90=p90,
        var=sign * var,
        cvar=sign * cvar,
        se=standard_error(jnp.mean(groups, axis=1)),
        cvar_se=standard_error(group_cvar),
    )


def fan(paths: Float[Array, "path period"]) -> Float[Array, "quantile period"]:
    """P10, P50 and P90 of every period."""
    return jnp.quantile(paths, jnp.asarray([0.1, 0.5, 0.9]), axis=0)


def ranks(values: Float[Array, " path"]) -> Float[Array, " path"]:
    """Place of each value in ascending order from 0; equal ones share the mean of their places."""
    ascending = jnp.sort(values)
    below, up_to = (jnp.searchsorted(ascending, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1).astype(float) / 2


def rank_correlation(
    inputs: Float[Array, "path input"], output: Float[Array, " path"]
) -> Float[Array, " input"]:
    """Spearman's correlation of each input with the output: which unknown drives the answer; 0 for a constant."""
    places, target = jax.vmap(ranks, in_axes=1, out_axes=1)(inputs), ranks(output)
    centred, aim = places - jnp.mean(places, axis=0, keepdims=True), target - jnp.mean(target)
    spread = jnp.sqrt(jnp.sum(centred**2, axis=0) * jnp.sum(aim**2))
    return jnp.sum(centred * aim[:, None], axis=0) / jnp.where(spread > 0, spread, 1.0)


def triangular(uniform: Scalar, low: Scalar, mode: Scalar, high: Scalar) -> Scalar:
    """A number between `low` and `high`, most likely `mode`, from a uniform; `mode` where there is no range.

    Inverse of F(x) = (x - a)^2 / ((b - a)(c - a)) below the mode c, and its mirror above.
    """
    ranged = high > low
    start, width = jnp.where(ranged, low, 0.0), jnp.where(ranged, high - low, 1.0)
    peak = jnp.where(ranged, mode - low, 0.0)
    below = start + jnp.sqrt(uniform * width * peak)
    above = start + width - jnp.sqrt((1 - uniform) * width * (width - peak))
    return jnp.where(ranged, jnp.where(uniform * width < peak, below, above), mode)
