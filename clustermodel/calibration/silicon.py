"""Read rows in the format of serving_silicon.csv: end-to-end runs of aiconfigurator's validation sample."""

import numpy as np
import pandas as pd

from clustermodel.calibration.observations import CLOSED_LOOP, UNSTATED, Names, complete

SIGNATURE = "silicon_tpot_ms"
LENGTH_RATIO = 0.9
"""InferenceX draws lengths uniformly from 0.8 to 1.0 of the nominal value; measured means are 0.9 of it."""

MEASUREMENTS = {"ttft_ms": "silicon_ttft_ms", "tpot_ms": "silicon_tpot_ms"}


def read_silicon(raw: pd.DataFrame, known: Names) -> pd.DataFrame:
    """Rows in the common form; lengths, accelerators and formats are corrected as the functions below say."""
    model = known.model(raw["model_path"])
    moe = known.is_moe(model)
    origin = raw["silicon_data_source"].astype(str)
    exact = origin.str.contains("aic-auto-gap-analysis")  # NVIDIA's own runs: lengths are not random
    ratio = exact.map({True: 1.0, False: LENGTH_RATIO})
    disaggregated = raw["mode"].eq("disagg")
    rows = pd.concat([raw[["id"]], _decode_layout(raw, moe), _prefill_layout(raw, moe)], axis=1)
    rows = rows.assign(
        system=known.system(raw["system"]),
        model=model,
        engine=raw["backend"],
        version=_version(raw["backend_version"], origin),
        precision=_precision(raw),
        scenario=CLOSED_LOOP,
        speculation=raw["spec_decode"] if "spec_decode" in raw else "",
        flag=raw["gpu_flag"].fillna("").map(lambda flag: flag and f"gpu_flag {flag}"),
        measurement=raw["measurement_id"],
        date=_date(origin),
        disaggregated=disaggregated.astype(float),
        isl=raw["isl"] * ratio,
        osl=raw["osl"] * ratio,
        equal_lengths=exact.astype(float),
        concurrency=_concurrency(raw),
        **{ours: raw[theirs] for ours, theirs in MEASUREMENTS.items() if theirs in raw},
    )
    rows["n_accelerators"] = rows["workers"] * rows["tp"] * rows["pp"] * rows["dp"]
    prefill = rows["prefill_tp"] * rows["prefill_pp"] * rows["prefill_dp"] * rows["prefill_workers"]
    rows["n_accelerators"] += prefill.where(disaggregated, 0.0)
    return complete(rows)


def _at_least_one(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").fillna(1.0).clip(lower=1.0)


def _decode_layout(raw: pd.DataFrame, moe: pd.Series) -> pd.DataFrame:
    """Layout of the deployment, or of one decode worker where prefill has its own pool.

    Two slips are mended. Expert tensor x expert parallel ranks k x k with tp = k^2 are k accelerators (runs
    recorded as 2 x 2 with tp 4 are as fast as their TP2 twins, 4 x 4 with tp 16 as TP4). Where `gpu_flag` says
    that tp x ep or tp x dp was recorded, `n_gpu_est` holds the number; an inflated attention-DP degree is all.
    """
    pick = {
        name: _at_least_one(raw[f"{name}_size"]) for name in ("tp", "pp", "attention_dp", "moe_tp", "moe_ep")
    }
    pool = raw["mode"].eq("disagg")
    for name in pick:
        pick[name] = pick[name].mask(pool, _at_least_one(raw[f"decode_{name}_size"]))
    stage = pick["tp"] * pick["attention_dp"]
    inflated = raw["gpu_flag"].isin(["tp_x_ep", "tp_x_dp"]) & raw["n_gpu_est"].notna() & ~pool
    squared = (pick["moe_tp"] == pick["moe_ep"]) & (pick["tp"] == pick["moe_ep"] ** 2) & moe & ~pool
    stage = stage.mask(squared, pick["moe_ep"]).mask(inflated, raw["n_gpu_est"])
    dp = pick["attention_dp"].mask(inflated & (pick["attention_dp"] > 1), stage)
    ep = pick["moe_ep"].mask(inflated & (dp == stage) & (dp > 1), stage)
    unknown = raw["decode_num_workers"].isna() & pool
    unsized = unknown & moe & (stage * pick["moe_tp"] * ep).le(1)  # one rank stands for a layout not stated
    layout = _worker(stage.mask(unsized), dp, ep, pick["pp"], moe)
    workers = raw["decode_num_workers"].fillna(UNSTATED).where(pool, 1.0)
    return layout.assign(workers=workers, layout_assumed=unknown.astype(float))


def _prefill_layout(raw: pd.DataFrame, moe: pd.Series) -> pd.DataFrame:
    """Layout of one prefill worker; the columns are empty where one pool does both."""
    pick = {
        name: _at_least_one(raw[f"prefill_{name}_size"]) for name in ("tp", "pp", "attention_dp", "moe_ep")
    }
    stage, pool = pick["tp"] * pick["attention_dp"], raw["mode"].eq("disagg")
    unsized = raw["prefill_num_workers"].isna() & pool & moe & (stage * pick["moe_ep"]).le(1)
    stage = stage.mask(unsized)
    layout = _worker(stage, pick["attention_dp"], pick["moe_ep"], pick["pp"], moe).add_prefix("prefill_")
    return layout.where(pool).assign(prefill_workers=raw["prefill_num_workers"].where(pool))


def _worker(stage: pd.Series, dp: pd.Series, ep: pd.Series, pp: pd.Series, moe: pd.Series) -> pd.DataFrame:
    dp, ep = dp.clip(upper=stage.fillna(np.inf)), ep.where(moe, 1.0).clip(upper=stage.fillna(np.inf))
    return pd.DataFrame({"tp": (stage / dp).clip(lower=1.0), "pp": pp, "dp": dp, "ep": ep})


def _concurrency(raw: pd.DataFrame) -> pd.Series:
    """The client's concurrency; without it batch_size x attention-DP ranks (x decode workers)."""
    pool = raw["mode"].eq("disagg")
    together = raw["batch_size"] * _at_least_one(raw["attention_dp_size"])
    ranks = _at_least_one(raw["decode_attention_dp_size"]) * raw["decode_num_workers"].fillna(1.0)
    return raw["concurrency"].fillna(together.mask(pool, raw["decode_batch_size"] * ranks)).clip(lower=1.0)


def _precision(raw: pd.DataFrame) -> pd.Series:
    """Weights' format from the columns and the checkpoint's name; unnamed ones are 16-bit."""
    text = raw["precision"].astype(str) + raw["gemm_quant_mode"].astype(str) + raw["model_path"].astype(str)
    four = text.str.contains("fp4|gpt-oss|int4", case=False)
    eight = text.str.contains("fp8", case=False)
    return pd.Series("bf16", index=raw.index).mask(eight, "fp8").mask(four, "fp4")


def _date(origin: pd.Series) -> pd.Series:
    return origin.str.extract(r"measured=(\d{4}-\d\d-\d\d)")[0].fillna("")


def _version(stated: pd.Series, origin: pd.Series) -> pd.Series:
    month = "m" + _date(origin).str.slice(2, 7).str.replace("-", "")
    return stated.fillna(month.where(month.ne("m"), "")).astype(str)
