"""Compare predictions with measurements: one line per row and metric, and errors by group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.calibration.predict import PREFILL, STATIC
from clustermodel.units import MILLION, SECONDS_PER_HOUR

COLUMNS = ("id", "metric", "mode", "measured", "predicted", "bound", "seen", "flagged")
BY = ("all", "mode", "system", "model", "engine", "precision", "scenario", "seen", "flagged")
BOUNDED = ("tpot_ms", "ttft_ms", "output_tok_s_per_accelerator")
_MS = 1e3
ONE_AT_A_TIME = ("single-stream",)


def modes(rows: pd.DataFrame) -> pd.Series:
    """How a row was measured; the first that matches."""
    scenario = rows["scenario"]
    tests = {
        "mlperf": scenario.str.startswith("mlperf"),
        "disaggregated": rows["disaggregated"] > 0,
        "speculative": rows["speculation"].str.startswith("mtp"),
        "offline": scenario.eq("offline-max-throughput"),
        "static": scenario.isin((*STATIC, *ONE_AT_A_TIME)),
        "prefill": scenario.isin(PREFILL),
    }
    found = pd.Series("aggregated", index=rows.index)
    for name, test in reversed(tests.items()):
        found = found.mask(test, name)
    return found


def comparisons(rows: pd.DataFrame, predictions: pd.DataFrame, seen: pd.Series) -> pd.DataFrame:
    """One line per row and metric that has both a measurement and a prediction (`COLUMNS`)."""
    words = pd.DataFrame(
        {
            "id": rows["id"],
            "mode": modes(rows),
            "seen": seen.astype(int),
            "flagged": rows["flag"].ne("").astype(int),
            **{name: rows[name] for name in ("system", "model", "engine", "precision", "scenario", "source")},
        }
    )
    parts = [
        words.assign(metric=metric, measured=measured, predicted=predicted, bound=bound)
        for metric, measured, predicted, bound in _metrics(rows, predictions)
    ]
    lines = pd.concat(parts).reset_index(names="row")
    sound = (lines["measured"] > 0) & (lines["predicted"] > 0) & np.isfinite(lines["predicted"])
    return lines[sound].sort_values(["row", "metric"], kind="stable").reset_index(drop=True)


def _metrics(rows: pd.DataFrame, p: pd.DataFrame) -> Iterator[tuple[str, pd.Series, Any, Any]]:
    """Metric, measured, predicted and bound in the units of the metric's name."""
    yield "tpot_ms", rows["tpot_ms"], p["tpot"] * _MS, p["tpot_bound"] * _MS
    yield "ttft_ms", measured_ttft(rows), p["ttft"] * _MS, p["ttft_bound"] * _MS
    rate = "output_tok_s_per_accelerator"
    yield rate, measured_rate(rows), p["output_rate"], p["output_bound"]
    both = (rows["isl"] + rows["osl"]) / rows["osl"]
    per_output = both.mask(rows["usd_output_only"] > 0, 1.0)
    paid = rows[rate].mask(rows["usd_output_only"] <= 0, rows["total_tok_s_per_accelerator"])
    price = rows["usd_per_accelerator_hour"] / SECONDS_PER_HOUR * MILLION
    least = price / (p["output_bound"] * per_output)
    yield "usd_per_mtok", rows["usd_per_mtok"], price / paid, least
    yield "usd_per_mtok_chain", rows["usd_per_mtok"], price / (p["output_rate"] * per_output), least


def measured_ttft(rows: pd.DataFrame) -> pd.Series:
    """Stated TTFT; where only prefill was timed, the time of one batch at its token rate (ms)."""
    rate = rows["total_tok_s_per_accelerator"] * rows["n_accelerators"]
    batch = rows["concurrency"] * rows["isl"] / rate * _MS
    return rows["ttft_ms"].where(~rows["scenario"].isin(PREFILL), batch)


def measured_rate(rows: pd.DataFrame) -> pd.Series:
    """Stated output rate per accelerator; in a closed loop without one, what Little's law makes of latency."""
    cycle = (rows["ttft_ms"] + rows["osl"] * rows["tpot_ms"]) / _MS
    implied = rows["concurrency"] * rows["osl"] / cycle / rows["n_accelerators"]
    closed = rows["scenario"].eq("online-closed-loop") & ~rows["layout_assumed"].gt(0)
    return rows["output_tok_s_per_accelerator"].fillna(implied.where(closed))


def summary(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Errors of every group; flagged lines count only in the groups by `flagged`."""
    error = lines["predicted"] / lines["measured"] - 1
    lines = lines.assign(error=error, all="all", peer=lines.get("peer", np.nan))
    sound = lines[lines["flagged"] == 0]
    groups = [
        _group(by, str(key), str(metric), part)
        for by in BY
        for (key, metric), part in (lines if by == "flagged" else sound).groupby([by, "metric"])
    ]
    return groups


def _group(by: str, key: str, metric: str, part: pd.DataFrame) -> dict[str, Any]:
    """Errors of one group, and beside those of a peer on the rows that it answers."""
    error, size = part["error"], part["error"].abs() * 100
    row = {"by": by, "key": key, "metric": metric, "n": len(error)}
    row |= {"median_abs_pct": float(size.median()), "p90_abs_pct": float(size.quantile(0.9))}
    row["bias_pct"] = float(error.median() * 100)
    return row | beside(part)


def beside(lines: pd.DataFrame) -> dict[str, Any]:
    """Absolute errors (%) of a peer and of ours on the lines that the peer answers; None where there are none."""
    both = lines[lines["peer"] > 0]
    found: dict[str, Any] = {"peer_n": len(both)}
    for name, predicted in {"peer": both["peer"], "beside_peer": both["predicted"]}.items():
        size = (predicted / both["measured"] - 1).abs() * 100
        found[f"{name}_median_abs_pct"] = float(size.median()) if len(both) else None
        found[f"{name}_p90_abs_pct"] = float(size.quantile(0.9)) if len(both) else None
    return found


def beaten_bounds(lines: pd.DataFrame, reasons: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Unflagged measurements better than the physical bound of what their row states, each with a reason.

    A reason is for the rows that agree with its other words; the first that does counts.
    """
    sound = lines[lines["flagged"].eq(0) & lines["bound"].notna() & lines["metric"].isin(BOUNDED)]
    rate = sound["metric"].eq("output_tok_s_per_accelerator")
    beaten = sound[(sound["bound"] > sound["measured"]) ^ rate]
    names = ["id", "metric", "mode", "source", "system", "model", "measured", "bound"]

    def reason(row: Mapping[str, Any]) -> str:
        fits = (each for each in reasons if all(row[k] == v for k, v in each.items() if k != "reason"))
        return next((each["reason"] for each in fits), "not explained")

    rows = [{str(name): value for name, value in row.items()} for row in beaten[names].to_dict("records")]
    return [{**row, "reason": reason(row)} for row in rows]
