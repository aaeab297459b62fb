"""Turn a scenario of the catalogue, and the contracts that it names, into a model of paths."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from clustermodel import specs
from clustermodel.catalog import Catalog, ConfigError, Entry, Written, required
from clustermodel.economics.outcome import PathModel, Uncertain
from clustermodel.economics.processes import LATEST
from clustermodel.economics.project import running_rate
from clustermodel.economics.world import World
from clustermodel.risk._beside import PRICED, UNDRAWN, refuse_beside
from clustermodel.risk._buyers import buyers, of_the_buyer, refuse_split_buyers
from clustermodel.scenarios import Contract, Scenario, without_supply_agreement
from clustermodel.units import MONTHS_PER_YEAR, SECONDS_PER_YEAR

_MONTH = SECONDS_PER_YEAR / MONTHS_PER_YEAR
_BOOK_STEP = 10
"""Books are filled with empty contracts to a multiple of this, so that scenarios share one compiled program."""
_MONTHS_STEP = 60
"""Likewise for months ..."""
_INPUTS_STEP = 32
"""... and uncertain inputs."""

Where = Callable[[World], Any]
Rows = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A scenario ready to run, with the entries it was made from and the names of its uncertain inputs."""

    scenario: Entry[Scenario]
    contracts: tuple[Entry[Contract], ...]
    supply: Entry[Contract] | None
    model: PathModel
    inputs: tuple[str, ...]

    @property
    def entries(self) -> tuple[Entry[Any], ...]:
        """Every entry used, each once."""
        used = [self.scenario, *self.contracts, *([self.supply] if self.supply else [])]
        return tuple({(entry.kind, entry.slug): entry for entry in used}.values())

    @property
    def exposures(self) -> dict[str, float]:
        """Headline value by buyer (USD)."""
        total: dict[str, float] = {}
        for buyer, contract in zip(buyers(self.contracts), self.contracts, strict=True):
            total[buyer] = total.get(buyer, 0.0) + float(contract.spec.value)
        return total

    @property
    def names(self) -> list[float]:
        """Headline value of every single buyer (USD); a diversified contract counts as many small ones."""
        each = [round(float(contract.spec.buyers)) for contract in self.contracts]
        count = dict(zip(buyers(self.contracts), each, strict=True))
        return [value / count[buyer] for buyer, value in self.exposures.items() for _ in range(count[buyer])]


def load_scenario(catalog: Catalog, name: str) -> Loaded:
    """Read a scenario by name, with its contracts and supply agreement."""
    entry = catalog.entry("scenarios", name)
    contracts = tuple(_contract(catalog, entry, slug) for slug in entry.words.get("contracts", []))
    supply = _contract(catalog, entry, entry.words["supply"]) if "supply" in entry.words else None
    for each in (entry, *contracts, *([supply] if supply else [])):
        required(each)
    _refuse_endless(entry)
    refuse_split_buyers(contracts)
    refuse_beside(catalog, contracts, supply)
    for each in (*contracts, *([supply] if supply else [])):
        _refuse_crossed(each)
    book = specs.stack([*(contract.spec for contract in contracts), *_empty(len(contracts))])
    likely = World(entry.spec, book, supply.spec if supply else without_supply_agreement())
    uncertain, inputs = _uncertain(likely, _ranges(entry, contracts, supply))
    flat, world = ravel_pytree(likely)
    latest = world(jnp.maximum(flat, uncertain.high))
    edges = jnp.arange(_months(latest, len(contracts)) + 1) * _MONTH
    model = PathModel(
        uncertain, jnp.asarray(_obligors(contracts)), edges, _rounded(len(inputs), _INPUTS_STEP)
    )
    return Loaded(entry, contracts, supply, model, inputs)


def _contract(catalog: Catalog, scenario: Entry[Any], name: str) -> Entry[Contract]:
    try:
        return catalog.entry("contracts", name)
    except ConfigError as error:
        raise ConfigError(f"scenarios/{scenario.slug}.toml: {error}") from None


def _refuse_endless(scenario: Entry[Scenario]) -> None:
    """A project is counted to its end, contracts to theirs; what would earn for ever has no figure to give."""
    project = scenario.spec.project
    spends_or_earns = project.capex + project.facility + project.merchant + running_rate(project) > 0
    if spends_or_earns and not jnp.isfinite(project.life):
        raise ConfigError(
            f"scenarios/{scenario.slug}.toml: project.life: a project that spends or earns needs an end to which its "
            'cash flow is counted; write life = { value = "5 year", low = "4 year", high = "6 year", source = '
            '"clustermodel", confidence = "assumption" }, and as residual what the accelerators are worth then'
        )


def _refuse_crossed(contract: Entry[Contract]) -> None:
    """A price cannot be held both above its floor and below a lower cap, wherever in their ranges they lie."""
    limits = {}
    for field in ("price_floor", "price_cap"):
        written, value = contract.provenance.get(field), float(getattr(contract.spec, field))
        limits[field] = written.range_si("") if written else (value, value)
    floor, cap = limits["price_floor"][1], limits["price_cap"][0]
    if floor > cap:
        raise ConfigError(
            f"contracts/{contract.slug}.toml: price_floor: {floor:g} is above price_cap {cap:g}; write a floor "
            "that is at most the cap, over their whole ranges"
        )


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step


def _empty(contracts: int) -> list[Contract]:
    nothing = Contract(term=jnp.asarray(_MONTH), value=jnp.zeros(()))
    return [nothing] * (max(_rounded(contracts, _BOOK_STEP), _BOOK_STEP) - contracts)


def _obligors(contracts: Sequence[Entry[Contract]]) -> list[int]:
    """For each contract of the filled book the position of the first contract of the same buyer."""
    names = buyers(contracts)
    first = [names.index(name) for name in names]
    return [*first, *range(len(first), len(first) + len(_empty(len(first))))]


def _months(latest: World, contracts: int) -> int:
    """Months until the last contract ends and the last accelerator retires, a slip included, at the longest."""
    project, book = latest.scenario.project, latest.book
    slip = float(project.delay * jnp.exp(LATEST * project.delay_spread))
    ends = [float(end) for end in (book.start + book.term)[:contracts]]
    if jnp.isfinite(project.life):
        ends.append(float(project.lead + project.build + project.life))
    return max(_rounded(math.ceil((max(ends, default=0.0) + slip) / _MONTH), _MONTHS_STEP), _MONTHS_STEP)


def _field(path: str) -> Callable[[Any], Any]:
    """Accessor of a dotted path."""

    def read(tree: Any) -> Any:
        for name in path.split("."):
            tree = getattr(tree, name)
        return tree

    return read


@dataclasses.dataclass(frozen=True)
class _Range:
    """A number that is uncertain: where it sits in a world, in which contracts of the book, and its range."""

    name: str
    where: Where
    rows: Rows
    low: float
    high: float


def _ranges(
    entry: Entry[Scenario], contracts: Sequence[Entry[Contract]], supply: Entry[Contract] | None
) -> list[_Range]:
    """Every number that was written with a range that is more than a point.

    Copies of one contract share it, and contracts of one buyer what is the buyer's. What is in no cash flow is left
    out: chance alone would make a driver of it.
    """
    found = [_range(entry, path, number, "scenario", ()) for path, number in _ranged(entry)]
    found += [_range(*each) for each in _of_the_book(contracts)]
    if supply:
        found += [_range(supply, path, n, "supply", ()) for path, n in _ranged(supply) if path in PRICED]
    return [each for each in found if each.low < each.high]


def _of_the_book(
    contracts: Sequence[Entry[Contract]],
) -> Iterator[tuple[Entry[Any], str, Written, str, Rows]]:
    """Contract, field, number and place of every range in the book, each once; a buyer's by its first contract."""
    slugs, names = [each.slug for each in contracts], buyers(contracts)
    for index, contract in enumerate(contracts):
        for path, number in _ranged(contract):
            owners, owner = (names, names[index]) if of_the_buyer(contract, path) else (slugs, slugs[index])
            if path not in UNDRAWN and owners.index(owner) == index:
                rows = tuple(row for row, each in enumerate(owners) if each == owner)
                yield contract, path, number, "book", rows


def _ranged(entry: Entry[Any]) -> list[tuple[str, Written]]:
    return [(p, n) for p, n in entry.provenance.items() if n.low is not None or n.high is not None]


def _range(entry: Entry[Any], path: str, number: Written, part: str, rows: Rows) -> _Range:
    *parents, name = path.split(".")
    owner = _field(".".join(parents))(entry.spec) if parents else entry.spec
    low, high = number.range_si(specs.fields(type(owner))[name].metadata["unit"])
    of = entry.words["obligor"] if of_the_buyer(entry, path) else entry.slug
    return _Range(f"{of}.{path}", _field(f"{part}.{path}"), rows, low, high)


def _uncertain(likely: World, ranges: Sequence[_Range]) -> tuple[Uncertain, tuple[str, ...]]:
    low, high, source = likely, likely, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype=int), likely)
    for index, each in enumerate(ranges):
        low, high = _put(low, each, each.low), _put(high, each, each.high)
        source = _put(source, each, index)
    flat = [ravel_pytree(world)[0] for world in (low, high, source)]
    return Uncertain(likely, *flat), tuple(each.name for each in ranges)


def _put(world: World, place: _Range, value: float | int) -> World:
    """A copy of the world with one number set, in all contracts that share it."""
    set_rows = lambda leaf: leaf.at[jnp.asarray(place.rows)].set(value)
    replaced = set_rows if place.rows else lambda leaf: jnp.full_like(leaf, value)
    return eqx.tree_at(place.where, world, replace_fn=replaced)
