"""Predictions of rows that a fit has not seen: split the rows, learn from all parts but one, predict that one."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from clustermodel.calibration.effects import CoefficientTable
from clustermodel.calibration.predict import predict
from clustermodel.calibration.scores import comparisons
from clustermodel.catalog import Catalog

Learn = Callable[[pd.Series], CoefficientTable]
"""The coefficients that the kept rows teach; rows are kept by a series of bool on their index."""

CURVE = (
    "model",
    "system",
    "engine",
    "version",
    "precision",
    "kv_precision",
    "tp",
    "pp",
    "dp",
    "ep",
    "workers",
    "isl",
    "osl",
    "scenario",
    "speculation",
)
"""What rows of one load curve share."""
POINT = (*CURVE, "concurrency")
"""What repeats of one measurement share."""
_SEED = 0


def parts_by(rows: pd.DataFrame, columns: Sequence[str], most: int | None = None) -> pd.Series:
    """The part of each row: rows that agree in `columns` stay together, at random in at most `most` parts."""
    group = rows.groupby(list(columns), dropna=False).ngroup()
    if most is None:
        return group
    shuffled = np.random.default_rng(_SEED).permutation(group.max() + 1)
    return pd.Series(shuffled[group] % most, index=rows.index)


def left_out(
    catalog: Catalog, rows: pd.DataFrame, parts: pd.Series, learn: Learn
) -> Iterator[tuple[pd.DataFrame, CoefficientTable]]:
    """For each part its measurements beside predictions by what the other parts teach, and what that is."""
    for part in sorted(parts.unique()):
        table = learn(parts != part)
        mine = rows[parts == part]
        unseen = pd.Series(False, index=mine.index)
        yield comparisons(mine, predict(catalog, mine, "full", table), unseen).assign(part=part), table
