"""The volume price over the catalogue price, from published costs of ownership.

Catalogue prices are what one system costs on the street; who owns thousands pays less. One factor for all
systems of an owner is fitted so that bottom-up costs of the accelerator-hour meet the published ones in least
squares of its logarithm. `python -m clustermodel.calibration.fit_prices` prints the fits and what they leave.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pandas as pd
from jaxtyping import Array, Float, Int

from clustermodel import specs
from clustermodel._types import Scalar
from clustermodel.catalog import Catalog, ConfigError, load_catalog, price_quote
from clustermodel.economics.levelized import owned_cost
from clustermodel.units import SECONDS_PER_HOUR

OWNERS = ("hyperscaler", "neocloud")
"""Tables of measurements/ownership.toml, named like the basis of their quotes."""

ITERATIONS = 20
"""Gauss-Newton steps; the residual is nearly linear in the logarithm of the factor, five would do."""

Rows = Float[Array, " row"]


@dataclasses.dataclass(frozen=True)
class PriceFit:
    """The factor, its standard error, the range of factors that meet one system each, and every system."""

    factor: float
    standard_error: float
    low: float
    high: float
    table: pd.DataFrame


def fit_price_factor(catalog: Catalog, owner: str) -> PriceFit:
    """Fit `Terms.price_factor` of an owner on the systems that measurements/ownership.toml names for it."""
    protocol = _protocol(catalog, owner)
    names, n = [*protocol["fitted"], *protocol["held_out"]], len(protocol["fitted"])
    entries = [catalog.entry("systems", name) for name in names]
    parts = [entry.words["accelerator"] for entry in entries]
    quotes = [price_quote(catalog, part, owner, protocol["until"]) for part in parts]
    published = jnp.array([quote.si for quote in quotes])
    costs = _bottom_up(catalog, protocol, specs.stack([entry.spec for entry in entries]))
    factor, error = _least_squares(lambda f: jnp.log(costs(f) / published)[:n])
    own = _linear_root(costs, published)
    table = pd.DataFrame(
        {
            "system": names,
            "date": [quote.date for quote in quotes],
            "fitted": [index < n for index in range(len(names))],
            "published_usd_per_hour": published * SECONDS_PER_HOUR,
            "bottom_up_usd_per_hour": costs(factor) * SECONDS_PER_HOUR,
            "error_pct": 100 * (costs(factor) / published - 1),
            "own_factor": own,
        }
    )
    return PriceFit(float(factor), float(error), float(own[:n].min()), float(own[:n].max()), table)


def typical_it_power(system: specs.System) -> Scalar:
    """IT power of one accelerator in typical use (W): the power a published cost of ownership is for."""
    return system.typical_power / system.count


def _bottom_up(catalog: Catalog, protocol: dict[str, Any], systems: specs.System) -> Callable[[Scalar], Rows]:
    """Cost of the accelerator-second of each system (USD/s) as a function of the price factor."""
    site = catalog.entry("sites", protocol["site"]).spec
    terms = catalog.entry("prices", protocol["terms"]).spec

    def costs(factor: Scalar) -> Rows:
        paid = eqx.tree_at(lambda t: t.price_factor, terms, factor)
        return jax.vmap(lambda system: owned_cost(system, site, paid, typical_it_power(system)).total)(
            systems
        )

    return costs


def _least_squares(residuals: Callable[[Scalar], Rows]) -> tuple[Scalar, Scalar]:
    """The factor with the least sum of squared residuals, and its standard error."""

    def step(_: Int[Array, ""], log_factor: Scalar) -> Scalar:
        value, slope = jax.jvp(lambda y: residuals(jnp.exp(y)), (log_factor,), (jnp.ones_like(log_factor),))
        return log_factor - jnp.dot(slope, value) / jnp.dot(slope, slope)

    factor = jnp.exp(jax.lax.fori_loop(0, ITERATIONS, step, jnp.zeros(())))
    value, slope = jax.jvp(residuals, (factor,), (jnp.ones_like(factor),))
    variance = jnp.dot(value, value) / (value.size - 1)
    return factor, jnp.sqrt(variance / jnp.dot(slope, slope))


def _linear_root(costs: Callable[[Scalar], Rows], published: Rows) -> Rows:
    """The factor at which each cost, linear in it, meets its published value."""
    without, full = costs(jnp.zeros(())), costs(jnp.ones(()))
    return (published - without) / (full - without)


def _protocol(catalog: Catalog, owner: str) -> dict[str, Any]:
    for folder in catalog.folders:
        path = folder / "measurements" / "ownership.toml"
        if path.exists():
            return catalog.table(path)[owner]
    raise ConfigError("measurements/ownership.toml: not in any configs folder; reinstall clustermodel")


def main() -> None:
    """Print the fit of each owner and what it leaves of each published cost."""
    jax.config.update("jax_enable_x64", True)
    catalog = load_catalog()
    for owner in OWNERS:
        fit = fit_price_factor(catalog, owner)
        print(fit.table.round(4).to_string(index=False))
        print(
            f"{owner}: price_factor {fit.factor:.3f}, standard error {fit.standard_error:.3f}; "
            f"one system alone asks for {fit.low:.2f} to {fit.high:.2f}\n"
        )


if __name__ == "__main__":
    main()
