"""The power of a chosen point, from the board to the meter of the site."""

import dataclasses
from typing import Any

from clustermodel.chain.choose import Choice
from clustermodel.chain.setup import Setup
from clustermodel.physics.facility import facility_power, provisioned_power

WATTS_PER_MW = 1e6


def power_fields(setup: Setup, choice: Choice) -> dict[str, Any]:
    """Watts per accelerator at each level, joules per token and tokens per megawatt."""
    evaluation, site = choice.evaluation, setup.site.spec
    inlet = float(evaluation.inlet.total)
    facility = float(facility_power(evaluation.inlet.total, site.pue))
    planned = planned_power(setup, inlet)
    rate = float(evaluation.point.output_rate) / float(evaluation.carried)
    return {
        "power_w_per_accelerator": float(evaluation.board_power),
        "it_w_per_accelerator": inlet,
        "facility_w_per_accelerator": facility,
        "provisioned_w_per_accelerator": planned,
        "joules_per_output_token": facility / rate,
        "board_joules_per_output_token": float(evaluation.board_power) / rate,
        "tok_s_per_mw": WATTS_PER_MW * rate / planned,
        "power_basis": setup.board.basis,
        "energy_usd_per_accelerator_hour": facility * float(site.electricity) * 3600,
    }


def planned_power(setup: Setup, inlet: float) -> float:
    """All-in planning power of an accelerator (W); what it draws at `inlet` and the meter where none is known."""
    system, pue = setup.system.spec, setup.site.spec.pue
    chip, limit = system.accelerator, system.max_power / system.count
    planned = provisioned_power(chip.provisioned_power, chip.provisioned_pue, limit, pue)
    return float(planned) or inlet * float(pue)


def power_parts(setup: Setup, choice: Choice) -> dict[str, float]:
    """Facility power per accelerator by cause (W); sums to `facility_w_per_accelerator`."""
    inlet = choice.evaluation.inlet
    parts = {f.name: float(getattr(inlet, f.name)) for f in dataclasses.fields(inlet)}
    return {**parts, "cooling": float(inlet.total) * (float(setup.site.spec.pue) - 1)}
