"""What a peer predicts for the measured rows that ship, as benchmarks/peers/recording.py asked it."""

import numpy as np
import pandas as pd

from clustermodel.calibration.observations import shipped_table
from clustermodel.catalog import Catalog

TABLE = "peer_predictions.csv"
SOURCE = "peer-predictions"
METRICS = ("tpot_ms", "ttft_ms")
COLUMNS = ("id", "peer", "version", *METRICS)


def peer_predictions(catalog: Catalog) -> pd.DataFrame:
    """One line per row that the peer answers (`COLUMNS`)."""
    return shipped_table(catalog, TABLE)


def beside_peer(lines: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The lines with what the peer predicts for the same row and metric; NaN where it has no answer."""
    known, found = predictions.set_index("id"), pd.Series(np.nan, index=lines.index)
    for metric in METRICS:
        found = found.mask(lines["metric"].eq(metric), lines["id"].map(known[metric]))
    return lines.assign(peer=found)


def peer_name(predictions: pd.DataFrame) -> str:
    """Name and version of the peer."""
    return " and ".join((predictions["peer"] + " " + predictions["version"].astype(str)).unique())
