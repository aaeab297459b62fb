"""What is promised, what may happen and who pays: contracts and the parts of a scenario.

Immutable pytrees by the rules of `specs`: a field is one line with its unit and meaning, scalars in SI,
and names live in the catalogue. Every default is the neutral case (no default, no delay, full demand, flat
prices), so a scenario says only what it changes. Rates of interest are effective and annual, volatilities are
standard deviations of a log price over a year, everything else is per second. Prices are ratios to the price
agreed or paid today.
"""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs import quantity

NEVER = float("inf")


class Contract(eqx.Module):
    """One promise to buy capacity, memory or power: how much, when, and what can end it."""

    term: Scalar = quantity("s", "from the first delivery to the last", least=1.0)
    value: Scalar = quantity("USD", "headline value over the term; 1 where a template leaves it open", 1.0)
    start: Scalar = quantity("s", "from signing to the first delivery", 0.0)
    ramp: Scalar = quantity("s", "time over which delivery grows linearly to its full rate", 0.0)
    power: Scalar = quantity("W", "capacity as the parties state it; 0 where they don't", 0.0)
    take_or_pay: Scalar = quantity("", "share of the volume that is billed even if unused", 0.0, most=1.0)
    makeup: Scalar = quantity("s", "time in which volume paid for and not used may be taken", 0.0)
    prepaid: Scalar = quantity("", "share of the value paid at signing, taken off every bill", 0.0, most=1.0)
    binding: Scalar = quantity("", "share of the value that is firm", 1.0, most=1.0)
    conversion: Scalar = quantity("", "chance that the part that is not firm becomes revenue", 0.0, most=1.0)
    index_share: Scalar = quantity("", "share of the price that follows the market", 0.0, most=1.0)
    price_floor: Scalar = quantity("", "least price over the agreed one", 0.0)
    price_cap: Scalar = quantity("", "highest price over the agreed one", NEVER)
    grace: Scalar = quantity("s", "lateness after which the buyer may leave", NEVER)
    exit_fee: Scalar = quantity("s", "time of minimum bills owed by a buyer who leaves", 0.0)
    backstop: Scalar = quantity("USD", "unsold capacity that the buyer must take on demand", 0.0)
    refresh: Scalar = quantity("s", "time after which the buyer may ask for the next generation", NEVER)
    buyer_hardware: Scalar = quantity(
        "", "share of the hardware that the buyer brings or prepays", 0.0, most=1.0
    )
    vendor_funding: Scalar = quantity("USD", "equity and loans from the supplier to the buyer", 0.0)
    warrants: Scalar = quantity("USD", "value of the supplier's shares given to the buyer", 0.0)
    buyers: Scalar = quantity(
        "", "buyers that share the value alike, for concentration only", 1.0, least=1.0, whole=True
    )
    hazard: Scalar = quantity("1/s", "intensity at which the buyer defaults", 0.0)
    recovery: Scalar = quantity(
        "", "share paid after a default of the value that re-letting leaves open", 0.0, most=1.0
    )
    credit_margin: Scalar = quantity("", "lenders' annual margin on debt secured by the contract", 0.0)
    covenant: Scalar = quantity("", "least cash flow over debt service that lenders accept", 0.0)
    payback: Scalar = quantity("s", "time in which the price returns the supplier's capex", 0.0)


class TokenPrices(eqx.Module):
    """What a provider charges for a token of each class."""

    uncached: Scalar = quantity("USD/tok", "one uncached input token")
    cached: Scalar = quantity("USD/tok", "one input token served from the prefix cache")
    output: Scalar = quantity("USD/tok", "one generated token")


class Credit(eqx.Module):
    """How defaults hang together, and what the supplier does with capacity that comes back."""

    correlation: Scalar = quantity(
        "", "share of the variance of default drivers that buyers have in common", 0.0, most=1.0
    )
    wrong_way: Scalar = quantity("", "correlation of defaults with low market prices", 0.0, most=1.0)
    stress: Scalar = quantity("", "factor on every default intensity", 1.0)
    first_default: Scalar = quantity(
        "s", "time at which the first contract's buyer defaults for certain", NEVER
    )
    vacancy: Scalar = quantity("s", "time until capacity is let again", 0.0)
    fill: Scalar = quantity("", "share of returned capacity that is let again", 1.0, most=1.0)


class Rent(eqx.Module):
    """Market price of capacity over the price in today's contracts: mean-reverting, with jumps."""

    level: Scalar = quantity("", "market price today", 1.0)
    target: Scalar = quantity("", "long-run price, the cost of the marginal entrant", 1.0, least=1e-9)
    reversion: Scalar = quantity("1/s", "speed of return to the long-run price", 0.0)
    decline: Scalar = quantity("1/s", "rate at which progress lowers the long-run price", 0.0, least=-NEVER)
    volatility: Scalar = quantity("", "of the log price over a year", 0.0)
    dispersion: Scalar = quantity("", "standard deviation of the log level, unknown today", 0.0)
    jump_rate: Scalar = quantity("1/s", "rate of jumps", 0.0)
    jump_size: Scalar = quantity("", "mean log jump", 0.0, least=-NEVER)
    jump_spread: Scalar = quantity("", "standard deviation of a log jump", 0.0)
    ceiling: Scalar = quantity("", "highest price at which returned capacity is let", NEVER)
    reserved: Scalar = quantity("", "share of open supply withdrawn by reservations", 0.0, most=1.0)
    depth: Scalar = quantity("", "relative price rise per share of supply withdrawn", 0.0)
    memory_share: Scalar = quantity("", "elasticity of the price to the price of memory", 0.0)
    memory_lag: Scalar = quantity("s", "time until the price of memory is passed on", 0.0)


class Demand(eqx.Module):
    """Demand for capacity over the capacity planned for it."""

    level: Scalar = quantity("", "median demand over planned capacity", 1.0)
    spread: Scalar = quantity("", "standard deviation of log demand, unknown today", 0.0)
    growth: Scalar = quantity("1/s", "growth of token demand at constant price", 0.0, least=-NEVER)
    efficiency: Scalar = quantity("1/s", "growth of tokens per unit of capacity", 0.0, least=-NEVER)
    pilot: Scalar = quantity("", "share of the level that is there before budgets follow", 1.0, most=1.0)
    midpoint: Scalar = quantity("s", "time at which half of the budgets have followed", 0.0)
    speed: Scalar = quantity("1/s", "rate of the logistic adoption", 0.0)
    undershoot: Scalar = quantity("", "share of the tokens that do not come", 0.0, most=1.0)
    shock: Scalar = quantity("", "share of demand lost from `shock_time` on", 0.0, most=1.0)
    shock_time: Scalar = quantity("s", "time of the shock", 0.0)
    digestion: Scalar = quantity(
        "", "share of demand that waits while buyers digest what they have", 0.0, most=1.0
    )
    leave_boom: Scalar = quantity("1/s", "rate at which a boom turns into a digestion", 0.0)
    leave_digestion: Scalar = quantity("1/s", "rate at which a digestion ends", 0.0)
    elasticity: Scalar = quantity("", "fall of log demand per rise of the log token price", 0.0)
    token_decline: Scalar = quantity("1/s", "rate at which the token price falls", 0.0, least=-NEVER)
    token_volatility: Scalar = quantity("", "of the log token price over a year", 0.0)
    feedback: Scalar = quantity("1/s", "demand that each unit of capacity in service creates", 0.0)


class Memory(eqx.Module):
    """Price of memory over today's: mean-reverting, and partly locked by a supply agreement."""

    share: Scalar = quantity("", "memory in the purchase price of the accelerators", 0.0, most=1.0)
    level: Scalar = quantity("", "price now, after any shock", 1.0, least=1e-9)
    target: Scalar = quantity("", "long-run price", 1.0, least=1e-9)
    reversion: Scalar = quantity("1/s", "speed of return to the long-run price", 0.0)
    volatility: Scalar = quantity("", "of the log price over a year", 0.0)
    correlation: Scalar = quantity("", "with the market price of capacity", 0.0, least=-1.0, most=1.0)
    locked: Scalar = quantity("", "share of the volume bought under the supply agreement", 0.0, most=1.0)


class Project(eqx.Module):
    """What is built, when, and what it costs to run."""

    capex: Scalar = quantity("USD", "accelerators, hosts and network", 0.0)
    facility: Scalar = quantity("USD", "building, power and cooling", 0.0)
    leases: Scalar = quantity("", "finance leases over the cash capex", 0.0)
    build: Scalar = quantity("s", "time over which the money is spent", 0.0)
    growth: Scalar = quantity("1/s", "growth of the spending while it lasts", 0.0, least=-NEVER)
    lead: Scalar = quantity("s", "from spending to the first hour sold", 0.0)
    delay: Scalar = quantity("s", "median slip of that hour", 0.0)
    delay_spread: Scalar = quantity("", "standard deviation of the log slip", 0.0)
    life: Scalar = quantity("s", "time that accelerators earn", NEVER, least=1.0)
    facility_life: Scalar = quantity("s", "time that the building earns", NEVER, least=1.0)
    residual: Scalar = quantity("", "resale value of the accelerators over capex", 0.0)
    accelerators: Scalar = quantity("", "accelerators in capex", 0.0, most=1.0)
    custom: Scalar = quantity("", "share of them bought as custom silicon", 0.0, most=1.0)
    custom_price: Scalar = quantity("", "price of custom silicon over the merchant part", 1.0)
    merchant: Scalar = quantity("USD/s", "revenue of capacity not under contract, at today's prices", 0.0)
    opex: Scalar = quantity("USD/s", "running cost of the whole, without energy", 0.0)
    power: Scalar = quantity("W", "mean facility power of the whole", 0.0)
    electricity: Scalar = quantity("USD/J", "price of energy", 0.0)
    revenue_today: Scalar = quantity("USD/s", "revenue that there is already", 0.0)


class Finance(eqx.Module):
    """Who lends, what capital costs and what is taxed."""

    wacc: Scalar = quantity("", "annual weighted average cost of capital", 0.0)
    tax: Scalar = quantity("", "tax on profit", 0.0, most=1.0)
    depreciation: Scalar = quantity("s", "book life, straight line", NEVER, least=1.0)
    debt_rate: Scalar = quantity("", "annual rate of the debt", 0.0)
    base_dscr: Scalar = quantity("", "planned cash flow over debt service; 0 without debt", 0.0)
    margin: Scalar = quantity("", "gross margin that required revenue must leave", 0.0, most=0.99)


class Scenario(eqx.Module):
    """One state of the world in which a book of contracts and a project are valued."""

    credit: Credit
    rent: Rent
    demand: Demand
    memory_market: Memory
    project: Project
    finance: Finance


def neutral() -> Scenario:
    """The scenario in which nothing happens: the start of every scenario built in Python."""
    return Scenario(Credit(), Rent(), Demand(), Memory(), Project(), Finance())


def without_supply_agreement() -> Contract:
    """A supply agreement that fixes nothing: the market price, without prepayment."""
    return Contract(term=jnp.ones(()), index_share=jnp.ones(()))
