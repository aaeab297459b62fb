"""What a path of a scenario is judged by, and scenarios whose inputs are themselves uncertain."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.finance import irr
from clustermodel.economics.finance_metrics import carry, dscr, yearly
from clustermodel.economics.montecarlo import triangular
from clustermodel.economics.project import ownership_cost, required_revenue
from clustermodel.economics.world import Edges, Result, World, draws_needed, draws_of, middles, result
from clustermodel.units import MONTHS_PER_YEAR, SECONDS_PER_YEAR

Path = Float[Array, " period"]


def measure(unit: str, doc: str, low_is_bad: bool = False) -> Any:
    """A field of `Outcome`: its unit at the edge, its meaning, and which tail hurts."""
    return eqx.field(metadata={"unit": unit, "doc": doc, "low_is_bad": low_is_bad})


class Outcome(eqx.Module):
    """Figures of one path; NaN or infinite where a scenario has nothing to measure."""

    loss: Scalar = measure("USD", "headline value of contracts that never becomes revenue")
    loss_share: Scalar = measure("", "the same over the headline value")
    default_loss: Scalar = measure("USD", "part lost to defaults and departures, after re-letting")
    unbilled: Scalar = measure("USD", "part lost to low use and indexed prices of living contracts")
    soft_loss: Scalar = measure("USD", "part that was never firm")
    contract_revenue: Scalar = measure("USD", "revenue from contracts and capacity that came back", True)
    revenue: Scalar = measure("USD", "all revenue", True)
    npv: Scalar = measure("USD", "net present value after tax, without debt", True)
    irr: Scalar = measure("", "annual internal rate of return after tax, without debt", True)
    min_dscr: Scalar = measure("", "least cash flow over debt service of any month", True)
    covenant_breach: Scalar = measure("", "1 where the cover falls below the covenant")
    capex: Scalar = measure("USD", "money spent, finance leases included")
    required_revenue: Scalar = measure(
        "USD/year", "revenue that pays for capital and running cost at the margin"
    )
    coverage: Scalar = measure("", "revenue at full service and today's over the required one", True)
    utilisation: Scalar = measure("", "share of capacity in service that is used", True)
    cost_of_use: Scalar = measure("", "ownership cost of used capacity over its price today")
    delay_cost: Scalar = measure("USD", "carry of idle capital and revenue that comes late")
    memory_price: Scalar = measure("", "price paid for memory over today's")
    memory_saving: Scalar = measure("USD", "what the supply agreement saves against the market", True)
    market_price: Scalar = measure("", "mean market price of capacity over today's contracts", True)


class Series(eqx.Module):
    """What a fan chart shows of one path, by period."""

    revenue: Path
    contract_revenue: Path
    cash: Path
    market_price: Path
    memory_price: Path
    demand: Path


class Uncertain(eqx.Module):
    """A world whose numbers lie in triangular ranges; numbers with the same `source` move together.

    Four worlds of one shape; `source` holds indices into the uniforms of the inputs. Where low is high the number
    is known.
    """

    low: World
    likely: World
    high: World
    source: World


class PathModel(eqx.Module):
    """Maps the uniforms of one path to what it leaves; the model that `montecarlo` runs."""

    uncertain: Uncertain
    edges: Edges
    inputs: int = eqx.field(static=True)

    @property
    def contracts(self) -> int:
        """Contracts in the book."""
        return self.uncertain.likely.book.value.size

    @property
    def draws(self) -> int:
        """Uniforms that a path takes."""
        return self.inputs + draws_needed(self.contracts, self.edges.size - 1)

    def __call__(self, uniforms: Float[Array, " draw"]) -> tuple[Outcome, Series, Float[Array, " input"]]:
        """Outcome, series and the uniforms of the uncertain inputs of one path."""
        chosen, rest = jnp.split(uniforms, [self.inputs])
        world = sampled_world(self.uncertain, chosen)
        found = result(world, draws_of(rest, self.contracts), self.edges)
        return outcome(world, found, self.edges), series(found), chosen


def sampled_world(uncertain: Uncertain, uniforms: Float[Array, " input"]) -> World:
    """One world within the ranges."""
    if uniforms.size == 0:
        return uncertain.likely
    return jax.tree.map(
        lambda index, low, likely, high: triangular(uniforms[index], low, likely, high),
        uncertain.source,
        uncertain.low,
        uncertain.likely,
        uncertain.high,
    )


def series(found: Result) -> Series:
    """The lines of the fan charts."""
    return Series(
        revenue=found.flow.operations.revenue,
        contract_revenue=found.contracts.total,
        cash=found.flow.unlevered,
        market_price=found.prices.rent,
        memory_price=found.prices.memory,
        demand=found.prices.usage,
    )


def outcome(world: World, found: Result, edges: Edges) -> Outcome:
    """Figures of one path."""
    return Outcome(**_losses(world, found), **_returns(world, found, edges), **_costs(world, found, edges))


def _losses(world: World, found: Result) -> dict[str, Scalar]:
    headline, contracts = jnp.sum(world.book.value), found.contracts
    kept, earned = jnp.sum(contracts.kept), jnp.sum(contracts.total)
    loss = headline - earned
    return {
        "loss": loss,
        "loss_share": loss / headline,
        "default_loss": jnp.sum(contracts.planned - contracts.relet - contracts.recovered) - kept,
        "unbilled": kept - jnp.sum(contracts.billed),
        "soft_loss": headline - jnp.sum(found.fate.firm),
        "contract_revenue": earned,
    }


def _returns(world: World, found: Result, edges: Edges) -> dict[str, Scalar]:
    flow, finance = found.flow, world.scenario.finance
    years = middles(edges) / SECONDS_PER_YEAR
    cover = jnp.min(dscr(flow.available, flow.loan))
    return {
        "revenue": jnp.sum(flow.operations.revenue),
        "npv": jnp.sum(flow.unlevered * jnp.exp(-years * jnp.log1p(finance.wacc))),
        "irr": _yearly_irr(flow.unlevered),
        "min_dscr": cover,
        "covenant_breach": jnp.where(cover < jnp.max(world.book.covenant), 1.0, 0.0),
        "capex": jnp.sum(flow.operations.capex),
    }


def _yearly_irr(months: Path) -> Scalar:
    """Internal rate of the sums of whole years; NaN for less than two years."""
    years = months.size // MONTHS_PER_YEAR
    if years < 2:
        return jnp.full((), jnp.nan)
    return irr(yearly(months[: years * MONTHS_PER_YEAR], MONTHS_PER_YEAR))


def _costs(world: World, found: Result, edges: Edges) -> dict[str, Scalar]:
    scenario, path = world.scenario, found.prices
    project, finance = scenario.project, scenario.finance
    served = path.service * jnp.diff(edges)
    in_service = jnp.sum(served)
    needed = required_revenue(project, finance, found.hardware)
    full_rate = jnp.sum(found.contracts.planned) / in_service + project.merchant
    earned_rate = jnp.sum(found.flow.operations.revenue) / in_service
    used = jnp.sum(served * jnp.minimum(path.usage, 1.0)) / in_service
    idle = carry(found.hardware + project.facility, finance.wacc, path.delay / SECONDS_PER_YEAR)
    market = jnp.sum(path.memory * found.flow.operations.capex) / jnp.sum(found.flow.operations.capex)
    return {
        "required_revenue": needed,
        "coverage": (earned_rate + project.revenue_today) / needed,
        "utilisation": used,
        "cost_of_use": ownership_cost(project, finance, found.hardware) / (full_rate * used),
        "delay_cost": idle + full_rate * path.delay,
        "memory_price": found.memory_price,
        "memory_saving": (market - found.memory_price) * scenario.memory.share * project.capex,
        "market_price": jnp.mean(path.rent),
    }
