"""Run a scenario over many paths and say what came out, what it rests on and what drives it."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel.catalog import (
    Catalog,
    ConfigError,
    Entry,
    did_you_mean,
    parse_override,
    require_float64,
    several,
)
from clustermodel.catalog import entry_rows as numbers_of
from clustermodel.economics.concentration import effective_names, hhi, top_share
from clustermodel.economics.montecarlo import METHODS, Sampling, blocks, fan, rank_correlation, summary
from clustermodel.economics.outcome import ROUNDING, Outcome, Series
from clustermodel.risk._beside import beside
from clustermodel.risk._load import Loaded, load_scenario
from clustermodel.units import MONTHS_PER_YEAR, unit_scale

PATHS = 20_000
"""Paths where nothing else is asked for: the tail's error is then a few per cent of the tail."""

LARGEST_PATHS = 100_000_000
"""Figures of all paths are kept for their quantiles, 160 B a path and once more while they are joined: 32 GB."""

BLOCK = 4096
"""Paths computed at a time, or the next power of two where fewer are asked for: memory stays bounded, about 200 MB
for ten contracts over ten years, and programs are few."""

LEVEL = 0.95
"""Level of `var95` and `cvar95`."""

DRIVERS = 5
"""Inputs named as drivers of an answer."""

CHANCE = 3.0
"""Standard errors within which a rank correlation is chance; one is 1 / sqrt(paths) where nothing correlates."""

FAN_PATHS = 8192
"""Paths behind fans and drivers; quantiles of a chart need no more."""

_FLOWS = ("revenue", "contract_revenue", "cash")


def list_scenarios(catalog: Catalog) -> list[dict[str, str]]:
    """Every scenario by name, with the question that it answers."""
    paths = catalog.paths("scenarios")
    return [
        {"name": slug, "question": catalog.table(path).get("question", "")} for slug, path in paths.items()
    ]


def run_scenario(
    catalog: Catalog, name: str, paths: int = PATHS, seed: int = 0, method: str = "quasi"
) -> dict[str, Any]:
    """Answer a scenario's question: figures with their tails, fans over the years, assumptions and drivers.

    The same seed gives the same paths, and the first figures of more paths on any number of accelerators. `var95`
    and `cvar95` lie in the tail that hurts, named by `bad_tail`.
    """
    _refuse_bad(paths, seed, method)
    loaded = load_scenario(catalog, name)
    sampling = Sampling(jax.random.key(seed), paths, loaded.model.draws, method)
    outcome, series, inputs = _paths(loaded, sampling)
    metrics, left_out = _metrics(outcome, loaded.scenario)
    if not metrics:
        rows = "; ".join(f"{each['metric']} {each['reason']}" for each in left_out)
        raise ConfigError(f"scenarios/{loaded.scenario.slug}.toml: metrics: nothing to measure: {rows}")
    return {
        "scenario": loaded.scenario.slug,
        "question": loaded.scenario.words.get("question", ""),
        "paths": sampling.total,
        "seed": seed,
        "method": method,
        "assumptions": [
            {"entry": f"{e.kind}/{e.slug}", **row} for e in loaded.entries for row in numbers_of(e)
        ],
        "metrics": metrics,
        "left_out": left_out,
        "beside": list(beside(loaded.contracts, loaded.supply)),
        "drivers": _drivers(loaded, outcome, inputs, next(iter(metrics), None)),
        "concentration": _concentration(loaded),
        "fans": _fans(series),
        "sources": _sources(catalog, loaded),
    }


def sweep_scenario(
    catalog: Catalog, name: str, field: str, values: str | Sequence[str], *, paths: int = PATHS, seed: int = 0
) -> list[dict[str, Any]]:
    """Metrics of a scenario for several values of one of its numbers: NPV against demand delay, say.

    `sweep_scenario(catalog, "six-months-late", "project.delay", ["0 month", "6 month", "12 month"])`
    """
    slug = catalog.slug("scenarios", name)
    rows = []
    for value in several(values, "values"):
        override = parse_override(f"scenario/{slug}.{field}={value}")
        swept = catalog.changed([override])
        rows.append({field: value, "metrics": run_scenario(swept, slug, paths, seed)["metrics"]})
    return rows


def _refuse_bad(paths: int, seed: int, method: str) -> None:
    if paths < 1:
        raise ConfigError(f"paths is {paths}; ask for at least 1, or leave it out for {PATHS}")
    if paths > LARGEST_PATHS:
        raise ConfigError(
            f"paths is {float(paths):g}; ask for at most {LARGEST_PATHS}, whose figures take 32 GB, "
            f"or leave it out for {PATHS}"
        )
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed is {seed}; write a whole number from 0 to 2^63 - 1")
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is none of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
    require_float64("scenarios")


def _paths(loaded: Loaded, sampling: Sampling) -> tuple[Outcome, Series, Any]:
    """Outcomes of all paths; series and inputs of the first ones, which charts and drivers are read from."""
    outcomes, kept, seen = [], [], 0
    size = min(BLOCK, 1 << (sampling.total - 1).bit_length())
    for outcome, series, inputs in blocks(loaded.model, sampling, size):
        outcomes.append(jax.tree.map(np.asarray, outcome))
        if seen < FAN_PATHS:
            kept.append(jax.tree.map(np.asarray, (series, inputs)))
        seen += len(outcomes[-1].loss)
    joined = lambda parts: jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    return (joined(outcomes), *joined(kept))


_FIELDS = {name: field.metadata for name, field in Outcome.__dataclass_fields__.items()}


def _edge_name(name: str) -> str:
    """A figure's name with its unit: `npv_usd`, `required_revenue_usd_per_year`."""
    unit = _FIELDS[name]["unit"].lower().replace("/", "_per_")
    return f"{name}_{unit}" if unit else name


def _metrics(outcome: Outcome, scenario: Entry[Any]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Figures by name, and which of those that the scenario names have nothing to measure."""
    asked = scenario.words.get("metrics", [])
    names = asked or list(_FIELDS)
    if unknown := [name for name in names if name not in _FIELDS]:
        raise ConfigError(
            f"scenarios/{scenario.slug}.toml: metrics: no figure named {unknown[0]!r}"
            f"{did_you_mean(unknown[0], _FIELDS)}"
        )
    found = {name: np.asarray(getattr(outcome, name)) for name in names}
    measured = {name: sample for name, sample in found.items() if np.isfinite(sample).all()}
    absent = [name for name in asked if name not in measured]
    left_out = [{"metric": _edge_name(name), "reason": _unmeasured(name, found[name])} for name in absent]
    return {_edge_name(name): _metric(name, sample) for name, sample in measured.items()}, left_out


def _unmeasured(name: str, sample: Any) -> str:
    """Why a figure has no mean."""
    paths = int(np.sum(~np.isfinite(sample)))
    where = "" if paths == len(sample) else f" on {paths:,} of {len(sample):,} paths"
    if needs := _FIELDS[name]["needs"]:
        return f"needs {needs}{where and ', absent' + where}"
    return f"is beyond all numbers{where}: some number of the scenario is far too large or too small"


def _metric(name: str, sample: np.ndarray) -> dict[str, Any]:
    field = _FIELDS[name]
    scaled = sample / unit_scale(field["unit"])[0]
    found = summary(jnp.asarray(scaled), jnp.asarray(LEVEL), jnp.asarray(float(field["low_is_bad"])))
    plain = {each: float(getattr(found, each)) for each in ("mean", "p10", "p50", "p90", "se")}
    tail = {"var95": float(found.var), "cvar95": float(found.cvar), "cvar95_se": float(found.cvar_se)}
    bad = "low" if field["low_is_bad"] else "high"
    return {**plain, **tail, "bad_tail": bad, "unit": field["unit"], "meaning": field["doc"]}


def _drivers(loaded: Loaded, outcome: Outcome, inputs: Any, metric: str | None) -> list[dict[str, Any]]:
    """Uncertain inputs by their rank correlation with the first figure, strongest first; none drives a constant.

    A correlation that chance alone would leave between as many paths drives nothing.
    """
    if not loaded.inputs or metric is None:
        return []
    name = next(each for each in _FIELDS if _edge_name(each) == metric)
    sample = getattr(outcome, name)[: inputs.shape[0]]
    if _is_constant(sample):
        return []
    found = np.asarray(rank_correlation(inputs[:, : len(loaded.inputs)], sample))
    order = np.argsort(-np.abs(found), kind="stable")[:DRIVERS]
    order = order[np.abs(found[order]) > CHANCE / math.sqrt(len(sample))]
    return [{"input": loaded.inputs[i], "metric": metric, "rank_correlation": float(found[i])} for i in order]


def _is_constant(sample: Any) -> bool:
    """Whether nothing but rounding tells the values apart."""
    return bool(np.ptp(sample) <= ROUNDING * np.max(np.abs(sample)))


def _concentration(loaded: Loaded) -> dict[str, Any]:
    """How much of the headline value hangs on few buyers; empty without any value."""
    if not any(loaded.exposures.values()):
        return {}
    exposure = jnp.asarray(loaded.names)
    return {
        "hhi": float(hhi(exposure)),
        "effective_names": float(effective_names(exposure)),
        "top_1_share": float(top_share(exposure, 1)),
        "top_2_share": float(top_share(exposure, 2)),
        "usd_by_buyer": loaded.exposures,
    }


def _fans(series: Series) -> dict[str, Any]:
    """P10, P50 and P90 by year: sums of flows, means of prices and demand."""
    fans: dict[str, Any] = {}
    for name in Series.__dataclass_fields__:
        months = getattr(series, name)
        by_year = jnp.reshape(months, (months.shape[0], -1, MONTHS_PER_YEAR))
        flow = name in _FLOWS
        low, middle, high = np.asarray(fan(by_year.sum(axis=2) if flow else by_year.mean(axis=2)))
        quantiles = {"p10": low.tolist(), "p50": middle.tolist(), "p90": high.tolist()}
        fans[f"{name}_usd_per_year" if flow else name] = quantiles
    return fans


def _sources(catalog: Catalog, loaded: Loaded) -> list[dict[str, str]]:
    keys = dict.fromkeys(number.source for entry in loaded.entries for number in entry.provenance.values())
    return [{"key": key, **{k: str(v) for k, v in catalog.sources[key].items()}} for key in keys if key]
