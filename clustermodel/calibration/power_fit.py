"""Fit board-power coefficients on whole tables, and say how well they predict models that they have not seen.

`python -m clustermodel.calibration.power_fit` repeats the fit of configs/calibration/power.toml.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpy.typing import NDArray

from clustermodel._types import Scalar
from clustermodel.calibration.power import fitted_tables, written_number
from clustermodel.calibration.power_features import Activities, Rows, activities
from clustermodel.calibration.power_rows import power_rows
from clustermodel.catalog import Catalog, load_catalog
from clustermodel.kept import Kept
from clustermodel.physics.power import BoardPower

Vector = Float[Array, " parameters"]

SCALE = 0.05
"""Relative error beyond which a row counts linearly, not by its square (soft L1)."""
STEPS = 60
DAMPING = 1e-2
BLOCK = 512
"""Rows are filled up to a multiple of this, with no weight, so that all fits share one compiled program."""
CENTRE = np.array([np.log(0.2), np.log(0.85), np.log(8.0), np.log(1.3), 0.0])
WIDTH = np.array([0.5, 0.3, 0.8, 0.6, 0.1])
"""Weak prior of the parameters of `board`: it matters only where the rows of a board say little."""
FITTED = ("awake", "saturated", "flops_weight", "bytes_weight", "multi_accelerator")


class Fixed(eqx.Module):
    """What is not fitted: the unit of power, measured floors, the cap (W) and padding."""

    tdp: Scalar
    idle: Scalar
    stalled: Scalar
    cap: Scalar
    padding_rows: Scalar


@dataclasses.dataclass(frozen=True)
class Measured:
    """Rows of one kind of board."""

    does: Activities
    power: Rows  # W
    models: np.ndarray
    series: np.ndarray  # rows of one deployment at different batches


@dataclasses.dataclass(frozen=True)
class Fit:
    """Coefficients of one kind of board and their errors: as fitted, and on models left out of the fit."""

    board: str
    coefficients: BoardPower
    fitted: dict[str, float]
    left_out: dict[str, float]


def board(theta: Vector, fixed: Fixed) -> BoardPower:
    """Coefficients of a parameter vector: logs of awake / TDP, of the rise / TDP, of the weights; multi / TDP."""
    awake = jnp.exp(theta[0]) * fixed.tdp
    return BoardPower(
        idle=fixed.idle,
        stalled=fixed.stalled,
        awake=awake,
        saturated=awake + jnp.exp(theta[1]) * fixed.tdp,
        flops_weight=jnp.exp(theta[2]),
        bytes_weight=jnp.exp(theta[3]),
        multi_accelerator=theta[4] * fixed.tdp,
        cap=fixed.cap,
        padding_rows=fixed.padding_rows,
    )


def _residuals(theta: Vector, fixed: Fixed, does: Activities, power: Rows, weights: Rows) -> Array:
    """Square roots of the soft-L1 loss of relative errors, and of the prior: their squares add to the cost."""
    watts = jax.vmap(Activities.power, in_axes=(0, None))(does, board(theta, fixed))
    error = (watts / power - 1) / SCALE
    soft = error * jnp.sqrt(2 / (jnp.sqrt(1 + error**2) + 1))  # 2 (sqrt(1 + e^2) - 1), smooth at 0
    return jnp.concatenate([weights * soft, (theta - CENTRE) / WIDTH])


@Kept
def _fit(fixed: Fixed, does: Activities, power: Rows, weights: Rows) -> Vector:
    """Levenberg-Marquardt from the centre of the prior."""
    residuals = functools.partial(_residuals, fixed=fixed, does=does, power=power, weights=weights)

    def step(carry: tuple[Vector, Array], _: None) -> tuple[tuple[Vector, Array], None]:
        theta, damping = carry
        r, jacobian = residuals(theta), jax.jacfwd(residuals)(theta)
        normal = jacobian.T @ jacobian
        normal = normal + damping * jnp.diag(jnp.diag(normal))
        tried = theta - jnp.linalg.solve(normal, jacobian.T @ r)
        better = jnp.sum(residuals(tried) ** 2) < jnp.sum(r**2)
        damping = jnp.where(better, damping / 3, damping * 4)
        return (jnp.where(better, tried, theta), damping), None

    start = (jnp.asarray(CENTRE), jnp.asarray(DAMPING))
    return jax.lax.scan(step, start, None, length=STEPS)[0][0]


def _weighted(rows: Measured, weights: NDArray[np.float64], fixed: Fixed) -> BoardPower:
    filler = -len(weights) % BLOCK

    def longer(leaf: Array) -> Array:
        return jnp.concatenate([leaf, jnp.broadcast_to(leaf[:1], (filler,))])

    does, power = jax.tree.map(longer, (rows.does, rows.power))
    return board(_fit(fixed, does, power, jnp.asarray(np.pad(weights, (0, filler)))), fixed)


def fit_board(rows: Measured, fixed: Fixed) -> BoardPower:
    """Coefficients that minimise the soft-L1 loss of relative errors over all rows."""
    return _weighted(rows, np.ones(len(rows.power)), fixed)


def predicted(coefficients: BoardPower, does: Activities) -> NDArray[np.float64]:
    """Mean board power of every row (W per accelerator)."""
    return np.asarray(jax.vmap(Activities.power, in_axes=(0, None))(does, coefficients))


def leave_one_model_out(rows: Measured, fixed: Fixed) -> NDArray[np.float64]:
    """Power of every row (W) predicted by a fit that has seen no row of its model."""
    watts = np.zeros(len(rows.models))
    for model in np.unique(rows.models):
        out = rows.models == model
        watts[out] = predicted(_weighted(rows, 1.0 - out, fixed), rows.does)[out]
    return watts


def one_point_scaled(coefficients: BoardPower, rows: Measured) -> pd.DataFrame:
    """Scale the model by the middle row of each series of at least three, and predict its other rows."""
    frame = pd.DataFrame({"series": rows.series, "measured": np.asarray(rows.power)})
    frame["predicted"] = predicted(coefficients, rows.does)
    frame = frame[frame.groupby("series")["measured"].transform("size") >= 3]
    place = frame.groupby("series").cumcount()
    middle = place == frame.groupby("series")["measured"].transform("size") // 2
    factor = (frame["measured"] / frame["predicted"])[middle]
    factor.index = frame["series"][middle]
    frame["predicted"] = np.minimum(frame["predicted"] * frame["series"].map(factor), float(coefficients.cap))
    return frame[~middle]


def score(predicted: Any, measured: Any) -> dict[str, float]:
    """Median and 90th percentile of |error| and the median error, in percent."""
    error = 100 * (np.asarray(predicted) / np.asarray(measured) - 1)
    size = np.abs(error)
    return {
        "n": float(len(error)),
        "median_abs_pct": float(np.median(size)),
        "p90_abs_pct": float(np.percentile(size, 90)),
        "bias_pct": float(np.median(error)),
    }


def measured(rows: pd.DataFrame, does: Activities, at: NDArray[np.int_]) -> Measured:
    """The rows at positions `at`, ready to be fitted; `does` holds the activities of all `rows`."""
    chosen = rows.iloc[at]
    series = chosen[["system", "family", "task", "n_accelerators", "ep"]].astype(str).agg("|".join, axis=1)
    return Measured(
        jax.tree.map(lambda leaf: leaf[jnp.asarray(at)], does),
        jnp.asarray(chosen["power_w"].to_numpy(float)),
        chosen["model"].to_numpy(str),
        series.to_numpy(str),
    )


def training_rows(rows: pd.DataFrame, table: Mapping[str, Any]) -> NDArray[np.int_]:
    """Positions of the rows that a table of power.toml is fitted on, in order of batch within a series.

    Those of its systems and sources, without speculation and without queues.

    Left out, with their reasons: sixteen ML.ENERGY rows of attention data parallelism (one model, whose boards
    stand near the cap at every batch while throughput per accelerator stays below a tenth of its TP twin);
    pools where the table says so (telemetry of the dump then covers unequal shares of the pools).
    """
    kept = rows["system"].isin(table["systems"]) & rows["source"].isin(table["sources"])
    kept &= ~rows["speculation"].str.startswith("mtp") & rows["flag"].ne("queueing")
    kept &= ~(rows["source"].eq("mlenergy-v3") & rows["dp"].gt(1))
    if not table.get("pools", True):
        kept &= rows["disaggregated"].eq(0)
    order = rows.reset_index(drop=True)[kept.to_numpy()].sort_values(["family", "n_accelerators", "batch"])
    return order.index.to_numpy()


def fixed_numbers(table: Mapping[str, Any]) -> Fixed:
    """The part of a table that is measured or published, not fitted."""
    names = {"tdp": "W", "idle": "W", "stalled": "W", "cap": "W", "padding_rows": ""}
    return Fixed(**{name: jnp.asarray(written_number(table[name], unit)) for name, unit in names.items()})


def fits(catalog: Catalog) -> Iterator[Fit]:
    """Repeat the fit of every fitted table of power.toml."""
    rows = power_rows(catalog)
    does = functools.cache(lambda padding_rows: activities(catalog, rows, padding_rows))
    for name, table in fitted_tables(catalog).items():
        fixed = fixed_numbers(table)
        data = measured(rows, does(float(fixed.padding_rows)), training_rows(rows, table))
        coefficients = fit_board(data, fixed)
        yield Fit(
            name,
            coefficients,
            score(predicted(coefficients, data.does), data.power),
            score(leave_one_model_out(data, fixed), data.power),
        )


def main() -> None:
    """Print coefficients as power.toml writes them, with errors as fitted and on models left out."""
    jax.config.update("jax_enable_x64", True)
    for fit in fits(load_catalog()):
        print(f"[{fit.board}]  # {fit.fitted['n']:.0f} rows")
        for name in FITTED:
            print(f"{name} = {float(getattr(fit.coefficients, name)):.5g}")
        for label, errors in (("fitted", fit.fitted), ("model left out", fit.left_out)):
            print(
                "# {}: median {median_abs_pct:.1f} %, p90 {p90_abs_pct:.1f} %, bias {bias_pct:+.1f} %".format(
                    label, **errors
                )
            )


if __name__ == "__main__":
    main()
