"""Throughput and power of systems under workloads, from the serving model instead of a table.

This is the one place where a fleet meets the chain: for every system and workload that name catalogue entries
the cheapest layout and load within the workload's objectives gives one row of the throughput table. Work is
output tokens; their input comes with them, as the workload's lengths say. Folders keep the table, so that
planning need not ask again: `python -m clustermodel.fleet.coefficients FOLDER` writes it.
"""

import math
import sys
from pathlib import Path

import pandas as pd

from clustermodel.catalog import Catalog, InfeasibleError, load_catalog
from clustermodel.chain import Question, cost
from clustermodel.fleet.build import tidy
from clustermodel.fleet.folder import read_folder
from clustermodel.fleet.frames import tidied
from clustermodel.fleet.naming import Tables
from clustermodel.fleet.schema import SETTINGS

SOURCE = "clustermodel"
COLUMNS = ["system", "workload", "throughput [token/s]", "power [W]", "source", "confidence", "note"]
_PLAIN = {"throughput [token/s]": "throughput", "power [W]": "power"}
MILLISECONDS = 1000.0


def throughput_rows(tables: Tables, catalog: Catalog) -> pd.DataFrame:
    """One row for every pair that the serving model can answer; pairs that do not fit are left out."""
    systems, workloads = tables.frames["systems"], tables.frames["workloads"]
    rows = [
        answer
        for _, system in systems.iterrows()
        for _, workload in workloads.iterrows()
        if system["catalog"] and workload["model"]
        if (answer := _row(catalog, system, workload)) is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def renewed(tables: Tables, catalog: Catalog, written: pd.DataFrame | None) -> pd.DataFrame:
    """The throughput table of the serving model as it is now, but for pairs that have rows from elsewhere."""
    if written is None:
        return throughput_rows(tables, catalog)
    elsewhere = written["source"] != SOURCE if "source" in written else pd.Series(True, index=written.index)
    own, wrong = tidied("throughput", written[elsewhere], str(tables.settings["work_unit"]))
    if wrong:
        return written  # whoever builds the problem tells what is wrong with it
    rows = throughput_rows(tables, catalog).rename(columns=_PLAIN)
    said = set(zip(own["system"], own["workload"], strict=True))
    new = [pair not in said for pair in zip(rows["system"], rows["workload"], strict=True)]
    return pd.concat([frame for frame in (rows[new], own) if len(frame)] or [own])


def _row(catalog: Catalog, system: pd.Series, workload: pd.Series) -> dict[str, object] | None:
    finite = lambda seconds: seconds * MILLISECONDS if math.isfinite(seconds) else None
    question = Question(
        system=system["catalog"],
        model=workload["model"],
        engine=workload["engine"],
        workload=workload["lengths"],
        precision=workload["precision"] or None,
        max_ttft_ms=finite(workload["max_ttft"]),
        max_tpot_ms=finite(workload["max_tpot"]),
    )
    try:
        answer = cost(catalog, question)
    except InfeasibleError:
        return None
    spec = catalog.entry("systems", system["catalog"]).spec
    count, used = float(spec.count), in_use(float(spec.count), answer["n_accelerators"])
    idle = (count - used) * float(spec.accelerator.idle_power)
    numbers = (answer["output_tok_s_per_accelerator"] * used, answer["it_w_per_accelerator"] * used + idle)
    layout = " ".join(f"{axis}{n}" for axis, n in answer["layout"].items() if n > 1) or "tp1"
    note = f"{layout}, {answer['concurrency']:g} in flight, {answer['binding_limit']}"
    rounded = (round(numbers[0], 1), round(numbers[1]))
    return dict(
        zip(COLUMNS, (system["system"], workload["workload"], *rounded, SOURCE, "derived", note), strict=True)
    )


def in_use(count: float, replica: float) -> float:
    """Accelerators of a system that whole replicas occupy; a replica larger than a system is shared out."""
    if replica <= count:
        return count // replica * replica
    return replica / math.ceil(replica / count)


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
