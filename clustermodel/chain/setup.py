"""Look up everything a question names and turn it into what the kernels compute on."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from clustermodel.assembly import Precision, resolve_formats
from clustermodel.calibration.effects import Level, load_table, natural
from clustermodel.calibration.power import BoardModel, board_model, described
from clustermodel.catalog import Catalog, ConfigError, Entry, Quote, price_quote, required
from clustermodel.chain.evaluate import Money
from clustermodel.chain.question import Question, check
from clustermodel.physics.coefficients import Coefficients
from clustermodel.physics.deployment import Deployment, Formats, Layout
from clustermodel.serving.load import Load, accepted_tokens
from clustermodel.serving.open_loop import Arrivals
from clustermodel.serving.placement import in_tiers
from clustermodel.specs import Engine, Model, Site, System, Terms, Workload, strong_float

OWNERSHIP = "ownership"
_TODAY = "9999-12"
MILLISECONDS = 1e3
BYTES_PER_MB = 1e6


@dataclasses.dataclass(frozen=True)
class Setup:
    """A question with all its entries, and the kernels' view of them."""

    question: Question
    system: Entry[System]
    model: Entry[Model]
    engine: Entry[Engine]
    workload: Entry[Workload]
    site: Entry[Site]
    terms: Entry[Terms]
    quote: Quote | None
    precision: Precision
    formats: Formats
    coefficients: Coefficients
    board: BoardModel
    money: Money
    measured: bool  # whether the model was measured on this engine

    @property
    def entries(self) -> tuple[Entry[Any], ...]:
        """Every catalogue entry the answer rests on."""
        return (self.system, self.model, self.engine, self.workload, self.site, self.terms)

    @property
    def arrivals(self) -> Arrivals:
        """How requests come in; the rate is that of one replica and set where it is known."""
        spec = self.workload.spec
        return Arrivals(jnp.ones(()), spec.burstiness, spec.input_variation)

    @property
    def isl(self) -> float:
        """Mean input length (tokens)."""
        return _or(self.question.isl, self.workload.spec.isl)

    @property
    def osl(self) -> float:
        """Mean output length (tokens)."""
        return _or(self.question.osl, self.workload.spec.osl)

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the input found in the prefix cache."""
        return _or(self.question.prefix_hit_rate, self.workload.spec.prefix_hit_rate)

    @property
    def acceptance(self) -> float:
        """Chance that a drafted token is accepted, given that those before it were."""
        return _or(self.question.acceptance, self.engine.spec.draft_acceptance)

    def deployment(self, layout: Layout) -> Deployment:
        """The replica with a layout; free to use farther memories where system or engine keep data there."""
        spec, engine = self.system.spec, self.engine.spec
        replica = Deployment(spec, self.model.spec, self.formats, layout, engine, self.coefficients)
        farther = np.asarray(spec.accelerator.memory.direct)[1:] > 0  # numpy: concrete under a trace too
        return in_tiers(replica) if bool(farther.any()) or float(engine.offload) > 0 else replica

    def load(self, concurrency: Any) -> Load:
        """The workload at a concurrency of one replica."""
        drafted = float(self.question.draft_tokens or 0.0)
        accepted = accepted_tokens(jnp.asarray(drafted), jnp.asarray(self.acceptance)) if drafted else 0.0
        spec, asked = self.workload.spec, self.question
        size = None if asked.adapter_mb is None else asked.adapter_mb * BYTES_PER_MB
        return Load(
            concurrency,
            *map(strong_float, (self.isl, self.osl, self.prefix_hit_rate)),
            draft_tokens=strong_float(drafted),
            accepted_tokens=strong_float(accepted),
            adapters=strong_float(_or(asked.adapters, spec.adapters)),
            adapter_bytes=strong_float(_or(size, spec.adapter_size)),
            adapter_share=strong_float(_or(asked.adapter_share, spec.adapter_share)),
        )


def _or(asked: float | None, default: Any) -> float:
    return float(default) if asked is None else float(asked)


def set_up(catalog: Catalog, question: Question) -> Setup:
    """Resolve a question against the catalogue; every mistake is a `ConfigError`."""
    check(question)
    system = find(catalog, "systems", question.system)
    required(system)
    system = described(catalog, system)
    accelerator = catalog.entry("accelerators", system.words["accelerator"])
    model = model_entry(catalog, question.model)
    engine = find(catalog, "engines", question.engine)
    precision, formats = resolve_formats(system, model, question.precision, question.kv_precision)
    path = Path(question.calibration) if question.calibration else None
    table, level = load_table(catalog, path), Level(model.slug, engine.slug, system.slug)
    board = board_model(
        catalog, accelerator.slug, accelerator.words.get("generation", ""), float(accelerator.spec.tdp)
    )
    site, terms = find(catalog, "sites", question.site), ownership(catalog, question)
    quote = price(catalog, system, question)
    workload = find(catalog, "workloads", question.workload)
    money = Money(
        site=site.spec,
        terms=terms.spec,
        board=board.coefficients,
        all_in_price=jnp.asarray(quote.si if quote else 0.0),
        reuse_interval=workload.spec.reuse_interval,
    )
    setup = Setup(
        question=question,
        system=system,
        model=model,
        engine=engine,
        workload=workload,
        site=site,
        terms=terms,
        quote=quote,
        precision=precision,
        formats=formats,
        coefficients=natural(table.links(level, question.effects)),
        board=board,
        money=money,
        measured=table.seen(level),
    )
    _check_context(setup)
    _check_price(setup)
    return setup


def find(catalog: Catalog, folder: str, given: str | Entry[Any]) -> Entry[Any]:
    """A catalogue entry by name; an entry stands for itself."""
    return catalog.entry(folder, given) if isinstance(given, str) else given


def model_entry(catalog: Catalog, name: str | Entry[Model]) -> Entry[Model]:
    """A catalogue model by name, or the model of a Hugging Face config.json, or of a folder with one, by path."""
    if not isinstance(name, str):
        return name
    if name.lower().endswith(".json") or (Path(name) / "config.json").is_file():
        from clustermodel.catalog import read_config

        return read_config(Path(name))
    return catalog.entry("models", name)


def ownership(catalog: Catalog, question: Question) -> Entry[Terms]:
    """The owner's terms, with the utilisation asked for."""
    terms = catalog.entry("prices", OWNERSHIP)
    if question.utilisation is None:
        return terms
    used = eqx.tree_at(lambda t: t.utilisation, terms.spec, strong_float(question.utilisation))
    return dataclasses.replace(terms, spec=used)


def price(catalog: Catalog, system: Entry[System], question: Question) -> Quote | None:
    """The dated all-in price of one accelerator on the question's basis; None for bottom-up."""
    if question.cost_basis == "bottom_up":
        return None
    until = question.price_date or _TODAY
    return price_quote(catalog, system.words["accelerator"], question.cost_basis, until)


def _check_context(setup: Setup) -> None:
    longest = float(setup.model.spec.context)
    if setup.isl + setup.osl > longest:
        raise ConfigError(
            f"--isl {setup.isl:g} and --osl {setup.osl:g} exceed the context of {setup.model.name}, "
            f"{longest:g} tokens; shorten one of them"
        )


def _check_price(setup: Setup) -> None:
    if setup.quote is None and float(setup.system.spec.price) <= 0:
        raise ConfigError(
            f"{setup.system.slug} has no price in the catalogue; give one with "
            f"--set system/{setup.system.slug}.price='1 MUSD'"
        )


def limits(setup: Setup) -> tuple[float, float]:
    """Objectives on mean TTFT and TPOT (s); infinite where there is none."""
    q = setup.question
    return (
        math.inf if q.max_ttft_ms is None else q.max_ttft_ms / MILLISECONDS,
        math.inf if q.max_tpot_ms is None else q.max_tpot_ms / MILLISECONDS,
    )
