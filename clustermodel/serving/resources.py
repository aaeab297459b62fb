"""Which resource the time of a step is owed to."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.serving.steady import ServingPoint


class Resources(eqx.Module):
    """Seconds of the mean step by the resource that set them; in the order in which ties are broken."""

    compute: Scalar
    weight_bandwidth: Scalar
    kv_bandwidth: Scalar
    interconnect: Scalar
    host_overhead: Scalar
    prefill: Scalar
    tier_bandwidth: Scalar


def resources(point: ServingPoint) -> Resources:
    """Split TPOT by resource: the decode iteration by what each operation waits for, then prefill and reload.

    Where traffic and arithmetic overlap, the operation's time is split as their cubes, the parts of its norm.
    """
    step = point.step
    decode = point.time.decode / step.total
    weights = [step.dense, step.experts, step.head]
    traffic = sum(each.total * each.traffic_share for each in weights)
    arithmetic = sum(each.total * (1 - each.traffic_share) for each in [*weights, step.attention])
    return Resources(
        compute=arithmetic * decode,
        weight_bandwidth=traffic * decode,
        kv_bandwidth=step.attention.total * step.attention.traffic_share * decode,
        interconnect=step.communication.total * decode,
        host_overhead=(step.launch + step.host) * decode,
        prefill=point.time.prefill,
        tier_bandwidth=point.time.reload,
    )
