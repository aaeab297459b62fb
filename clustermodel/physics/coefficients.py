"""What engines lose against the physical bound: shares of peak rates, launch times, queueing constants."""

from typing import Any

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.specs import strong_float


def coefficient(link: str, unit: str, doc: str) -> Any:
    """A fitted number; `link` names the space in which effects add: logit (0..1), log (> 0) or identity."""
    return eqx.field(converter=strong_float, metadata={"link": link, "unit": unit, "doc": doc})


class Coefficients(eqx.Module):
    """Natural values (shares of 1, seconds, counts) of everything fitted; see configs/calibration/."""

    weight_read: Scalar = coefficient("logit", "", "share of memory bandwidth reached reading weights")
    expert_read: Scalar = coefficient("logit", "", "share of memory bandwidth reached reading experts")
    cache_read: Scalar = coefficient("logit", "", "share of memory bandwidth reached reading the cache")
    dense_math: Scalar = coefficient("logit", "", "share of the arithmetic rate in dense products")
    expert_math: Scalar = coefficient("logit", "", "share of the arithmetic rate in expert products")
    attention_math: Scalar = coefficient("logit", "", "share of the arithmetic rate in attention")
    link_share: Scalar = coefficient("logit", "", "share of link bandwidth reached by collectives")
    coverage_skew: Scalar = coefficient("logit", "", "exponent on tokens in expert coverage: uneven routing")
    expert_imbalance: Scalar = coefficient("log", "", "excess of the busiest expert rank at few tokens")
    expert_width: Scalar = coefficient("log", "", "expert width at which products reach half of that share")
    expert_slice: Scalar = coefficient("log", "B", "bytes of one expert's slice that are read at half speed")
    expert_padding: Scalar = coefficient("log", "", "rows added to each touched expert by tiling")
    layer_launch: Scalar = coefficient("log", "s", "launch time per layer")
    moe_launch: Scalar = coefficient("log", "s", "extra launch time per MoE layer")
    latent_launch: Scalar = coefficient("log", "s", "extra launch time per MLA or MQA layer")
    quantise_launch: Scalar = coefficient("log", "s", "extra launch time per layer and narrow product")
    launch_scale: Scalar = coefficient("log", "", "factor on all launch times")
    iteration_host: Scalar = coefficient("log", "s", "host time per iteration")
    sequence_host: Scalar = coefficient("log", "s", "host time per running sequence and iteration")
    mixed_launch: Scalar = coefficient("log", "s", "launch time per layer of an iteration with prefill")
    mixing: Scalar = coefficient("log", "", "prefill work inside a decode iteration over its own time")
    synchronised: Scalar = coefficient("log", "", "prefill interference when all lengths are equal")
    collective_latency: Scalar = coefficient("log", "s", "latency of a collective over 4 accelerators")
    collective_exponent: Scalar = coefficient("identity", "", "growth of that latency with ranks")
    dispatch_excess: Scalar = coefficient("log", "", "all-to-all bytes and latency over the ideal")
    slow_link: Scalar = coefficient("log", "B/s", "links below this rate are of the PCIe class")
    slow_link_excess: Scalar = coefficient("log", "", "collective latency of such links over scale-up links")
    held_output: Scalar = coefficient("logit", "", "mean share of the output a running sequence holds")
    offline_sequences: Scalar = coefficient("log", "", "running sequences per rank in offline runs")
    ttft_host: Scalar = coefficient("log", "s", "fixed part of TTFT")
    ttft_iterations: Scalar = coefficient("log", "", "decode iterations waited for per prefill chunk")
    ttft_prefill: Scalar = coefficient("log", "", "TTFT over own prefill time")
    ttft_scale: Scalar = coefficient("log", "", "factor on the unloaded TTFT")
    ttft_request: Scalar = coefficient("log", "s", "TTFT per concurrent request")
    burst_floor: Scalar = coefficient("log", "", "share of other requests ahead at no load")
    burst_slope: Scalar = coefficient("log", "", "growth of that share with prefill load")
    burst_exponent: Scalar = coefficient("log", "", "curvature of that growth")
    burst_equal: Scalar = coefficient("log", "", "burst queue when all lengths are equal")
