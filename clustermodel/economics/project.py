"""What a project spends and runs over time: capex schedule, capacity in service, running cost, required revenue."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import annuity, exprel
from clustermodel.economics.margin import price_at_margin
from clustermodel.scenarios import Finance, Project
from clustermodel.units import SECONDS_PER_YEAR

Path = Float[Array, " period"]
Edges = Float[Array, " edge"]


def spent_share(project: Project, time: Scalar) -> Scalar:
    """Share of the capex spent by `time` (s): at once, or over `build` at a rate that grows as e^(g t).

    F(t) = (e^(g t) - 1) / (e^(g b) - 1)
    """
    build = jnp.where(project.build > 0, project.build, 1.0)
    elapsed = jnp.clip(time, 0.0, build)
    share = elapsed * exprel(project.growth * elapsed) / (build * exprel(project.growth * build))
    return jnp.where(project.build > 0, share, jnp.where(time >= 0, 1.0, 0.0))


def spent_in_periods(project: Project, edges: Edges) -> Path:
    """Share of the capex spent in each period; what is spent at once is spent in the first."""
    by_end = jax.vmap(spent_share, in_axes=(None, 0))(project, edges[1:])
    return jnp.diff(by_end, prepend=0.0)


def service_share(project: Project, delay: Scalar, time: Scalar) -> Scalar:
    """Share of the planned capacity in service: spent at least lead and delay ago, and not retired."""
    started = time - project.lead - delay
    return spent_share(project, started) - spent_share(project, started - project.life)


def capital(project: Project, memory_uplift: Scalar) -> Scalar:
    """Money to be spent on accelerators, hosts and network (USD), finance leases included.

    K (1 + leases) (1 + memory uplift) (1 - accelerators x custom x (1 - custom price))

    Args:
        project: prices today.
        memory_uplift: rise of the purchase price because of memory, relative.
    """
    custom = project.accelerators * project.custom * (1 - project.custom_price)
    return project.capex * (1 + project.leases) * (1 + memory_uplift) * (1 - custom)


def running_rate(project: Project) -> Scalar:
    """Running cost of the whole in service (USD/s), energy included."""
    return project.opex + project.power * project.electricity


def _charge(rate: Scalar, life: Scalar) -> Scalar:
    """Annual cost of a dollar that earns for `life`; interest alone where it lasts for ever."""
    finite = jnp.isfinite(life)
    years = jnp.where(finite, life, SECONDS_PER_YEAR) / SECONDS_PER_YEAR
    return jnp.where(finite, annuity(rate, years), rate)


def ownership_cost(project: Project, finance: Finance, hardware: Scalar) -> Scalar:
    """Levelized cost of the whole (USD/s): `hardware` (USD) and building at their annuities, and running cost."""
    yearly = hardware * _charge(finance.wacc, project.life)
    yearly += project.facility * _charge(finance.wacc, project.facility_life)
    return yearly / SECONDS_PER_YEAR + running_rate(project)


def required_revenue(project: Project, finance: Finance, hardware: Scalar) -> Scalar:
    """Revenue (USD/s) that pays the ownership cost and leaves the gross margin that investors expect."""
    return price_at_margin(ownership_cost(project, finance, hardware), finance.margin)


def spending(project: Project, hardware: Scalar, edges: Edges) -> Path:
    """Capex of each period between `edges` (USD): hardware and building along the same schedule."""
    return (hardware + project.facility) * spent_in_periods(project, edges)


def write_off(project: Project, finance: Finance, hardware: Scalar, edges: Edges) -> Path:
    """Depreciation of each period, straight line over the book life from the day of spending (USD).

    D(t) = K / L int_{t-L}^t F(s) ds; a book life without end writes nothing off.
    """
    finite = jnp.isfinite(finance.depreciation)
    life = jnp.where(finite, finance.depreciation, 1.0)
    share = jax.vmap(spent_share, in_axes=(None, 0))
    middle = (edges[1:] + edges[:-1]) / 2
    in_books = share(project, middle) - share(project, middle - life)
    amount = (hardware + project.facility) * in_books * jnp.diff(edges) / life
    return jnp.where(finite, amount, 0.0)


def resale(project: Project, hardware: Scalar, delay: Scalar, edges: Edges) -> Path:
    """What is left when accelerators retire, in each period (USD): their resale, the building's unexpired life."""
    started = edges - project.lead - delay - project.life
    retired = jax.vmap(spent_share, in_axes=(None, 0))(project, started)
    finite = jnp.isfinite(project.life) & jnp.isfinite(project.facility_life)
    used = jnp.where(finite, project.life, 1.0) / jnp.where(finite, project.facility_life, 1.0)
    building = project.facility * jnp.maximum(1 - used, 0.0)
    return (project.residual * hardware + building) * jnp.diff(retired)
