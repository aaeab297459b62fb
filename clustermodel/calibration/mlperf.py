"""What MLPerf result summaries leave out: lengths of the dataset and the latency limits of a scenario."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.calibration.observations import shipped
from clustermodel.catalog import Catalog
from clustermodel.units import parse

SERVED = ("mlperf-server", "mlperf-interactive")


def _facts(catalog: Catalog) -> Mapping[str, Mapping[str, Any]]:
    return catalog.table(shipped(catalog, "mlperf.toml"))


def with_lengths(catalog: Catalog, rows: pd.DataFrame) -> pd.DataFrame:
    """MLPerf rows with the mean lengths of their dataset where the row states none."""
    facts, mlperf = _facts(catalog), rows["scenario"].str.startswith("mlperf")
    filled = rows.copy()
    for name in ("isl", "osl"):
        known = {model: parse(fact[name]["value"], expect="token") for model, fact in facts.items()}
        filled[name] = filled[name].where(filled[name].notna() | ~mlperf, rows["model"].map(known))
    return filled


def limits(catalog: Catalog, rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Longest TTFT and TPOT that the scenario of each row allows (s); infinite without a limit."""
    facts = _facts(catalog)

    def limit(model: str, scenario: str, name: str) -> float:
        given = facts.get(model, {}).get(scenario.removeprefix("mlperf-"), {})
        return parse(given[name], expect="s") if scenario in SERVED and name in given else np.inf

    keys = list(zip(rows["model"], rows["scenario"], strict=True))
    found = {name: [limit(*key, name) for key in keys] for name in ("ttft", "tpot")}
    return pd.Series(found["ttft"], rows.index), pd.Series(found["tpot"], rows.index)
