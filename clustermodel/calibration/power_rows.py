"""Measured board power in one form: the table that ships, the study's table, and serving rows with a power."""

from pathlib import Path

import numpy as np
import pandas as pd

from clustermodel.calibration.observations import (
    CLOSED_LOOP,
    Names,
    checked,
    complete,
    names,
    read_observations,
    read_table,
    shipped_table,
)
from clustermodel.calibration.observations import NUMBERS as SERVING
from clustermodel.calibration.power import assumed
from clustermodel.calibration.published import PRECISIONS, read_published
from clustermodel.calibration.published import SIGNATURE as PUBLISHED
from clustermodel.calibration.silicon import LENGTH_RATIO, read_silicon
from clustermodel.calibration.silicon import SIGNATURE as SILICON
from clustermodel.catalog import Catalog, ConfigError

TABLE = "power.csv"
SIGNATURE = "power_w_per_gpu"
"""Column that only tables in the format of power_measured.csv have."""

READERS = {SILICON: read_silicon, PUBLISHED: read_published}
TEXT = ("family", "task")
NUMBERS = ("batch", "context", "prefix_hit_rate", "prefill_w", "decode_w")
REQUIRED = ("system", "model", "n_accelerators", "osl", "batch", "output_tok_s", "power_w")
"""What a user's own table of power must have: mean running sequences, output tokens/s and watts of a board."""

TASKS = {
    "lm-arena-chat": "chat",
    "llm_text_generation/chat": "chat",
    "gpqa": "reasoning",
    "sourcegraph-fim": "completion",
    "llm_text_generation/code": "completion",
    "agentic_traces (prefix-cached)": "agentic",
}
"""Tasks of the study's table -> ours; the assumptions of configs/calibration/power.toml are keyed by them."""

UNFIT = {
    "mlenergy_v2": "derived-power",
    "mlenergy_v1_legacy": "derived-power",
    "tokenpowerbench": "short-run",
}
"""Sources whose rows are not scored: power of whole runs with ramps in them, or runs of a few seconds."""

POOLS = r"disagg (?P<prefill>\d+)P\+(?P<decode>\d+)D"
MILLISECONDS = 1e3
WORKER = 8.0
"""Accelerators of a disaggregated worker whose size is not stated: one 8-way server; such layouts are assumed."""


def power_rows(catalog: Catalog, data: Path | None = None) -> pd.DataFrame:
    """Rows with a measured board power: of `data`, or of all tables that ship.

    The frame has the columns of `observations.COLUMNS` and those above; lengths, contexts and prefix hits that
    a row leaves open are filled by the assumptions in configs/calibration/power.toml.
    """
    if data is not None and is_power_table(data):
        return filled(catalog, _read(catalog, data))
    serving = serving_rows(catalog, data)
    if data is not None:
        return filled(catalog, serving)
    own = own_rows(shipped_table(catalog, TABLE), names(catalog))
    return filled(catalog, pd.concat([own, serving], ignore_index=True))


def is_power_table(data: Path) -> bool:
    """Whether a table is in the format of power_measured.csv or in our own format of power rows."""
    columns = {name.strip().lower() for name in read_table(data).columns}
    return SIGNATURE in columns or {"batch", "power_w"} <= columns


def _read(catalog: Catalog, data: Path) -> pd.DataFrame:
    raw, known = read_table(data), names(catalog)
    if SIGNATURE in raw.columns:
        return study_rows(raw, known)
    try:
        return own_rows(raw, known)
    except ConfigError as error:
        raise ConfigError(f"{data}: {error}") from None


def own_rows(raw: pd.DataFrame, known: Names) -> pd.DataFrame:
    """Rows of configs/measurements/power.csv, or of a user's own table of its form."""
    raw = checked(raw, REQUIRED, (*SERVING, *NUMBERS, "output_tok_s"))
    rows = complete(raw)
    rows["system"], rows["model"] = known.system(rows["system"]), known.model(rows["model"])
    rows["scenario"] = rows["scenario"].where(rows["scenario"].ne(""), CLOSED_LOOP)
    return _with_extras(rows, raw, _numbers(raw, "output_tok_s"))


def study_rows(raw: pd.DataFrame, known: Names) -> pd.DataFrame:
    """Rows in the format of power_measured.csv (NVML or amd-smi power of GPU boards, mean over the run)."""
    notes = raw["note"].fillna("").astype(str)
    nominal = notes.str.contains("nominal")  # lengths drawn uniformly from 0.8 to 1.0 of these
    ratio = nominal.map({True: LENGTH_RATIO, False: 1.0})
    output = _numbers(raw, "tok_s_out")
    pools = notes.str.extract(POOLS).astype(float)
    n = _numbers(raw, "n_gpu")
    dp = _numbers(raw, "dp").fillna(1.0).mask(notes.str.contains("dpa;"), n)
    split = pools["decode"].notna()
    rows = complete(
        pd.DataFrame(
            {
                "id": "power_measured " + (raw.index + 2).astype(str),  # line of the file
                "system": known.system(raw["gpu"]),
                "model": known.model(raw["model"]),
                "engine": raw["engine"].astype(str).str.extract(r"(vllm|sglang)")[0],
                "precision": _precision(raw["precision"]),
                "kv_precision": raw["source_id"].map({"mlenergy_v3": "bf16", "mlenergy_v2": "bf16"}),
                "speculation": _speculation(raw["engine"].astype(str) + notes),
                "flag": _flag(raw),
                "scenario": CLOSED_LOOP,
                "source": raw["source_id"].str.replace("_", "-"),
                "n_accelerators": n,
                "tp": (n / dp).mask(split, WORKER),
                "dp": dp.mask(split, 1.0),
                "ep": _numbers(raw, "ep").fillna(1.0).mask(split, WORKER),
                "workers": pools["decode"].div(WORKER).fillna(1.0),
                "prefill_tp": WORKER,
                "prefill_dp": 1.0,
                "prefill_ep": WORKER,
                "prefill_pp": 1.0,
                "prefill_workers": pools["prefill"].div(WORKER).fillna(0.0),
                "disaggregated": split.astype(float),
                "layout_assumed": split.astype(float),
                "isl": _numbers(raw, "isl") * ratio,
                "osl": _numbers(raw, "osl_avg") * ratio,
                "power_w": _numbers(raw, "power_w_per_gpu").fillna(_derived(raw)),
            }
        )
    )
    extras = pd.DataFrame(
        {
            "family": raw["model"].astype(str).str.rsplit("/", n=1).str[-1],
            "task": raw["task"].map(TASKS).fillna("fixed"),
            "batch": _numbers(raw, "avg_batch"),
            "prefill_w": _numbers(raw, "prefill_w_per_gpu"),
            "decode_w": _numbers(raw, "decode_w_per_gpu"),
        }
    )
    return _with_extras(rows, extras, output)


def _derived(raw: pd.DataFrame) -> pd.Series:
    """Power per accelerator from the energy of a request (J/request x tokens/s / tokens per request)."""
    rate = _numbers(raw, "tok_s_out") / _numbers(raw, "osl_avg")
    return _numbers(raw, "j_per_req") * rate / _numbers(raw, "n_gpu")


def serving_rows(catalog: Catalog, data: Path | None) -> pd.DataFrame:
    """Serving rows with a measured board power, of a table or of the one that ships.

    Mean running sequences are output rate x TPOT (Little's law), never more than the requests in flight: what
    queues or prefills is not in a decode step.
    """
    rows = read_observations(catalog, data, READERS)
    kept = rows["power_w"].notna() & ~rows["scenario"].str.startswith("mlperf")  # those are wall power
    rows = rows[kept].reset_index(drop=True)
    per_total = rows["total_tok_s_per_accelerator"] * rows["osl"] / (rows["isl"] + rows["osl"])
    output = rows["output_tok_s_per_accelerator"].fillna(per_total) * rows["n_accelerators"]
    running = (output * rows["tpot_ms"] / MILLISECONDS).fillna(rows["concurrency"])
    batch = np.minimum(running, rows["concurrency"])
    extras = {"family": rows["model"] + " (InferenceX)", "task": "fixed", "batch": batch}
    return _with_extras(rows, pd.DataFrame(extras), output)


def _with_extras(rows: pd.DataFrame, raw: pd.DataFrame, output_tok_s: pd.Series) -> pd.DataFrame:
    for name in TEXT:
        rows[name] = raw[name].fillna("").astype(str) if name in raw else ""
    for name in NUMBERS:
        rows[name] = _numbers(raw, name)
    rows["concurrency"] = rows["concurrency"].fillna(rows["batch"])
    rows["output_tok_s_per_accelerator"] = output_tok_s / rows["n_accelerators"]
    return rows


def _numbers(raw: pd.DataFrame, name: str) -> pd.Series:
    column = raw[name] if name in raw else pd.Series(np.nan, index=raw.index)
    return pd.to_numeric(column, errors="coerce").astype(float)


def _precision(labels: pd.Series) -> pd.Series:
    """Formats; a label such as "mxfp4" names the checkpoint's own mixture and is left open."""
    text, found = labels.fillna("").astype(str).str.lower(), pd.Series("", index=labels.index)
    for part, name in reversed({"bfloat16": "bf16", **PRECISIONS, "mxfp4": ""}.items()):
        found = found.mask(text.str.contains(part, regex=False), name)
    return found


def _speculation(text: pd.Series) -> pd.Series:
    return text.str.contains(r"spec=mtp|\+mtp").map({True: "mtp", False: "none"})


def _flag(raw: pd.DataFrame) -> pd.Series:
    flag = raw["source_id"].map(UNFIT).fillna("")
    return flag.mask(raw["task"].fillna("").str.contains("image|video|mllm"), "multimodal")


def filled(catalog: Catalog, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill lengths, contexts and prefix hits that nobody published, by task."""
    isl, bias = assumed(catalog, "input_length", "token"), assumed(catalog, "held_output", "")
    hits = assumed(catalog, "prefix_hit_rate", "")
    rows["isl"] = rows["isl"].fillna(rows["task"].map(isl))
    held = rows["task"].map(bias).fillna(bias["fixed"]) * rows["osl"]
    rows["context"] = rows["context"].fillna(rows["isl"] + held)
    rows["prefix_hit_rate"] = rows["prefix_hit_rate"].fillna(rows["task"].map(hits)).fillna(0.0)
    return rows
