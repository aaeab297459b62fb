"""What an answer hangs on: exact elasticities of any output to every number of the catalogue behind it."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel import __version__, specs
from clustermodel._types import Scalar
from clustermodel.catalog import Catalog, ConfigError, Entry, Written, did_you_mean
from clustermodel.chain.choose import Choice, choose, requests_in_flight
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.evaluate import Evaluation, Money, evaluate
from clustermodel.chain.money import shared_out
from clustermodel.chain.numbers import Number, system_numbers
from clustermodel.chain.question import Question
from clustermodel.chain.setup import Setup, set_up
from clustermodel.design.asked import refuse
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.serving.load import Load
from clustermodel.serving.placement import full_batch

OUTPUTS: dict[str, Callable[[Evaluation], Scalar]] = {
    "usd_per_mtok_total": lambda e: e.unit.blended,
    "usd_per_mtok_input": lambda e: e.unit.input,
    "usd_per_mtok_cached_input": lambda e: e.unit.cached_input,
    "usd_per_mtok_output": lambda e: e.unit.output,
    "usd_per_accelerator_hour": lambda e: e.hour.total,
    "tpot_ms": lambda e: e.point.tpot,
    "ttft_ms": lambda e: e.point.ttft,
    "output_tok_s_per_accelerator": lambda e: e.point.output_rate,
    "it_w_per_accelerator": lambda e: e.inlet.total,
}
"""Outputs by the name of their field in an answer; elasticities do not depend on the unit."""

PRICES = tuple(name for name in OUTPUTS if name.startswith("usd_per_mtok"))
"""Outputs that an allocation decides."""

_RATES = {"attention": "attention_rate", "ffn": "ffn_rate", "experts": "expert_rate", "wide": "wide_rate"}


class Knobs(eqx.Module):
    """The specs that the chain is differentiated in."""

    system: specs.System
    model: specs.Model
    engine: specs.Engine
    workload: specs.Workload
    site: specs.Site
    terms: specs.Terms


def knobs(setup: Setup) -> Knobs:
    """The specs of a question; lengths that the question states replace the workload's."""
    stated = (setup.isl, setup.osl, setup.prefix_hit_rate)
    workload = eqx.tree_at(
        lambda w: (w.isl, w.osl, w.prefix_hit_rate), setup.workload.spec, tuple(map(jnp.asarray, stated))
    )
    system, model, engine = setup.system.spec, setup.model.spec, setup.engine.spec
    return Knobs(system, model, engine, workload, setup.site.spec, setup.terms.spec)


def chain_of(
    setup: Setup, choice: Choice, concurrency: Scalar | None = None
) -> Callable[[Knobs], Evaluation]:
    """The chain at the chosen layout, at the chosen or another concurrency, as a function of the catalogue.

    Tokens cost what the question's allocation makes them cost.
    """
    inputs = inputs_of(setup, choice, concurrency)

    def run(k: Knobs) -> Evaluation:
        replica, load, money = inputs(k)
        found = evaluate(replica, load, money)
        unit = shared_out(setup.question.allocation, found, replica.model, load)
        return dataclasses.replace(found, unit=unit)

    return run


def inputs_of(
    setup: Setup, choice: Choice, concurrency: Scalar | None = None
) -> Callable[[Knobs], tuple[Deployment, Load, Money]]:
    """What the chain is computed on, as a function of the catalogue.

    Arithmetic rates follow the accelerator's; board powers that were borrowed scale with its TDP.
    """
    load_of = requests_in_flight(setup, choice) if concurrency is None else lambda _: concurrency
    tdp = setup.system.spec.accelerator.tdp
    powers = [name for name, f in specs.fields(type(setup.money.board)).items() if f.metadata["unit"]]

    def inputs(k: Knobs) -> tuple[Deployment, Load, Money]:
        accelerator = k.system.accelerator
        rates = {
            name: getattr(accelerator, f"flops_{setup.precision.arithmetic[kind]}")
            for kind, name in _RATES.items()
        }
        formats = dataclasses.replace(setup.formats, **rates)
        factor = jnp.ones(()) if setup.board.basis == "fitted" else accelerator.tdp / tdp
        board = setup.money.board
        board = dataclasses.replace(board, **{name: getattr(board, name) * factor for name in powers})
        money = dataclasses.replace(
            setup.money, site=k.site, terms=k.terms, board=board, reuse_interval=k.workload.reuse_interval
        )
        replica = setup.deployment(Layout(*map(jnp.asarray, map(float, choice.shape))))
        replica = dataclasses.replace(
            replica, system=k.system, model=k.model, engine=k.engine, formats=formats
        )
        shape = (k.workload.isl, k.workload.osl, k.workload.prefix_hit_rate)
        load = eqx.tree_at(lambda l: (l.isl, l.osl, l.prefix_hit_rate), setup.load(choice.concurrency), shape)
        in_flight = load_of(full_batch(replica, load))
        return replica, eqx.tree_at(lambda l: l.concurrency, load, in_flight), money

    return inputs


def sensitivity(catalog: Catalog, question: Question, output: str = "usd_per_mtok_total") -> dict[str, Any]:
    """Elasticities of `output` at the chosen point: per cent of change per per cent of each number.

    Layout and concurrency stay, except that where it is as many as run at once it follows how many those are;
    derivatives are exact: d ln output / d ln number, by differentiating the whole chain, all numbers at once.
    Rows are ranked by what the number's own range does to the output, then by elasticity; `low` and `high` are
    the output at the ends of the range, to first order in logarithms.
    """
    if output not in OUTPUTS:
        raise ConfigError(
            f"--output {output!r}: write one of {', '.join(OUTPUTS)}{did_you_mean(output, OUTPUTS)}"
        )
    refuse(question, busy="whole systems make steps of a price, and elasticities are of its slope")
    setup = set_up(catalog, question)
    choice = choose(setup)
    _refuse_without_price(setup, choice, output)
    rows = [row for row in _rows(setup, choice, output) if row["elasticity"]]
    rows.sort(key=lambda row: (-abs(math.log(row["high"] / row["low"])), -abs(row["elasticity"])))
    return {
        "kind": "design_sensitivity",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "system": setup.system.slug,
            "model": setup.model.slug,
            "output": output,
            "allocation": question.allocation,
        },
        "layout": dict(zip(("tp", "pp", "dp", "ep"), choice.shape, strict=True)),
        "concurrency": choice.concurrency,
        "elasticities": rows,
    }


def _refuse_without_price(setup: Setup, choice: Choice, output: str) -> None:
    found = chain_of(setup, choice)(knobs(setup))
    if math.isnan(float(OUTPUTS[output](found))):
        priced = [name for name in PRICES if not math.isnan(float(OUTPUTS[name](found)))]
        raise ConfigError(
            f"--output {output}: --allocation {setup.question.allocation} leaves it without a price; write "
            f"--output {' or '.join(priced)}, or another allocation"
        )


@dataclasses.dataclass(frozen=True)
class _Varied:
    """A number of the catalogue, and how it is multiplied."""

    entry: Entry[Any]
    path: str
    written: Written
    unit: str
    scaled: Callable[[Knobs, Scalar], Knobs]


def _varied(setup: Setup) -> Iterator[_Varied]:
    for number in system_numbers(setup.system):
        yield _Varied(setup.system, number.path, number.written, number.unit, _of_system(number))
    for name in ("model", "engine", "workload", "site", "terms"):
        entry = getattr(setup, name)
        known = specs.fields(type(entry.spec))
        for path, written in entry.provenance.items():
            if written.value is not None and path in known:
                yield _Varied(entry, path, written, known[path].metadata["unit"], _of_spec(name, path))


def _of_system(number: Number) -> Callable[[Knobs, Scalar], Knobs]:
    def scaled(k: Knobs, factor: Scalar) -> Knobs:
        return dataclasses.replace(k, system=number.set(k.system, number.of(k.system) * factor))

    return scaled


def _of_spec(name: str, path: str) -> Callable[[Knobs, Scalar], Knobs]:
    def scaled(k: Knobs, factor: Scalar) -> Knobs:
        spec = getattr(k, name)
        changed = dataclasses.replace(spec, **{path: getattr(spec, path) * factor})
        return dataclasses.replace(k, **{name: changed})

    return scaled


def _rows(setup: Setup, choice: Choice, output: str) -> Iterator[dict[str, Any]]:
    varied, run, at = list(_varied(setup)), chain_of(setup, choice), knobs(setup)
    here = jnp.ones(len(varied))

    def log_output(factors: Float[Array, " number"]) -> Scalar:
        k = at
        for each, factor in zip(varied, factors, strict=True):
            k = each.scaled(k, factor)
        return jnp.log(OUTPUTS[output](run(k)))

    along = jax.vmap(lambda direction: jax.jvp(log_output, (here,), (direction,))[1])
    for each, elasticity in zip(varied, jax.jit(along)(jnp.eye(len(varied))), strict=True):
        yield _row(each.entry, each.path, each.written, each.unit, float(elasticity))


def _row(entry: Entry[Any], path: str, written: Written, unit: str, elasticity: float) -> dict[str, Any]:
    value, (low, high) = written.si(unit), written.range_si(unit)
    ends = [_power(end / value, elasticity) for end in (low, high)] if value > 0 else [1.0, 1.0]
    return {
        "entry": f"{entry.kind}/{entry.slug}",
        "field": path,
        "value": written.value,
        "confidence": written.confidence,
        "elasticity": elasticity if math.isfinite(elasticity) else 0.0,
        "low": min(ends),
        "high": max(ends),
    }


def _power(ratio: float, exponent: float) -> float:
    return ratio**exponent if ratio > 0 and math.isfinite(exponent) else 1.0
