"""Buy, rent or call: list prices of APIs beside systems of one's own, and the tokens a month that decide."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from clustermodel.catalog import Catalog, ConfigError, Entry, price_quote
from clustermodel.chain.compare import compare
from clustermodel.chain.question import BASES, Question
from clustermodel.chain.setup import model_entry
from clustermodel.economics.sourcing import Capacity, break_even_rate
from clustermodel.economics.tokens import TokenRates, revenue
from clustermodel.scenarios import TokenPrices
from clustermodel.units import MILLION, MONTHS_PER_YEAR, SECONDS_PER_HOUR, SECONDS_PER_YEAR

ALL = "all"
"""Stands for every API that serves the question's model, each provider's newest list price."""
RENTED_BY_THE_HOUR = "on_demand"
RENTED_FOR_YEARS = "rental_3y"
_MONTH = SECONDS_PER_YEAR / MONTHS_PER_YEAR
_NEWEST = "9999"

Point = Mapping[str, Any]


def compare_sources(
    catalog: Catalog, question: Question, systems: Sequence[Any], apis: Sequence[str] = ()
) -> dict[str, Any]:
    """`compare` with APIs among its points, cheapest first, and the volume from which each system pays.

    An API's tokens cost its list price at the question's mix of input, cached input and output; how fast they
    come is not modelled. `break_even` says from how many tokens a month whole systems of one's own, or rented
    for years, cost less than capacity rented by the hour at full use, and than each API; null where they never do.

    Raises:
        ConfigError: as for `compare`; or an API is unknown, or none of the model's is.
        InfeasibleError: no system has an answer.
    """
    if not apis:
        return compare(catalog, question, systems)
    comparison = _of_systems(catalog, question, systems)
    offers = _offers(catalog, question, apis)
    answered = [point for point in comparison["points"] if "reason" not in point]
    unanswered = [point for point in comparison["points"] if "reason" in point]
    rows = [_row(offer, answered[0]) | _sources(catalog, offer) for offer in offers]
    points = sorted([*answered, *rows], key=lambda point: point["usd_per_mtok_total"] or np.inf)
    break_even = [each for own in answered for each in _break_evens(catalog, question, own, rows)]
    return comparison | {"points": [*points, *unanswered], "break_even": break_even}


def _of_systems(catalog: Catalog, question: Question, systems: Sequence[Any]) -> dict[str, Any]:
    """`compare`; a date is that of the list prices and rents where the systems themselves have no dated prices."""
    if question.cost_basis != BASES[0]:
        return compare(catalog, question, systems)
    comparison = compare(catalog, dataclasses.replace(question, price_date=None), systems)
    return comparison | {"inputs": comparison["inputs"] | {"price_date": question.price_date}}


def _offers(catalog: Catalog, question: Question, apis: Sequence[str]) -> list[Entry[TokenPrices]]:
    """The list prices asked for, each once."""
    wanted = [catalog.entry("apis", name) for name in apis if name != ALL]
    if ALL in apis:
        model = model_entry(catalog, question.model).slug
        known = [catalog.entry("apis", slug) for slug in catalog.paths("apis")]
        serving = [each for each in known if catalog.slug("models", each.words["model"]) == model]
        until = question.price_date or _NEWEST
        in_time = [each for each in serving if each.words["date"][: len(until)] <= until]
        in_time.sort(key=lambda each: each.words["date"])
        wanted += {each.words["provider"]: each for each in in_time}.values()
        if not in_time:
            by = f" on or before {until}" if serving else ""
            raise ConfigError(
                f"--apis all: no list price of {model} is known{by}; `clustermodel catalog list apis` shows all"
            )
    return list({each.slug: each for each in wanted}.values())


def _row(offer: Entry[TokenPrices], mix: Point) -> dict[str, Any]:
    """An API as a point of the comparison; `mix` has the lengths and the share of cached input."""
    prices = offer.spec
    cached = mix["isl"] * mix["prefix_hit_rate"]
    rates = TokenRates(*map(jnp.asarray, (mix["isl"] - cached, cached, mix["osl"])))
    return {
        "system": offer.slug,
        "provider": offer.words["provider"],
        "model": offer.words["model"],
        "price_date": offer.words["date"],
        "cost_basis": "list_price",
        "usd_per_mtok_input": float(prices.uncached) * MILLION,
        "usd_per_mtok_cached_input": float(prices.cached) * MILLION,
        "usd_per_mtok_output": float(prices.output) * MILLION,
        "usd_per_mtok_total": float(revenue(rates, prices) / rates.total) * MILLION,
    }


def _sources(catalog: Catalog, offer: Entry[TokenPrices]) -> dict[str, Any]:
    keys = [number.source for number in offer.provenance.values()]
    known = {key: {name: str(each) for name, each in catalog.sources[key].items()} for key in keys}
    return {"sources": [{"key": key, "used": keys.count(key), **row} for key, row in known.items()]}


def _break_evens(
    catalog: Catalog, question: Question, own: Point, apis: Sequence[Point]
) -> list[dict[str, Any]]:
    """One row for each way to hold a system and each way to do without it."""
    hourly = _rent(catalog, question, own, RENTED_BY_THE_HOUR)
    instead = {api["system"]: api["usd_per_mtok_total"] / MILLION for api in apis}
    if hourly is not None:
        instead = {RENTED_BY_THE_HOUR: float(hourly.full_use)} | instead
    return [
        _break_even(own["system"], tenure, capacity, other, price)
        for tenure, capacity in _tenures(catalog, question, own).items()
        for other, price in instead.items()
        if other != tenure
    ]


def _break_even(
    system: str, tenure: str, capacity: Capacity, other: str, price: float
) -> dict[str, str | float | None]:
    rate = float(break_even_rate(capacity, jnp.asarray(price)))
    pays = np.isfinite(rate)
    return {
        "system": system,
        "held_as": tenure,
        "instead_of": other,
        "usd_per_mtok_instead": price * MILLION,
        "usd_per_mtok_at_full_use": float(capacity.full_use) * MILLION,
        "usd_per_month": float(capacity.fixed) * _MONTH,
        "mtok_per_month": rate * _MONTH / MILLION if pays else None,
        "share_of_capacity": rate / float(capacity.capacity) if pays else None,
    }


def _tenures(catalog: Catalog, question: Question, own: Point) -> dict[str, Capacity]:
    """The systems as they were priced, energy a cost of each token where it is known; and rented for years."""
    used, tok_s = own["utilisation"], _tok_s(own)  # prices are per hour sold, but every hour is paid
    hour = own["usd_per_accelerator_hour"] * used / SECONDS_PER_HOUR
    energy = own["breakdown"]["usd_per_accelerator_hour"].get("energy", 0.0) * used / SECONDS_PER_HOUR
    paid = own["accelerators_paid_for"]
    held = _capacity((hour - energy) * paid, energy * paid / tok_s, tok_s)
    priced = {question.cost_basis: held} if question.cost_basis != "bottom_up" else {"own": held}
    if (rented := _rent(catalog, question, own, RENTED_FOR_YEARS)) is not None:
        priced = priced | {RENTED_FOR_YEARS: rented}
    replicas = _replicas_of_whole_systems(catalog, own)
    scaled = lambda each: Capacity(each.fixed * replicas, each.variable, each.capacity * replicas)
    return {name: scaled(each) for name, each in priced.items() if name != RENTED_BY_THE_HOUR}


def _replicas_of_whole_systems(catalog: Catalog, own: Point) -> float:
    """Replicas on the fewest whole systems that hold one: what has to be bought at the least."""
    paid, count = own["accelerators_paid_for"], float(catalog.entry("systems", own["system"]).spec.count)
    return np.ceil(paid / count) * count / paid


def _rent(catalog: Catalog, question: Question, own: Point, basis: str) -> Capacity | None:
    """A replica's accelerators at the latest quote on a basis; None where there is none."""
    accelerator = catalog.entry("systems", own["system"]).words["accelerator"]
    try:
        quote = price_quote(catalog, accelerator, basis, question.price_date or _NEWEST)
    except ConfigError:
        return None
    return _capacity(quote.si * own["accelerators_paid_for"], 0.0, _tok_s(own))


def _capacity(fixed: float, variable: float, tok_s: float) -> Capacity:
    return Capacity(*map(jnp.asarray, (fixed, variable, tok_s)))


def _tok_s(own: Point) -> float:
    """Tokens per second of a replica, input included."""
    return own["total_tok_s_per_accelerator"] * own["n_accelerators"]
