"""Measured rows of machines that live from their memory, against the shipped fit (which has seen them)."""

import numpy as np
import pytest

from clustermodel.calibration.observations import read_observations
from clustermodel.calibration.predict import predict
from clustermodel.calibration.scores import comparisons
from clustermodel.calibration.validate import READERS, answerable, seen, with_layouts
from clustermodel.catalog import load_catalog

CATALOG = load_catalog()
PROMISED = {
    # unified memory; two sockets with MRDIMM; experts on the host; one Grace-Hopper with the batch that fits
    "dgx-spark": ("decode-static-batch", "tpot_ms", 64, 12.0),
    "xeon-6980p-2s": ("single-stream", "tpot_ms", 10, 15.0),
    "ktransformers": ("single-stream", "tpot_ms", 10, 25.0),  # 14 rows, four of them of prefill alone
    "gh200-96gb": ("offline-max-throughput", "output_tok_s_per_accelerator", 44, 20.0),
}


@pytest.fixture(scope="module")
def lines():
    rows = read_observations(CATALOG, None, READERS)
    mine = rows["system"].str.startswith(tuple(PROMISED)) & rows["scenario"].isin(
        [scenario for scenario, *_ in PROMISED.values()]
    )
    rows, _ = answerable(rows[mine])
    rows = with_layouts(CATALOG, rows, "full", None)
    return comparisons(rows, predict(CATALOG, rows), seen(CATALOG, rows))


@pytest.mark.parametrize("system", PROMISED)
def test_machines_with_large_or_unified_memory_are_predicted_as_well_as_promised(lines, system):
    scenario, metric, n, promised = PROMISED[system]
    of_system = lines["system"].str.startswith(system) & lines["scenario"].eq(scenario)
    scored = lines[of_system & lines["metric"].eq(metric)]
    assert len(scored) == n
    assert 100 * np.median(np.abs(scored["predicted"] / scored["measured"] - 1)) <= promised


def test_no_row_is_predicted_faster_than_its_bound(lines):
    ahead = lines["metric"].eq("tpot_ms") & (lines["predicted"] < lines["bound"] * (1 - 1e-9))
    assert not ahead.any()
