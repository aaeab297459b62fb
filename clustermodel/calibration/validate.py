"""Score the model on measured rows: the table that ships with the package, or a user's own."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clustermodel.calibration.deployments import connected
from clustermodel.calibration.effects import Calibration, check_effects
from clustermodel.calibration.layouts import best, open_layouts, splits
from clustermodel.calibration.observations import read_observations, shipped
from clustermodel.calibration.peers import SOURCE, beside_peer, peer_name, peer_predictions
from clustermodel.calibration.power_rows import is_power_table
from clustermodel.calibration.power_score import power_comparisons
from clustermodel.calibration.predict import PREFILL, STATIC, predict
from clustermodel.calibration.published import SIGNATURE as PUBLISHED
from clustermodel.calibration.published import read_published
from clustermodel.calibration.scores import COLUMNS, beaten_bounds, comparisons, summary
from clustermodel.calibration.silicon import SIGNATURE as SILICON
from clustermodel.calibration.silicon import read_silicon
from clustermodel.catalog import Catalog, ConfigError

READERS = {SILICON: read_silicon, PUBLISHED: read_published}
BOUNDS = "bounds.toml"
_LEAST_OUTPUT = 1.0


@dataclasses.dataclass(frozen=True)
class Validation:
    """Predictions beside measurements, and why some rows have none."""

    lines: pd.DataFrame
    skipped: dict[str, int]
    sources: tuple[Mapping[str, Any], ...] = ()
    beaten: tuple[Mapping[str, Any], ...] = ()  # measurements better than their bound, each with a reason
    peer: str = ""  # name and version of the peer, where it answers some of the rows

    def to_dict(self) -> dict[str, Any]:
        """The answer of `clustermodel validate`."""
        skipped = [{"reason": reason, "n": n} for reason, n in self.skipped.items()]
        return {
            "groups": summary(self.lines),
            "peer": self.peer,
            "skipped": skipped,
            "bounds_above_measurement": list(self.beaten),
            "sources": list(self.sources),
        }

    def rows(self) -> pd.DataFrame:
        """One line per row and metric, as `--out` writes them."""
        return self.lines[list(COLUMNS)]


def validation(
    catalog: Catalog, data: Path | None = None, effects: str = "full", calibration: Calibration = None
) -> Validation:
    """Predict every row of a table that can be predicted: latency, throughput, cost, and board power."""
    check_effects(effects)
    power, reasons = power_comparisons(catalog, data, effects)
    if data is not None and is_power_table(data):
        _refuse_nothing(data, power, reasons)
        return _validation(catalog, power, reasons)
    rows = read_observations(catalog, data, READERS)
    rows, reasons = answerable(rows)
    rows = with_layouts(catalog, rows, effects, calibration)
    lost, apart = rows["tp"].isna(), ~connected(catalog, rows)
    reasons += ["the model fits in no layout of the system"] * int(lost.sum())
    reasons += ["no link between the accelerators is known"] * int((apart & ~lost).sum())
    rows = rows[~lost & ~apart]
    _refuse_nothing(data, rows, reasons)
    predictions = predict(catalog, rows, effects, calibration)
    lines = comparisons(rows, predictions, seen(catalog, rows))
    unscored = len(rows) - lines["row"].nunique()
    reasons += ["no measured value that the model predicts"] * unscored
    _refuse_nothing(data, lines, reasons)
    return _validation(catalog, pd.concat([lines, power], ignore_index=True), reasons)


def _refuse_nothing(data: Path | None, left: pd.DataFrame, reasons: list[str]) -> None:
    """A table of which no row is left has no error to show."""
    if left.empty:
        why = "; ".join(f"{reason} ({reasons.count(reason)})" for reason in dict.fromkeys(reasons))
        raise ConfigError(
            f"{data}: no row can be predicted: {why or 'the table is empty'}; mend these columns"
        )


def _validation(catalog: Catalog, lines: pd.DataFrame, reasons: list[str]) -> Validation:
    """The lines beside the peer's, with the sources they name and the bounds they beat."""
    asked = peer_predictions(catalog)
    lines = beside_peer(lines, asked)
    used = {str(key): len(part) for key, part in lines.groupby("source")}
    if answered := int((lines["peer"] > 0).sum()):
        used[SOURCE] = answered
    sources = [
        {"key": key, "published": "", **catalog.sources[key], "n": n}
        for key, n in used.items()
        if key in catalog.sources
    ]
    beaten = beaten_bounds(lines, catalog.table(shipped(catalog, BOUNDS))["reason"])
    skipped = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    return Validation(lines, skipped, tuple(sources), tuple(beaten), peer_name(asked) if answered else "")


def validate(
    catalog: Catalog, data: Path | None = None, effects: str = "full", calibration: Calibration = None
) -> dict[str, Any]:
    """Errors by group and the rows that could not be predicted, as `clustermodel validate` prints them."""
    return validation(catalog, data, effects, calibration).to_dict()


def answerable(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows that can be predicted, and for each of the others a reason."""
    mlperf = rows["scenario"].str.startswith("mlperf")
    static, prefill = rows["scenario"].isin(STATIC), rows["scenario"].isin(PREFILL)
    offline = rows["scenario"].eq("offline-max-throughput")
    tests = {
        "hardware not in the catalogue": rows["system"].eq(""),
        "model not in the catalogue": rows["model"].eq(""),
        "input length not stated": ~(rows["isl"] >= 0) & ~mlperf,
        "batch or concurrency not stated": ~(rows["concurrency"] > 0) & ~offline & ~mlperf,
    }
    reason = pd.Series("", index=rows.index)
    for words, test in tests.items():
        reason = reason.where(~test | reason.ne(""), words)
    short = static | prefill | rows["scenario"].eq("single-stream")
    osl = rows["osl"].where(rows["osl"].ge(_LEAST_OUTPUT) | ~short, _LEAST_OUTPUT)
    reason = reason.mask(~(osl > 0) & ~mlperf & reason.eq(""), "output length not stated")
    kept = rows.assign(osl=osl, isl=rows["isl"].clip(lower=1.0))[reason.eq("")]
    return kept, reason[reason.ne("")].tolist()


def with_layouts(
    catalog: Catalog, rows: pd.DataFrame, effects: str, calibration: Calibration
) -> pd.DataFrame:
    """The rows with the best feasible split where the table leaves the layout open."""
    undecided = open_layouts(rows)
    if not undecided.any():
        return rows
    ways = splits(catalog, rows[undecided])
    chosen = best(catalog, ways, predict(catalog, ways, effects, calibration))
    found = rows.copy()
    names = [name for name in chosen.columns if name in found.columns]
    found.loc[chosen.index, names] = chosen[names]
    return found


def seen(catalog: Catalog, rows: pd.DataFrame) -> pd.Series:
    """Whether the (system, model, engine) of each row is in the shipped table."""
    own = read_observations(catalog, None, READERS)
    known = set(zip(own["system"], own["model"], own["engine"], strict=True))
    triples = zip(rows["system"], rows["model"], rows["engine"], strict=True)
    return pd.Series([triple in known for triple in triples], index=rows.index)
