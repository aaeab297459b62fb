"""Throughput and power of systems under workloads, from the serving model instead of a table.

This is the one place where a fleet meets the chain: for every system and workload that name catalogue entries
the cheapest layout and load within the workload's objectives gives one row of the throughput table.
"""

import math
import sys
from pathlib import Path

import pandas as pd

from clustermodel.catalog import Catalog, InfeasibleError, load_catalog
from clustermodel.chain import Question, cost
from clustermodel.fleet.build import tidy
from clustermodel.fleet.folder import read_folder
from clustermodel.fleet.naming import Tables
from clustermodel.fleet.schema import SETTINGS

SOURCE = "clustermodel"
MILLISECONDS = 1000.0


def throughput_rows(tables: Tables, catalog: Catalog) -> pd.DataFrame:
    """One row for every pair that the serving model can answer; pairs that do not fit are left out."""
    systems, workloads = tables.frames["systems"], tables.frames["workloads"]
    rows = [
        answer
        for system in systems.to_dict("records")
        for workload in workloads.to_dict("records")
        if system["catalog"] and workload["model"]
        if (answer := _row(catalog, system, workload)) is not None
    ]
    return pd.DataFrame(rows)


def _row(catalog: Catalog, system: dict, workload: dict) -> dict[str, object] | None:
    finite = lambda seconds: seconds * MILLISECONDS if math.isfinite(seconds) else None
    question = Question(
        system=system["catalog"],
        model=workload["model"],
        workload=workload["lengths"],
        precision=workload["precision"] or None,
        max_ttft_ms=finite(workload["max_ttft"]),
        max_tpot_ms=finite(workload["max_tpot"]),
    )
    try:
        answer = cost(catalog, question)
    except InfeasibleError:
        return None
    count = float(catalog.entry("systems", system["catalog"]).spec.count)
    used = count // answer["n_accelerators"] * answer["n_accelerators"]  # replicas are whole
    return {
        "system": system["system"],
        "workload": workload["workload"],
        "throughput [token/s]": round(answer["output_tok_s_per_accelerator"] * used, 1),
        "power [W]": round(answer["it_w_per_accelerator"] * count),
        "source": SOURCE,
        "confidence": "derived",
    }


def write_throughput(folder: Path, catalog: Catalog | None = None) -> Path:
    """Write throughput.csv of a folder from the serving model, so that planning needs it no more."""
    raw = read_folder(folder)
    tables = tidy({key: rule.default for key, rule in SETTINGS.items()} | raw.settings, raw.tables)
    target = folder / "throughput.csv"
    throughput_rows(tables, catalog or load_catalog()).to_csv(target, index=False)
    return target


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    print(write_throughput(Path(sys.argv[1])))
