"""One path of a scenario: what the market does, and the cash flow of a book of contracts and a project in it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar
from clustermodel.economics import processes
from clustermodel.economics.book import (
    BookRevenue,
    Fate,
    Market,
    after_first_default,
    book_revenue,
    default_times,
    firm_value,
)
from clustermodel.economics.cashflow import CashFlow, Cover, Operations, Taxation, cash_flow, planned_loan
from clustermodel.economics.contracts import settled_price
from clustermodel.economics.demand import independent_demand, reflexive_demand
from clustermodel.economics.finance_metrics import carry
from clustermodel.economics.project import (
    capital,
    resale,
    running_rate,
    service_share,
    spending,
    spent_in_periods,
    write_off,
)
from clustermodel.scenarios import Contract, Scenario
from clustermodel.units import SECONDS_PER_YEAR

Path = Float[Array, " period"]
Edges = Float[Array, " edge"]

LONE_DRAWS = 4
"""Random numbers of a path without a period or a contract: credit factor, rent level, demand, slip."""

PERIOD_DRAWS = 5
"""Random numbers of each period: rent, memory, token price, jump, regime of demand."""


class World(eqx.Module):
    """What a path is computed from: the scenario, a stacked book of contracts, and a supply agreement."""

    scenario: Scenario
    book: Contract
    supply: Contract


class Draws(eqx.Module):
    """The random numbers of one path by meaning: standard normals, and uniforms for `firm`, `jump` and `regime`.

    `obligors` numbers the buyer of each contract, whose draw in `own` is the same for all of them.
    """

    factor: Scalar
    level: Scalar
    demand: Scalar
    slip: Scalar
    own: Float[Array, " contract"]
    firm: Float[Array, " contract"]
    rent: Path
    memory: Path
    token: Path
    jump: Path
    regime: Path
    obligors: Int[Array, " contract"]


class Prices(eqx.Module):
    """What happens outside the project in each period."""

    rent: Path
    memory: Path
    usage: Path
    service: Path
    delay: Scalar


class Result(eqx.Module):
    """Everything that one path leaves behind."""

    prices: Prices
    fate: Fate
    contracts: BookRevenue
    hardware: Scalar
    memory_price: Scalar
    flow: CashFlow


def draws_needed(contracts: int, periods: int) -> int:
    """How many uniforms a path takes."""
    return LONE_DRAWS + 2 * contracts + PERIOD_DRAWS * periods


def draws_of(uniforms: Float[Array, " draw"], obligors: Int[Array, " contract"]) -> Draws:
    """Give uniforms their meaning; those that matter most come first, where a digital net is evenest.

    Contracts with the same number in `obligors` share the draw that is the buyer's own.
    """
    sections = [LONE_DRAWS, LONE_DRAWS + obligors.size, LONE_DRAWS + 2 * obligors.size]
    _, _, firm, periods = jnp.split(uniforms, sections)
    lone, own, _, paths = jnp.split(ndtri(uniforms), sections)
    factor, level, demand, slip = lone
    rent, memory, token, *_ = jnp.reshape(paths, (PERIOD_DRAWS, -1))
    *_, jump, regime = jnp.reshape(periods, (PERIOD_DRAWS, -1))
    return Draws(
        factor, level, demand, slip, own[obligors], firm, rent, memory, token, jump, regime, obligors
    )


def middles(edges: Edges) -> Path:
    """Middle of each period."""
    return (edges[1:] + edges[:-1]) / 2


def prices(scenario: Scenario, draws: Draws, edges: Edges) -> Prices:
    """Market price, memory price, demand and capacity in service along one path."""
    times, rent, memory = middles(edges), scenario.rent, scenario.memory_market
    memory_normals = processes.correlated(draws.rent, draws.memory, memory.correlation)
    memory_path = processes.memory_price(memory, memory_normals, times)
    wrong_way = -scenario.credit.wrong_way
    level = wrong_way * draws.factor + jnp.sqrt(1 - wrong_way**2) * draws.level
    moves = processes.reverting_shocks(rent.reversion, rent.volatility, draws.rent, times)
    moves += processes.jumps(rent, draws.jump, times)
    delay = processes.slip(scenario.project, draws.slip)
    service = jax.vmap(service_share, in_axes=(None, None, 0))(scenario.project, delay, times)
    tokens = processes.token_price(scenario.demand, draws.token, times)
    wanted = independent_demand(scenario.demand, tokens, draws.demand, times)
    boom = processes.regime_path(scenario.demand, draws.regime, times)
    wanted *= 1 - scenario.demand.digestion * (1 - boom)
    return Prices(
        rent=processes.rent_price(rent, level, moves, memory_path, times),
        memory=memory_path,
        usage=reflexive_demand(wanted, service, scenario.demand.feedback, times),
        service=service,
        delay=delay,
    )


def purchase_price_of_memory(world: World, memory: Path, edges: Edges) -> Scalar:
    """Price paid for memory over today's: market and locked price when the money is spent, and prepayment's carry.

    (1 - l) E_w[m] + l (E_w[settled(m)] + prepaid [(1 + r)^T - 1]), w the spending of each period
    """
    scenario, supply = world.scenario, world.supply
    weights = spent_in_periods(scenario.project, edges)
    settled = jax.vmap(settled_price, in_axes=(None, 0))(supply, memory)
    waiting = carry(supply.prepaid, scenario.finance.wacc, supply.term / SECONDS_PER_YEAR)
    locked = scenario.memory_market.locked
    return (1 - locked) * jnp.sum(weights * memory) + locked * (jnp.sum(weights * settled) + waiting)


def merchant_revenue(world: World, path: Prices, edges: Edges) -> Path:
    """Sales of capacity not under contract at market prices, and what backstops pay for the unsold rest (USD)."""
    offered = world.scenario.project.merchant * path.service * jnp.diff(edges)
    sold = offered * jnp.minimum(path.usage, 1.0)
    unsold = jnp.sum(offered - sold)
    put = jnp.minimum(jnp.sum(world.book.backstop) / jnp.where(unsold > 0, unsold, 1.0), 1.0)
    return sold * path.rent + (offered - sold) * put


def project_flow(
    world: World, path: Prices, contracts: BookRevenue, hardware: Scalar, edges: Edges
) -> CashFlow:
    """Cash flow of the project; debt is sculpted on contracts after tax, as planned for the actual start."""
    project, finance = world.scenario.project, world.scenario.finance
    length = jnp.diff(edges)
    opex = running_rate(project) * path.service * length
    operations = Operations(
        revenue=contracts.total + merchant_revenue(world, path, edges),
        opex=opex,
        capex=spending(project, hardware, edges),
        resale=resale(project, hardware, path.delay, edges),
    )
    period_rate = jnp.expm1(jnp.log1p(finance.debt_rate) * length[0] / SECONDS_PER_YEAR)
    taxation = Taxation(finance.tax, write_off(project, finance, hardware, edges))
    cover = Cover(finance.base_dscr, period_rate)
    planned = contracts.planned - opex
    loan = planned_loan(planned, contracts.prepaid, operations.capex, taxation, cover)
    return cash_flow(operations, loan, taxation, contracts.ahead)


def result(world: World, draws: Draws, edges: Edges) -> Result:
    """Run one path through periods of equal length between `edges` (s from today)."""
    scenario, book = world.scenario, world.book
    path = prices(scenario, draws, edges)
    defaults = default_times(book, scenario.credit, draws.factor, draws.own)
    struck = after_first_default(defaults[draws.obligors], scenario.credit, draws.obligors)
    fate = Fate(struck, firm_value(book, draws.firm))
    relet = jnp.minimum(path.rent, scenario.rent.ceiling)
    market = Market(path.usage, path.rent, relet, path.delay)
    contracts = book_revenue(book, scenario.credit, fate, market, edges)
    memory_price = purchase_price_of_memory(world, path.memory, edges)
    hardware = capital(scenario.project, scenario.memory_market.share * (memory_price - 1))
    flow = project_flow(world, path, contracts, hardware, edges)
    return Result(path, fate, contracts, hardware, memory_price, flow)
