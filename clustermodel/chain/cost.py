"""`cost`: one deployment, from the question to the answer with its working and its sources."""

import dataclasses
import functools
from typing import Any

import numpy as np

from clustermodel import __version__, specs
from clustermodel.catalog import Catalog
from clustermodel.chain import pools
from clustermodel.chain.choose import Choice, choose, systems_if
from clustermodel.chain.evaluate import token_rates
from clustermodel.chain.fields import MS, memory_fields, prefix_fields, speed, step_ms
from clustermodel.chain.input_ranges import Asked, price_range
from clustermodel.chain.money import hour_parts, money_fields
from clustermodel.chain.priced import priced
from clustermodel.chain.provenance import assumptions, inputs, sources
from clustermodel.chain.question import Question
from clustermodel.chain.roofline import roofline
from clustermodel.chain.setup import Setup, set_up
from clustermodel.chain.uncertain_numbers import uncertain_numbers
from clustermodel.chain.uncertainty import ranges, uncertainty
from clustermodel.chain.watts import power_fields, power_parts
from clustermodel.kept import Kept
from clustermodel.physics.deployment import Layout
from clustermodel.serving.resources import resources
from clustermodel.serving.steady import ServingPoint

SCHEMA = 1
_owed = Kept(resources)


def cost(catalog: Catalog, question: Question) -> dict[str, Any]:
    """Tokens, watts and dollars of one deployment.

    Returns:
        The fields of the design's `cost` object, numbers as plain floats, null where not defined.

    Raises:
        ConfigError: the question is wrong.
        InfeasibleError: it has no answer; the text names the binding limit and the nearest feasible value.
    """
    if question.disaggregated:
        return pools.cost(catalog, question)
    setup = set_up(catalog, question)
    return answer(catalog, setup, choose(setup))


def answer(catalog: Catalog, setup: Setup, choice: Choice) -> dict[str, Any]:
    """The answer object of a chosen point."""
    found = operating_point(catalog, setup, choice)
    price, model_range = found["usd_per_mtok_total"], found["uncertainty"]["usd_per_mtok_total"]
    asked = Asked(setup, list(uncertain_numbers(setup)), functools.partial(priced, choice))
    return found | price_range(asked, price, model_range)


def operating_point(catalog: Catalog, setup: Setup, choice: Choice) -> dict[str, Any]:
    """The same without what the ranges of the inputs do to the price, which takes most of the time."""
    point = choice.evaluation.point
    n = int(np.prod(choice.shape[:3]))
    owed = _owed(point)
    resource_time = {f.name: float(getattr(owed, f.name)) for f in dataclasses.fields(owed)}
    found = {
        "kind": "cost",
        "schema": SCHEMA,
        "version": __version__,
        "system": setup.system.slug,
        "model": setup.model.slug,
        "engine": setup.engine.slug,
        "precision": setup.precision.label,
        "kv_precision": setup.precision.cache,
        "compute_precision": setup.precision.widest_arithmetic,
        "layout": dict(zip(("tp", "pp", "dp", "ep"), choice.shape, strict=True)),
        "n_accelerators": n,
        "n_systems": choice.n_systems,
        "concurrency": choice.concurrency,
        **speed(setup, point, choice.latency, n),
        **money_fields(setup, choice),
        **power_fields(setup, choice),
        "memory": memory_fields(setup, point.memory, float(point.batch)) | _prefixes(setup, choice),
        "binding_limit": binding_limit(setup, choice, resource_time),
        "bounds": {
            "tpot_ms": float(point.bounds.tpot) * MS,
            "ttft_ms": float(point.bounds.ttft) * MS,
            "output_tok_s_per_accelerator": float(point.bounds.output_rate) / n,
        },
        "breakdown": {
            "usd_per_accelerator_hour": hour_parts(choice),
            "step_ms": step_ms(point.step, point.time.decode) | _before_decode(point),
            "power_w": power_parts(setup, choice),
        },
        "roofline": roofline(setup, choice),
        "seen": setup.measured,
        "points_searched": choice.searched,
        "inputs": inputs(setup),
        "assumptions": assumptions(setup),
        "sources": sources(catalog, setup),
    }
    needed = functools.partial(systems_if, setup, choice)
    return found | {"uncertainty": uncertainty(found, ranges(catalog, setup), needed)}


def _prefixes(setup: Setup, choice: Choice) -> dict[str, float | None]:
    """How long the replica keeps the prefixes that it caches."""
    evaluation, layout = choice.evaluation, Layout(*map(specs.strong_float, choice.shape))
    cached = token_rates(evaluation.point, setup.load(choice.concurrency)).cached
    return prefix_fields(setup, layout, cached, evaluation.carried)


def _before_decode(point: ServingPoint) -> dict[str, float]:
    """The rest of the mean time per output token (ms): what a running request sees of the prompts of others."""
    seen = float(point.others) * MS
    return {"prefill": float(point.time.prefill) * seen, "reload": float(point.time.reload) * seen}


def binding_limit(setup: Setup, choice: Choice, resource_time: dict[str, float]) -> str:
    """The active objective, else demand where one system is enough, else capacity where memory limits the batch.

    Else the largest resource.
    """
    if choice.active:
        return choice.active
    if choice.n_systems == 1:
        return "demand"
    wanted = min(choice.concurrency, float(setup.engine.spec.max_num_seqs) * choice.shape[2])
    if float(choice.evaluation.point.memory.sequences) < 1.1 * wanted:
        return "capacity"
    return max(resource_time, key=lambda name: resource_time[name])
