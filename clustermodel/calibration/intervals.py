"""How far a measurement may lie from its prediction: what nine of ten measured rows kept, by kind of question.

`python -m clustermodel.calibration.intervals` scores the shipped table and rewrites configs/calibration/intervals.toml.
Rows of a (system, model, engine) that was measured are scored with all effects, in sample; what a prediction
for anything else may miss is read from the same rows scored without effects.
"""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clustermodel.catalog import CONFIGS, Catalog, ConfigError, load_catalog

if TYPE_CHECKING:
    import pandas as pd

FILE = "intervals.toml"
LEVELS = (0.1, 0.9)
METRICS = ("tpot_ms", "ttft_ms", "output_tok_s_per_accelerator")
CLASSES = {"seen": "full", "unseen": "globals"}
_MODE = "aggregated"


class Interval(NamedTuple):
    """Measured over predicted: the 10 % and the 90 % quantile."""

    low: float
    high: float


def load_intervals(catalog: Catalog, seen: bool) -> dict[str, Interval]:
    """Intervals by metric for a combination that was measured, or for one that was not."""
    for folder in catalog.folders:
        path = folder / "calibration" / FILE
        if path.exists():
            table = catalog.table(path)["seen" if seen else "unseen"]
            return {name: Interval(float(row["low"]), float(row["high"])) for name, row in table.items()}
    raise ConfigError(f"calibration/{FILE}: not in any configs folder; reinstall clustermodel")


def fitted_intervals(lines: "pd.DataFrame") -> dict[str, Interval]:
    """Quantiles of measured over predicted in the unflagged aggregated rows of a validation."""
    kept = lines[lines["mode"].eq(_MODE) & lines["flagged"].eq(0)]
    ratio = kept["measured"] / kept["predicted"]
    found = {metric: np.quantile(ratio[kept["metric"].eq(metric)], LEVELS) for metric in METRICS}
    return {metric: Interval(*map(float, quantiles)) for metric, quantiles in found.items()}


def refit(path: Path = CONFIGS / "calibration" / FILE) -> None:
    """Score the shipped table and write the file."""
    import jax

    from clustermodel.calibration.validate import validation

    jax.config.update("jax_enable_x64", True)
    text = [
        'title = "10 % and 90 % quantiles of measured over predicted, aggregated rows of the shipped table"'
    ]
    text.append(f'date = "{datetime.date.today().isoformat()}"')
    for kind, effects in CLASSES.items():
        lines = validation(load_catalog(), None, effects).lines
        text.append(f"\n[{kind}]")
        for metric, interval in fitted_intervals(lines).items():
            text.append(f"{metric} = {{ low = {interval.low:.3f}, high = {interval.high:.3f} }}")
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    refit()
