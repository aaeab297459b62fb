"""The measured rows that every tool is asked: aggregated serving, everything stated, no objection."""

from typing import Any

import pandas as pd

from clustermodel.calibration.deployments import cache_format, levels
from clustermodel.calibration.observations import read_observations
from clustermodel.calibration.scores import modes
from clustermodel.calibration.validate import answerable
from clustermodel.catalog import Catalog

LAYOUT = ("tp", "pp", "dp", "ep")
WORDS = ("id", "system", "accelerator", "model", "engine", "version", "precision", "kv_precision")
NUMBERS = ("isl", "osl", "concurrency", *LAYOUT)
_SEED = 0


def measured_rows(catalog: Catalog, n: int | None = None) -> pd.DataFrame:
    """Aggregated rows that ship with a measured time per output token and a stated layout; `n` of them by lot."""
    rows, _ = answerable(read_observations(catalog, None, {}))
    sound = modes(rows).eq("aggregated") & rows["flag"].eq("") & rows["tpot_ms"].gt(0)
    stated = rows["layout_assumed"].eq(0) & rows[list(LAYOUT)].notna().all(axis=1)
    kept = rows[sound & stated]
    drawn = kept if n is None or n >= len(kept) else kept.sample(n, random_state=_SEED).sort_index()
    return with_cache_formats(catalog, drawn)


def with_cache_formats(catalog: Catalog, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the format of the cache that our own prediction assumes where none is stated."""
    generations = (level.generation for level in levels(catalog, rows))
    keys = zip(rows["precision"], rows["engine"], generations, strict=True)
    assumed = pd.Series([cache_format(*key) for key in keys], index=rows.index, dtype=object)
    return rows.assign(kv_precision=rows["kv_precision"].where(rows["kv_precision"].ne(""), assumed))


def questions(catalog: Catalog, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as adapters read them: our names, lengths in tokens, requests in flight; nothing measured."""
    systems = {slug: catalog.table(catalog.paths("systems")[slug]) for slug in rows["system"].unique()}
    parts = {slug: table["accelerator"] for slug, table in systems.items()}
    named = rows.assign(accelerator=rows["system"].map(parts))
    return [
        {str(name): value for name, value in row.items()}
        for row in named[[*WORDS, *NUMBERS]].to_dict("records")
    ]
