"""Random futures of demand for a folder: common and own random walks, and an anchor tenant that may leave.

`python -m clustermodel.fleet.futures FOLDER` writes scenarios.csv and factors.csv from the folder's futures.toml.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.catalog import ConfigError, mistakes, read_toml, read_written

WORDS = ("workloads", "anchor", "scenarios", "seed")
UNITS = {"common": "", "own": "", "hazard": "1/s", "kept": ""}


@dataclasses.dataclass(frozen=True)
class Futures:
    """What moves demand: standard deviations a period, hazard of the anchor's exit (1/s), demand kept after it."""

    workloads: tuple[str, ...]
    anchor: str
    scenarios: int
    seed: int
    common: float
    own: float
    hazard: float
    kept: float


def read_futures(path: Path) -> Futures:
    """Read futures.toml; a `ConfigError` lists what is wrong with it."""
    rows = read_toml(path)
    known = (*WORDS, *UNITS)
    problems = [f"{key}: missing" for key in known if key not in rows]
    problems += [f"{key}: none of {', '.join(known)}" for key in rows if key not in known]
    problems += [
        f"{key}: {wrong}" for key in UNITS if key in rows for wrong in mistakes(rows[key], UNITS[key])
    ]
    if problems:
        raise ConfigError("\n  ".join([f"{path.name}:", *problems]))
    numbers: dict[str, Any] = {key: read_written(rows[key]).si(unit) for key, unit in UNITS.items()}
    return Futures(tuple(rows["workloads"]), rows["anchor"], rows["scenarios"], rows["seed"], **numbers)


def factors(futures: Futures, periods: int, period_length: float) -> np.ndarray:
    """Demand over its expected path without exit, [scenario, period, workload]; the walks have mean 1.

    factor = exp(sum of steps - drift), times `kept` for the anchor from the period of its exit on, which is
    geometric: a period ends it with chance 1 - exp(-hazard x length).
    """
    random = np.random.default_rng(futures.seed)
    shape = (futures.scenarios, periods, len(futures.workloads))
    common = random.normal(0, futures.common, (*shape[:2], 1)).cumsum(axis=1)
    own = random.normal(0, futures.own, shape).cumsum(axis=1)
    drift = (futures.common**2 + futures.own**2) / 2 * np.arange(1, periods + 1)[:, None]
    walk = np.exp(common + own - drift)
    left = random.exponential(1 / futures.hazard, (futures.scenarios, 1)) if futures.hazard else np.inf
    gone = left < np.arange(1, periods + 1) * period_length
    anchor = np.array([name == futures.anchor for name in futures.workloads])
    return np.where(gone[..., None] & anchor, futures.kept, 1.0) * walk


def write_futures(folder: Path) -> None:
    """Write the scenarios, equally likely, and their factors."""
    futures, settings = read_futures(folder / "futures.toml"), read_toml(folder / "fleet.toml")
    periods = settings["periods"]
    length = read_written(settings["period_length"]).si("s")
    values = factors(futures, len(periods), length)
    names = [f"future-{s + 1:03d}" for s in range(futures.scenarios)]
    index = pd.MultiIndex.from_product([names, periods, futures.workloads])
    frame = pd.DataFrame({"factor": values.round(4).ravel()}, index=index)
    frame.rename_axis(["scenario", "period", "workload"]).reset_index().to_csv(
        folder / "factors.csv", index=False
    )
    equal = pd.DataFrame({"scenario": names, "probability": 1 / futures.scenarios})
    equal.to_csv(folder / "scenarios.csv", index=False)


if __name__ == "__main__":
    write_futures(Path(sys.argv[1]))
