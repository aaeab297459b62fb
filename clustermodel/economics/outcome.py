"""What a path of a scenario is judged by, and scenarios whose inputs are themselves uncertain."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar
from clustermodel.economics.finance import LARGEST_LOG_GROWTH, internal_rate
from clustermodel.economics.finance_metrics import carry, dscr
from clustermodel.economics.montecarlo import AbstractPathModel, triangular
from clustermodel.economics.project import ownership_cost, required_revenue
from clustermodel.economics.world import (
    LONE_DRAWS,
    Draws,
    Edges,
    Result,
    World,
    draws_needed,
    draws_of,
    middles,
    result,
)
from clustermodel.units import SECONDS_PER_YEAR

Path = Float[Array, " period"]

ROUNDING = 1e-9
"""A cover that misses the covenant by less is on it."""

SUM_ROUNDING = 1e-12
"""What sums over a few hundred months leave where nothing is left, and some more."""


def measure(unit: str, doc: str, low_is_bad: bool = False, needs: str = "") -> Any:
    """A field of `Outcome`: its unit at the edge, its meaning, which tail hurts, and what there must be to measure."""
    return eqx.field(metadata={"unit": unit, "doc": doc, "low_is_bad": low_is_bad, "needs": needs})


class Outcome(eqx.Module):
    """Figures of one path; NaN or infinite where a scenario has nothing to measure."""

    loss: Scalar = measure("USD", "headline value of contracts that never becomes revenue")
    loss_share: Scalar = measure(
        "", "the same over the headline value", needs="contracts that are worth something"
    )
    default_loss: Scalar = measure("USD", "part lost to defaults and departures, after re-letting")
    unbilled: Scalar = measure("USD", "part lost to low use and indexed prices of living contracts")
    soft_loss: Scalar = measure("USD", "part that was never firm")
    contract_revenue: Scalar = measure("USD", "revenue from contracts and capacity that came back", True)
    revenue: Scalar = measure("USD", "all revenue", True)
    npv: Scalar = measure("USD", "net present value after tax, without debt", True)
    irr: Scalar = measure(
        "",
        "annual internal rate of return after tax, without debt",
        True,
        "money that is spent: project.capex",
    )
    min_dscr: Scalar = measure(
        "",
        "least cash flow over debt service of any month",
        True,
        "debt: finance.base_dscr, capex and contracts",
    )
    covenant_breach: Scalar = measure("", "1 where the cover falls below the covenant")
    capex: Scalar = measure("USD", "money spent, finance leases included")
    required_revenue: Scalar = measure(
        "USD/year", "revenue that pays for capital and running cost at the margin"
    )
    coverage: Scalar = measure(
        "",
        "revenue at full service and today's over the required one",
        True,
        "costs to cover: project.capex or opex",
    )
    utilisation: Scalar = measure("", "share of capacity in service that is used", True)
    cost_of_use: Scalar = measure(
        "", "ownership cost of used capacity over its price today", needs="capacity that is sold and used"
    )
    delay_cost: Scalar = measure("USD", "carry of idle capital and revenue that comes late")
    memory_price: Scalar = measure("", "price paid for memory over today's")
    memory_saving: Scalar = measure(
        "USD", "what the supply agreement saves against the market", True, "a purchase: project.capex"
    )
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

    `low`, `high` and `source`, the index of the uniform that decides, are in the order of `ravel_pytree(likely)`.
    Where low is high the number is known.
    """

    likely: World
    low: Float[Array, " number"]
    high: Float[Array, " number"]
    source: Int[Array, " number"]


class Prepared(eqx.Module):
    """One path before it runs: the numbers of its world in a row, its draws, and what chose the numbers."""

    numbers: Float[Array, " number"]
    draws: Draws
    chosen: Float[Array, " input"]


class PathModel(AbstractPathModel):
    """Maps the uniforms of one path to what it leaves; the model that `montecarlo` runs.

    `obligors` numbers the buyer of each contract: a buyer defaults on all of its contracts at once, at the
    hazard of the first. `inputs` counts the uniforms that the uncertain numbers share.
    """

    uncertain: Uncertain
    obligors: Int[Array, " contract"]
    edges: Edges
    inputs: int = eqx.field(static=True)

    @property
    def draws(self) -> int:
        """Uniforms that a path takes."""
        return self.inputs + draws_needed(self.obligors.size, self.edges.size - 1)

    def prepare(self, uniforms: Float[Array, " draw"]) -> Prepared:
        """Choose the uncertain numbers and give the other random numbers their meaning."""
        lone, chosen, rest = jnp.split(uniforms, [LONE_DRAWS, LONE_DRAWS + self.inputs])
        draws = draws_of(jnp.concatenate([lone, rest]), self.obligors)
        return Prepared(_chosen_numbers(self.uncertain, chosen), draws, chosen)

    def __call__(self, prepared: Prepared) -> tuple[Outcome, Series, Float[Array, " input"]]:
        """Outcome, series and the uniforms of the uncertain inputs of one path."""
        world = ravel_pytree(self.uncertain.likely)[1](prepared.numbers)
        found = result(world, prepared.draws, self.edges)
        return outcome(world, found, self.edges), series(found), prepared.chosen


def _chosen_numbers(uncertain: Uncertain, uniforms: Float[Array, " input"]) -> Float[Array, " number"]:
    """The numbers of one world within their ranges, in the order of `ravel_pytree`."""
    likely, _ = ravel_pytree(uncertain.likely)
    if uniforms.size == 0:
        return likely
    return jax.vmap(triangular)(uniforms[uncertain.source], uncertain.low, likely, uncertain.high)


def certain(world: World) -> Uncertain:
    """A world in which every number is known."""
    flat, _ = ravel_pytree(world)
    return Uncertain(world, flat, flat, jnp.zeros(flat.shape, dtype=int))


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
    planned, back = jnp.sum(contracts.planned), jnp.sum(contracts.relet + contracts.recovered)
    loss = _beyond_rounding(headline - earned, headline)
    return {
        "loss": loss,
        "loss_share": loss / headline,
        "default_loss": _beyond_rounding(planned - back - kept, headline),
        "unbilled": _beyond_rounding(kept - jnp.sum(contracts.billed), headline),
        "soft_loss": headline - jnp.sum(found.fate.firm),
        "contract_revenue": earned,
    }


def _beyond_rounding(difference: Scalar, whole: Scalar) -> Scalar:
    """The difference of sums as large as `whole`; none where rounding alone could have left it."""
    return jnp.where(jnp.abs(difference) > SUM_ROUNDING * whole, difference, 0.0)


def _returns(world: World, found: Result, edges: Edges) -> dict[str, Scalar]:
    flow, finance = found.flow, world.scenario.finance
    years = middles(edges) / SECONDS_PER_YEAR
    cover = jnp.min(dscr(flow.available, flow.loan))
    return {
        "revenue": jnp.sum(flow.operations.revenue),
        "npv": jnp.sum(flow.unlevered * jnp.exp(-years * jnp.log1p(finance.wacc))),
        "irr": annual_irr(flow.unlevered, years),
        "min_dscr": cover,
        "covenant_breach": jnp.where(cover < jnp.max(world.book.covenant) * (1 - ROUNDING), 1.0, 0.0),
        "capex": jnp.sum(flow.operations.capex),
    }


def annual_irr(flows: Path, years: Path) -> Scalar:
    """Internal rate at which `npv` is nothing: it discounts the same flows at the same times.

    Where the flows are worth less than nothing at every rate it is -1, all is lost; where they are worth more at
    every rate, the largest that is looked for, e^4 - 1; without an outlay there is no rate, NaN.
    """
    found = internal_rate(flows, years)
    bound = jnp.where(jnp.sum(flows) < 0, -1.0, jnp.expm1(LARGEST_LOG_GROWTH))
    return jnp.where(jnp.any(flows < 0), jnp.where(jnp.isnan(found), bound, found), jnp.nan)


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
        "memory_saving": (market - found.memory_price) * scenario.memory_market.share * project.capex,
        "market_price": jnp.mean(path.rent),
    }
