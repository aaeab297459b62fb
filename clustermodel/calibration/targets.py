"""What the fit compares: log of a predicted time as a function of a row's coefficients, and its gradient."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpy.typing import NDArray

from clustermodel._types import Scalar
from clustermodel.calibration.effects import NAMES, natural_row
from clustermodel.calibration.predict import KERNELS, ROWS, Prediction, arguments, kernel
from clustermodel.catalog import Catalog
from clustermodel.kept import Kept, chunks, joined
from clustermodel.physics.deployment import Deployment

_MS = 1e-3


def _tpot(found: Prediction) -> Scalar:
    return found.tpot


def _ttft(found: Prediction) -> Scalar:
    return found.ttft


def _time_per_token(found: Prediction) -> Scalar:
    return 1 / found.output_rate


TARGETS: dict[str, tuple[str, str, float, Callable[[Prediction], Scalar]]] = {
    "closed tpot": ("closed", "tpot_ms", _MS, _tpot),
    "closed ttft": ("closed", "ttft_ms", _MS, _ttft),
    "static tpot": ("static", "tpot_ms", _MS, _tpot),
    "pools tpot": ("pools", "tpot_ms", _MS, _tpot),
    "pools ttft": ("pools", "ttft_ms", _MS, _ttft),
    "closed time": ("closed", "output_tok_s_per_accelerator", -1.0, _time_per_token),
    "offline time": ("offline", "output_tok_s_per_accelerator", -1.0, _time_per_token),
}
"""Name -> kernel, measured column, factor to seconds (-1: seconds are its inverse), and what is predicted."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Rows of one kernel and quantity, ready to be evaluated at any coefficients."""

    rows: pd.DataFrame
    measured: NDArray[np.float64]  # log seconds
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    gradient: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def target(catalog: Catalog, rows: pd.DataFrame, name: str) -> Target:
    """The rows among `rows` that have this target."""
    kind, column, scale, _ = TARGETS[name]
    mine = rows[(kernel(rows) == kind) & (rows[column] > 0)]
    fixed = jax.device_put(list(chunks(arguments(catalog, mine, "globals", None), ROWS)))
    seconds = mine[column] * scale if scale > 0 else 1 / mine[column]
    many, both = _programs(name)

    def run(function: Callable[..., Any], links: NDArray[np.float64]) -> Any:
        parts = [function(x, *args) for x, args in zip(chunks(links, ROWS), fixed, strict=True)]
        return joined(parts, len(mine))

    measured = np.log(seconds.to_numpy(float))
    return Target(mine, measured, functools.partial(run, many), functools.partial(run, both))


@functools.cache
def _programs(name: str) -> tuple[Kept[Any], Kept[Any]]:
    """Of stacked rows: log of the predicted time, and that with its gradient."""
    kind, _, _, quantity = TARGETS[name]

    def log_time(links: Float[Array, " names"], *args: eqx.Module) -> Scalar:
        return jnp.log(quantity(KERNELS[kind](*(_with_links(arg, links, kind) for arg in args))))

    def sloped(
        links: Float[Array, " names"], *args: eqx.Module
    ) -> tuple[
        Scalar, Float[Array, " names"]
    ]:  # forward mode compiles in a fifth of the time of reverse mode
        along = lambda tangent: jax.jvp(lambda x: log_time(x, *args), (links,), (tangent,))
        return jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(NAMES)))

    return Kept(jax.vmap(log_time), name), Kept(jax.vmap(sloped), name)


def _with_links(part: eqx.Module, links: Float[Array, " names"], kind: str) -> eqx.Module:
    """The argument of a kernel with other coefficients, wherever it holds a deployment."""
    coefficients = natural_row(links)

    def replaced(deployment: Deployment) -> Deployment:
        changed = eqx.tree_at(lambda d: d.coefficients, deployment, coefficients)
        if kind != "offline":
            return changed
        return eqx.tree_at(lambda d: d.engine.max_num_seqs, changed, coefficients.offline_sequences)

    is_deployment = lambda node: isinstance(node, Deployment)
    return jax.tree.map(
        lambda node: replaced(node) if is_deployment(node) else node, part, is_leaf=is_deployment
    )
