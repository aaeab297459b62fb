"""Which resource the time of a step is owed to."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.physics.step import StepTime
from clustermodel.physics.tiers import Placement
from clustermodel.serving.phases import Phases
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
    """Split TPOT by resource; see `owed`."""
    return owed(point.step, point.memory.placement, point.time)


def owed(step: StepTime, placement: Placement | None, time: Phases) -> Resources:
    """Split time by resource: decode by what each operation of an iteration waits for, then prefill and reload.

    Reads of farther tiers, of running data and of cached prefixes, are `tier_bandwidth`.

    Where traffic and arithmetic overlap, the operation's time is split as their cubes, the parts of its norm.
    """
    decode = time.decode / step.total
    weights = {"dense": step.dense, "experts": step.experts, "head": step.head}
    traffic = {kind: each.total * each.traffic_share for kind, each in weights.items()}
    arithmetic = sum(each.total * (1 - each.traffic_share) for each in [*weights.values(), step.attention])
    traffic["cache"] = step.attention.total * step.attention.traffic_share
    far = {kind: 0.0 if placement is None else getattr(placement, kind).far for kind in traffic}
    near = {kind: time * (1 - far[kind]) for kind, time in traffic.items()}
    return Resources(
        compute=arithmetic * decode,
        weight_bandwidth=(near["dense"] + near["experts"] + near["head"]) * decode,
        kv_bandwidth=near["cache"] * decode,
        interconnect=step.communication.total * decode,
        host_overhead=(step.launch + step.host) * decode,
        prefill=time.prefill,
        tier_bandwidth=time.reload + sum(traffic[kind] * far[kind] for kind in traffic) * decode,
    )
