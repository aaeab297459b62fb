"""Read rows in the format of serving_measured.csv: published benchmarks of many kinds."""

import pandas as pd

from clustermodel.calibration.observations import CLOSED_LOOP, UNSTATED, Names, complete
from clustermodel.calibration.silicon import LENGTH_RATIO

SIGNATURE = "littles_law_ratio"

ENGINES = {
    "vllm": "vllm",
    "sglang": "sglang",
    "atom": "atom",
    "llama.cpp": "llama.cpp",
    "ktransformers": "ktransformers",
    "deepseek": "deepseek",
    "trt": "trtllm",
    "tensorrt": "trtllm",
}
"""Part of the framework's label -> engine; the first match wins ("dynamo-trt" is TensorRT-LLM)."""

PRECISIONS = {
    "mxfp4": "mxfp4",
    "nvfp4": "nvfp4",
    "fp4": "fp4",
    "uint4": "int4",
    "int4": "int4",
    "q4_k_m": "q4_k_m",
    "w4": "int4",
    "fp8": "fp8",
    "int8": "int8",
    "q8": "int8",
    "bf16": "bf16",
    "fp16": "bf16",
}
"""Part of the label -> format; the first match wins. GGUF's q8 and q4 store 8- and 4-bit integers."""

MEASUREMENTS = {
    "ttft_ms": "ttft_ms",
    "tpot_ms": "tpot_ms",
    "output_tok_s_per_accelerator": "output_tok_s_per_accel",
    "total_tok_s_per_accelerator": "total_tok_s_per_accel",
    "power_w": "power_w",
    "usd_per_mtok": "usd_per_mtok",
    "usd_per_accelerator_hour": "usd_per_gpu_hr_assumed",
}


def read_published(raw: pd.DataFrame, known: Names) -> pd.DataFrame:
    """Rows in the common form."""
    notes, scenario = raw["notes"].astype(str), raw["scenario"].astype(str)
    drawn = scenario.eq(CLOSED_LOOP) & ~notes.str.contains("exact")  # InferenceX draws its lengths
    ratio = drawn.map({True: LENGTH_RATIO, False: 1.0})
    model = known.model(raw["model"])
    rows = pd.concat([raw[["id"]], _layout(raw, known.is_moe(model))], axis=1)
    rows = rows.assign(
        system=known.system(raw["hardware"]),
        model=model,
        engine=_first(raw["framework"], ENGINES, ""),
        version=_version(raw, notes),
        precision=_first(raw["weight_precision"], PRECISIONS, ""),
        kv_precision=_first(raw["kv_precision"], PRECISIONS, ""),
        scenario=scenario,
        speculation=raw["spec_decode"],
        date=raw["date"],
        isl=_numbers(raw["isl"]) * ratio,
        osl=_numbers(raw["osl"]) * ratio,
        depth=_numbers(notes.str.extract(r"depth (\d+)")[0]).where(scenario.isin(PREFILL)),
        equal_lengths=(~drawn).astype(float),
        concurrency=_concurrency(raw),
        usd_output_only=notes.str.contains(r"\$/1M OUTPUT").astype(float),
        measurement=raw["id"],
        **{ours: raw[theirs] for ours, theirs in MEASUREMENTS.items()},
    )
    undescribed = rows["disaggregated"].gt(0) & rows["prefill_workers"].isna()
    return complete(rows.assign(layout_assumed=rows["layout_assumed"].mask(undescribed, 1.0)))


def _first(labels: pd.Series, known: dict[str, str], default: str) -> pd.Series:
    text, found = labels.fillna("").astype(str).str.lower(), pd.Series(default, index=labels.index)
    for part, name in reversed(known.items()):
        found = found.mask(text.str.contains(part, regex=False), name)
    return found


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce")


def _concurrency(raw: pd.DataFrame) -> pd.Series:
    """Requests in flight; "256 seqs/GPU" counts per accelerator."""
    text = raw["concurrency_or_batch"].astype(str)
    each = _numbers(text.str.extract(r"(\d+) seqs/GPU")[0])
    return _numbers(raw["concurrency_or_batch"]).fillna(each * _numbers(raw["n_accel"]))


def _version(raw: pd.DataFrame, notes: pd.Series) -> pd.Series:
    """Engine version from the framework's label or the image in the notes; else the month of the run."""
    label = raw["framework"].astype(str).str.extract(r"~?v?(\d+\.\d[\w.\-]*)$")[0]
    label = label.mask(
        raw["scenario"].astype(str).str.startswith("mlperf"), ""
    )  # versions of harness and CUDA
    image = notes.str.extract(r"img=[^;]*?v?(\d+\.\d+\.\d+(?:\.?(?:rc|post)\d+)*)")[0]
    atom = notes.str.extract(r"img=atom:[^;]*?(atom[\d.]+)")[0]
    month = "m" + raw["date"].astype(str).str.slice(2, 7).str.replace("-", "")
    return label.fillna(atom).fillna(image).fillna(month.where(month.str.len() == len("m2601"), ""))


PREFILL = ("prefill-only", "production-prefill")
ONE_POOL = ("decode-only", "production-decode", *PREFILL)
"""Scenarios that measure one pool of a disaggregated deployment."""

POOL = (
    r"(?:(?P<total>[\d?]+) ?gpu,?(?: ?tp=?(?P<tp>\d+))?(?: ?ep=?(?P<ep>\d+))?"
    r"(?: dpattn=(?P<dpa>\d))?(?: x(?P<workers>\d+)w)?)"
)


def _layout(raw: pd.DataFrame, moe: pd.Series) -> pd.DataFrame:
    text = raw["pp_dp"].fillna("").astype(str).str.lower()
    one_pool = raw["scenario"].isin(ONE_POOL)
    disaggregated = (_numbers(raw["disagg"]).fillna(0.0).gt(0) | text.str.contains("disagg")) & ~one_pool
    n, tp = _numbers(raw["n_accel"]), _numbers(raw["tp"])
    described = tp.where(disaggregated & text.str.contains("prefill"))  # else tp counts all accelerators
    prefill = _pool(text.str.extract("prefill " + POOL), described, moe)
    decode = _pool(text.str.extract("decode " + POOL), described, moe)
    single = _single(raw, text, moe)
    layout = single.where(~disaggregated, decode)
    prefill = prefill.where(disaggregated).add_prefix("prefill_").drop(columns="prefill_layout_assumed")
    together = layout[["tp", "pp", "dp", "workers"]].prod(axis=1, skipna=False)
    return pd.concat([layout, prefill], axis=1).assign(
        disaggregated=disaggregated.astype(float), n_accelerators=n.fillna(together.where(~disaggregated))
    )


def _pool(found: pd.DataFrame, stated_tp: pd.Series, moe: pd.Series) -> pd.DataFrame:
    """One pool of a disaggregated deployment: `24gpu tp4 ep1 dpattn=0 x6w` are six workers of four.

    Where workers are not stated a worker has the expert-parallel (else the tensor-parallel) degree of the
    text, else the row's tp; that split is assumed.
    """
    total, workers = _numbers(found["total"]), _numbers(found["workers"])
    tp, ep = _numbers(found["tp"]), _numbers(found["ep"]).fillna(1.0)
    guess = ep.where(ep > 1, tp).fillna(stated_tp).clip(upper=total)
    size = (total / workers).fillna(guess).fillna(total)
    dp = size.where(found["dpa"].eq("1"), 1.0)
    return pd.DataFrame(
        {
            "tp": size / dp,
            "pp": 1.0,
            "dp": dp,
            "ep": ep.where(moe, 1.0).clip(upper=size),
            "workers": workers.fillna((total / size).round()).fillna(UNSTATED),
            "layout_assumed": (workers.isna()).astype(float),
        }
    )


def _single(raw: pd.DataFrame, text: pd.Series, moe: pd.Series) -> pd.DataFrame:
    """A deployment that does prefill and decode on the same accelerators.

    `DP8 attention` and `dp_attention` shard attention by requests; without a tp the accelerators of the
    deployment are one tensor-parallel group, which is assumed.
    """
    n, stated = _numbers(raw["n_accel"]), _numbers(raw["tp"])
    wide = _numbers(raw["ep"]).where(text.str.contains("nodes|unit"))  # large-EP deployments state only ep
    tp, ep = stated.fillna(wide).fillna(n), _numbers(raw["ep"]).fillna(1.0)
    attention = text.str.contains("attention") | wide.notna()
    degree = _numbers(text.str.extract(r"dp(\d+)")[0])
    stage = pd.concat([tp, degree.fillna(1.0), ep], axis=1).max(axis=1).where(attention, tp)
    dp = degree.fillna(tp).where(attention, 1.0).clip(upper=stage)
    return pd.DataFrame(
        {
            "tp": stage / dp,
            "pp": _numbers(text.str.extract(r"pp(\d+)")[0]).fillna(1.0),
            "dp": dp,
            "ep": ep.where(moe, 1.0).clip(upper=stage),
            "workers": 1.0,
            "layout_assumed": (stated.isna() & wide.isna() & n.ne(1)).astype(float),
        }
    )
