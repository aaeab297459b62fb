"""From measured rows to stacked deployments and loads, which `jax.vmap` evaluates in one call."""

import dataclasses
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustermodel.assembly import resolve_formats
from clustermodel.calibration.effects import Calibration, Level, load_table, natural
from clustermodel.catalog import Catalog, Entry
from clustermodel.physics.deployment import Deployment, Formats, Layout
from clustermodel.serving.load import Load
from clustermodel.specs import Engine, Model, System, gather

Spec = TypeVar("Spec", bound=eqx.Module)

OFFLINE = ("offline-max-throughput", "mlperf-offline")
SATURATING = 1e5
"""Requests in flight where all are queued at the start: far more than any replica holds."""
UNLIMITED = 1e6
"""`max_num_seqs` where the client limits the batch: benchmarks set it to the concurrency."""
DEFAULT_ENGINE = "vllm"
EIGHT_BIT_CACHE = ("blackwell", "cdna")


@dataclasses.dataclass(frozen=True)
class Batch:
    """What to predict: stacked deployments and loads, one for each row of a frame with the same index."""

    deployment: Deployment
    load: Load
    rows: pd.DataFrame


class _Known(NamedTuple):
    systems: dict[str, Entry[System]]
    models: dict[str, Entry[Model]]


def generation(system: Entry[System], catalog: Catalog) -> str:
    """Hardware generation that engines' kernels are written for: "Grace-Hopper" is hopper, "CDNA4" is cdna."""
    part = catalog.table(catalog.paths("systems")[system.slug])["accelerator"]
    words = catalog.table(catalog.paths("accelerators")[part])
    name = str(words.get("generation", words.get("architecture", part))).lower()
    return re.sub(r"^grace-|[\d.]+$| ultra$", "", name)


def connected(catalog: Catalog, rows: pd.DataFrame) -> pd.Series:
    """Whether the accelerators of each row's worker have a link to each other, or need none."""
    systems = {slug: catalog.entry("systems", slug).spec for slug in rows["system"].unique()}

    def reach(system: System) -> float:
        """Largest group that can talk."""
        inside = system.scaleup_domain if float(system.accelerator.link_bandwidth) > 0 else 1.0
        return np.inf if float(system.accelerator.scaleout_bandwidth) > 0 else float(inside)

    largest = rows["system"].map({slug: reach(system) for slug, system in systems.items()})
    return rows["tp"] * rows["pp"] * rows["dp"] <= largest


def levels(catalog: Catalog, rows: pd.DataFrame) -> list[Level]:
    """The groups whose effects apply to each row."""
    generations = {
        slug: generation(catalog.entry("systems", slug), catalog) for slug in rows["system"].unique()
    }
    generation_of = rows["system"].map(generations)
    columns = (rows["model"], rows["engine"], rows["system"], generation_of, rows["version"])
    return [Level(*parts) for parts in zip(*columns, strict=True)]


def assemble(
    catalog: Catalog, rows: pd.DataFrame, effects: str = "full", calibration: Calibration = None
) -> Batch:
    """Stack everything that `closed_loop` needs; every row must have a system, a model, lengths and a layout."""
    table, row_levels = load_table(catalog, calibration), levels(catalog, rows)
    links = np.stack([table.links(level, effects) for level in row_levels])
    known = _Known(
        {slug: catalog.entry("systems", slug) for slug in rows["system"].unique()},
        {slug: catalog.entry("models", slug) for slug in rows["model"].unique()},
    )
    coefficients = natural(links)
    offline = jnp.asarray(rows["scenario"].isin(OFFLINE).to_numpy())
    engine = _gather(_engines(catalog, rows), rows["engine"])
    limit = jnp.where(offline, coefficients.offline_sequences, UNLIMITED)
    deployment = Deployment(
        system=_gather({slug: entry.spec for slug, entry in known.systems.items()}, rows["system"]),
        model=_gather({slug: entry.spec for slug, entry in known.models.items()}, rows["model"]),
        formats=_formats(known, rows, [level.generation for level in row_levels]),
        layout=Layout(*(_array(rows[axis]) for axis in ("tp", "pp", "dp", "ep"))),
        engine=eqx.tree_at(lambda e: e.max_num_seqs, engine, limit),
        coefficients=coefficients,
    )
    return Batch(deployment, load(rows, offline), rows)


def load(rows: pd.DataFrame, offline: NDArray[np.bool_] | jax.Array) -> Load:
    """Requests in flight of one replica and their mean shape."""
    per_worker = _array(rows["concurrency"].fillna(SATURATING)) / _array(rows["workers"])
    drafts, accepted = speculation(rows)
    length = rows["isl"] + rows["depth"]
    stated = Load(
        concurrency=jnp.where(jnp.asarray(offline), SATURATING, per_worker),
        isl=_array(length),
        osl=_array(rows["osl"]),
        prefix_hit_rate=_array(rows["depth"] / length.clip(lower=1.0)),
        equal_lengths=_array(rows["equal_lengths"]),
        draft_tokens=jnp.asarray(drafts),
        accepted_tokens=jnp.asarray(accepted),
    )
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, len(rows)), stated)


DRAFTS = {True: (3.0, 1.6), False: (1.0, 0.85)}
"""MTP drafts and mean accepted tokens at most 64 and at more requests in flight [InferenceX recipes; fit]."""
FEW_REQUESTS = 64


def speculation(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tokens drafted and accepted per step; zero without speculation."""
    few = rows["concurrency"].fillna(SATURATING) <= FEW_REQUESTS
    speculative = rows["speculation"].str.startswith("mtp").to_numpy()
    drafts, accepted = np.array([DRAFTS[each] for each in few]).T
    return drafts * speculative, accepted * speculative


def _array(column: pd.Series) -> jax.Array:
    return jnp.asarray(column.to_numpy(float))


def _gather(specs: dict[str, Spec], keys: pd.Series) -> Spec:
    return _distinct(keys.tolist(), specs.__getitem__)


def _engines(catalog: Catalog, rows: pd.DataFrame) -> dict[str, Engine]:
    shipped = catalog.paths("engines")
    return {
        name: catalog.entry("engines", name if name in shipped else DEFAULT_ENGINE).spec
        for name in rows["engine"].unique()
    }


def cache_format(precision: str, engine: str, hardware: str) -> str:
    """Format of the cache where a row does not state it (it is stated in 1 % of published rows).

    16-bit weights keep a 16-bit cache; TensorRT-LLM, and all engines on Blackwell and CDNA, run 8-bit caches
    in these benchmarks; vLLM and SGLang on Hopper keep 16 bits [fit of the study, an assumption].
    """
    if precision in ("bf16", "fp16"):
        return "bf16"
    return "fp8" if engine == "trtllm" or hardware in EIGHT_BIT_CACHE else "bf16"


def _formats(known: _Known, rows: pd.DataFrame, generations: Sequence[str]) -> Formats:
    def build(key: tuple[str, ...]) -> Formats:
        system, model, precision, stated, engine, hardware = key
        cache = stated or cache_format(precision, engine, hardware)
        return resolve_formats(known.systems[system], known.models[model], precision or None, cache)[1]

    columns = [rows[name] for name in ("system", "model", "precision", "kv_precision", "engine")]
    return _distinct(list(zip(*columns, generations, strict=True)), build)


def _distinct(keys: Sequence[Hashable], build: Callable[[Any], Spec]) -> Spec:
    """Build one spec for each distinct key and spread them over the rows (in numpy: thousands of small reads)."""
    position = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    specs = [build(key) for key in position]
    index = np.array([position[key] for key in keys])
    return jax.tree.map(lambda leaf: leaf[index], gather(specs))
