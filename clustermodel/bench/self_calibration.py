"""From what a machine reached to the coefficients of the model: shares of its peaks, launch times and link constants.

What engines add on top (queues, schedulers, time to first token) is not the machine's, so it stays as shipped. The
errors stay too: one machine measured once says nothing of the next.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel.bench.rates import TF32, Measured
from clustermodel.bench.startup import Startup
from clustermodel.calibration.effects import ALWAYS, LINKS, CoefficientTable
from clustermodel.catalog import Entry
from clustermodel.physics.deployment import Formats
from clustermodel.specs import Accelerator, Chassis, MemoryTier, System, tiers

BANDWIDTH = (
    "copy",
    "read",
    "weight_read",
    "expert_read",
    "decode_attention",
    "model_read",
    "layer_cache_read",
)
ARITHMETIC = ("product", "prefill_attention", "expert_product", "layer_product", "layer_attention")
HOST_LINK = ("host_to_accelerator", "accelerator_to_host")
LINK = ("all_reduce", "all_to_all")
_MOST, _LEAST = 1 - 1e-3, 1e-3  # a share stays inside (0, 1); a count or a time above 0
_LEAST_TIME = 1e-9  # s
_INSIDE = 1.0  # next to nothing (one column, one byte): experts were measured at a width and a size of theirs


class Peaks(eqx.Module):
    """Highest rates of one accelerator: the catalogue's, or the best that was measured where it is not in there."""

    bandwidth: float
    arithmetic: Mapping[str, float]  # FLOP/s by kind
    link: float
    host_link: float
    known: bool  # from the catalogue

    def of(self, figure: Measured) -> float | None:
        """The peak that a figure is a share of; None for times and for what has no peak."""
        if figure.name in BANDWIDTH:
            return self.bandwidth
        if figure.name in ARITHMETIC:
            return self.arithmetic.get(figure.kind)
        return (
            self.link if figure.name in LINK else self.host_link if figure.name in HOST_LINK else 0.0
        ) or None


def peaks(figures: Sequence[Measured], accelerator: Entry[Accelerator] | None) -> Peaks:
    """Peaks of the catalogue entry; without one the best measured figure of each kind is the peak."""
    if accelerator is None:
        kinds = {each.kind for each in figures if each.name in ARITHMETIC}
        return Peaks(
            bandwidth=_best(figures, BANDWIDTH),
            arithmetic={kind: _best([f for f in figures if f.kind == kind], ARITHMETIC) for kind in kinds},
            link=_best(figures, LINK),
            host_link=_best(figures, HOST_LINK),
            known=False,
        )
    spec = accelerator.spec
    kinds = {"bf16", "fp16", "fp8", "int8", TF32}
    rates = {kind: float(getattr(spec, f"flops_{kind}")) for kind in kinds}
    return Peaks(
        bandwidth=float(spec.hbm_bandwidth),
        arithmetic={kind: rate for kind, rate in rates.items() if rate > 0},
        link=float(spec.scaleup_bandwidth),
        host_link=float(spec.hostlink_bandwidth),
        known=True,
    )


def _best(figures: Sequence[Measured], names: Sequence[str]) -> float:
    return max((each.value for each in figures if each.name in names), default=0.0)


def _first(figures: Sequence[Measured], *names: str) -> float:
    """The best figure of the first of `names` that was measured."""
    return next((value for value in (_best(figures, [name]) for name in names) if value), 0.0)


def coefficients(figures: Sequence[Measured], start: Startup, peaks: Peaks, kind: str) -> dict[str, float]:
    """Natural values of every coefficient that was measured, arithmetic in numbers of `kind`.

    What layers reach counts before what an operation alone reaches; routed experts are measured alone only.
    """
    of_kind = [each for each in figures if each.kind == kind]
    arithmetic = peaks.arithmetic.get(kind, 0.0)
    shares = {
        "weight_read": (_first(of_kind, "model_read", "weight_read"), peaks.bandwidth),
        "expert_read": (_best(of_kind, ["expert_read"]), peaks.bandwidth),
        "cache_read": (_first(of_kind, "layer_cache_read", "decode_attention"), peaks.bandwidth),
        "dense_math": (_first(of_kind, "layer_product", "product"), arithmetic),
        "expert_math": (_best(of_kind, ["expert_product"]), arithmetic),
        "attention_math": (_first(of_kind, "layer_attention", "prefill_attention"), arithmetic),
        "link_share": (_best(figures, LINK), peaks.link),
    }
    found = {
        name: min(max(reached / most, _LEAST), _MOST)
        for name, (reached, most) in shares.items()
        if reached > 0 and most > 0
    }
    times = {
        "layer_launch": start.layer,
        "moe_launch": start.moe_layer,
        "iteration_host": start.iteration,
        "sequence_host": start.sequence,
    }
    latency = _best(figures, ["all_reduce_latency"])
    if latency:
        times["collective_latency"] = latency
    inside = {"launch_scale": 1.0, "expert_width": _INSIDE, "expert_slice": _INSIDE}
    return found | {name: max(time, _LEAST_TIME) for name, time in times.items()} | inside


def calibrated(shipped: CoefficientTable, measured: Mapping[str, float]) -> CoefficientTable:
    """The shipped table with measured values in place of its own; effects of models and maturity go."""
    link = {"logit": lambda p: math.log(p / (1 - p)), "log": math.log, "identity": float}
    shared = {
        name: row._replace(value=link[LINKS[name]](measured[name])) if name in measured else row
        for name, row in shipped.shared.items()
    }
    kept = {
        group: {name: shift for name, shift in shifts.items() if name not in measured}
        for group, shifts in shipped.effects.items()
        if group[0] in ALWAYS
    }
    return CoefficientTable(shared, kept, frozenset(), "measured on this machine")


def this_machine(peaks: Peaks, accelerator: Entry[Accelerator] | None, capacity: float) -> System:
    """The machine as the chain sees a system: the catalogue's accelerator, or one made of measured peaks."""
    if accelerator is not None:
        part = accelerator.spec
    else:
        tier = MemoryTier(capacity=jnp.asarray(capacity), bandwidth=jnp.asarray(peaks.bandwidth))
        part = Accelerator(
            memory=tiers([tier]),
            tdp=jnp.asarray(jnp.nan),
            scaleup_bandwidth=jnp.asarray(peaks.link),
            hostlink_bandwidth=jnp.asarray(peaks.host_link),
        )
    return System(accelerator=part, chassis=Chassis(), count=jnp.asarray(float(jax.local_device_count())))


def formats(peaks: Peaks, kind: str, bytes_each: int) -> Formats:
    """Everything stored and multiplied in one kind of number."""
    stored = {
        f.name: jnp.asarray(float(bytes_each))
        for f in dataclasses.fields(Formats)
        if f.name.endswith("_bytes")
    }
    rates = {
        f.name: jnp.asarray(peaks.arithmetic[kind])
        for f in dataclasses.fields(Formats)
        if f.name.endswith("_rate")
    }
    return Formats(**stored, **rates)
