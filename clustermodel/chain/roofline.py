"""Where a point lies under its roof: arithmetic per byte, and the rates it reaches, against the peaks."""

from typing import Any

from clustermodel.chain.choose import Choice
from clustermodel.chain.setup import Setup

_TERA = 1e12


def roofline(setup: Setup, choice: Choice) -> dict[str, Any]:
    """Peaks of an accelerator, and FLOP per byte and TFLOP/s of each phase of serving while it runs.

    FLOP are counted at the peak rate of the widest share of the work, that of the FFN's format: a FLOP in a wider
    format counts as the narrow ones that would take as long. A phase without traffic of its own has no
    FLOP per byte: its weights are read for the other [Williams, Waterman, Patterson, 2009: roofline].
    """
    point, memory = choice.evaluation.point, setup.system.spec.accelerator
    peak = float(setup.formats.ffn_rate)
    bandwidth = float(memory.hbm_bandwidth * memory.memory.efficiency[0])
    both = point.prefill_demand + point.decode_demand
    spent = {
        "decode": (point.decode_demand, point.time.decode),
        "prefill": (point.prefill_demand, point.time.prefill + point.time.reload),
        "together": (both, point.time.total),
    }
    phases = {}
    for name, (demand, seconds) in spent.items():
        traffic, arithmetic, time = float(demand.traffic), float(demand.arithmetic), float(seconds)
        phases[name] = {
            "flop_per_byte": arithmetic * peak / (traffic * bandwidth) if traffic > 0 else None,
            "tflop_s": arithmetic * peak / time / _TERA if time > 0 else None,
        }
    return {"peak_tflop_s": peak / _TERA, "bandwidth_tb_s": bandwidth / _TERA, "phases": phases}
