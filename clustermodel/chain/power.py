"""`power`: what a deployment draws by phase and level, what its tokens cost in joules, and what a cap would do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clustermodel import __version__
from clustermodel.calibration.power import clocks, planning
from clustermodel.catalog import Catalog
from clustermodel.chain import pools
from clustermodel.chain.choose import Choice, choose, running
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.provenance import assumptions, inputs, sources
from clustermodel.chain.question import Question
from clustermodel.chain.setup import Setup, set_up
from clustermodel.chain.watts import power_fields, power_parts
from clustermodel.physics.chassis import system_power
from clustermodel.physics.deployment import Layout
from clustermodel.physics.facility import (
    P90_DEVIATIONS,
    facility_power,
    footprint,
    oversubscribed,
    planning_power,
)
from clustermodel.serving.capping import CappedPoint, CapPrice, Served, cap_sweep, usd_per_token
from clustermodel.serving.placement import placed
from clustermodel.units import MILLION

_WATTS_PER_MW = 1e6
_P95_DEVIATIONS = 1.6448536269514722
_CAPS = 60
_SHOWN_CAPS = np.linspace(0.4, 1.0, 7)
_FACTORS = (1.0, 1.1, 1.2, 1.3)


def power(catalog: Catalog, question: Question) -> dict[str, Any]:
    """Watts and joules of one deployment.

    Returns:
        Numbers as plain floats, null where not defined. Both ways to plan a site are given: `provisioned`
        (published all-in figure) and `p90` (this workload's facility power at its 90th percentile, and a
        reserve). `joules_per_token` splits the energy by the phases' power and time: input and output add up.

    Raises:
        ConfigError: the question is wrong.
        InfeasibleError: it has no answer; the text names the binding limit and the nearest feasible value.
    """
    if question.disaggregated:
        return pools.power(catalog, question)
    setup = set_up(catalog, question)
    choice = choose(setup)
    point, watts = choice.evaluation.point, power_fields(setup, choice)
    n = int(np.prod(choice.shape[:3]))
    return {
        "kind": "power",
        "schema": SCHEMA,
        "version": __version__,
        "system": setup.system.slug,
        "model": setup.model.slug,
        "engine": setup.engine.slug,
        "precision": setup.precision.label,
        "layout": dict(zip(("tp", "pp", "dp", "ep"), choice.shape, strict=True)),
        "n_accelerators": n,
        "concurrency": choice.concurrency,
        "batch": float(point.batch),
        "tpot_ms": float(point.tpot) * 1e3,
        "output_tok_s_per_accelerator": float(point.output_rate) / n,
        **watts,
        **_by_phase(choice),
        **_planned(catalog, setup, choice, watts),
        **_per_token(setup, choice, watts),
        **_caps(catalog, setup, choice),
        "breakdown": {"power_w": power_parts(setup, choice)},
        "uncertainty": _uncertainty(setup, watts),
        "seen": setup.measured,
        "inputs": inputs(setup),
        "assumptions": assumptions(setup),
        "sources": sources(catalog, setup),
    }


def _by_phase(choice: Choice) -> dict[str, Any]:
    """Board watts of each phase on its own, and the share of time that the engine spends in it."""
    time, board = choice.evaluation.point.time, choice.evaluation.board
    names = ("prefill", "decode", "stalled", "idle")
    prefill = float((time.prefill + time.reload) / time.total)
    return {
        "phase_w": {name: float(getattr(board, name)) for name in names},
        "phase_share": {"prefill": prefill, "decode": 1 - prefill},
    }


def _planned(catalog: Catalog, setup: Setup, choice: Choice, watts: dict[str, Any]) -> dict[str, Any]:
    """What a site must be able to give per accelerator on either basis, and what one megawatt then holds.

    No fleet peaks above all its boards at their cap.
    """
    peak, reserve = planning(catalog)
    mean = watts["facility_w_per_accelerator"]
    system, board = setup.system.spec, setup.money.board
    most = system_power(system, board.cap, jnp.zeros_like(system.accelerator.memory.capacity)).total
    peak = max(min(peak, float(facility_power(most, setup.site.spec.pue)) / mean), 1.0)
    mean, peak = jnp.asarray(mean), jnp.asarray(peak)
    p90 = planning_power(mean, peak, jnp.asarray(reserve))
    bases = {"provisioned": watts["provisioned_w_per_accelerator"], "p90": float(p90)}
    rate = float(choice.evaluation.point.output_rate) / float(choice.evaluation.carried)
    risks = [(factor, oversubscribed(p90, mean, peak, jnp.asarray(factor))) for factor in _FACTORS]
    return {
        "p90_w_per_accelerator": float(p90),
        "tok_s_per_mw_by_basis": {name: _WATTS_PER_MW * rate / each for name, each in bases.items()},
        "accelerators_per_mw": {name: _WATTS_PER_MW / each for name, each in bases.items()},
        "oversubscription": [
            {
                "factor": factor,
                "accelerators_per_mw": float(risk.accelerators) * _WATTS_PER_MW,
                "throttled_time": float(risk.throttled_time),
                "throttled_energy": float(risk.throttled_energy),
            }
            for factor, risk in risks
        ],
    }


def _per_token(setup: Setup, choice: Choice, watts: dict[str, Any]) -> dict[str, Any]:
    """Energy, its money, carbon and water per token; energy is split by the phases' power and time."""
    evaluation, site = choice.evaluation, setup.site.spec
    point, board = evaluation.point, evaluation.board
    load = setup.load(choice.concurrency)
    drawn = watts["facility_w_per_accelerator"] * float(evaluation.carried)
    before = float(board.prefill * (point.time.prefill + point.time.reload))
    prefill = before / (before + float(board.decode * point.time.decode))
    inputs_rate = float(point.request_rate) * float(load.uncached)
    energy = float(evaluation.hour.energy) / float(evaluation.hour.total)
    left = footprint(jnp.asarray(watts["joules_per_output_token"]) / site.pue, site)
    return {
        "joules_per_token": {
            "input": drawn * prefill / inputs_rate if inputs_rate > 0 else None,
            "output": drawn * (1 - prefill) / float(point.output_rate),
        },
        "usd_per_mtok_output_energy": watts["joules_per_output_token"] * float(site.electricity) * MILLION,
        "energy_share_of_cost": energy if energy > 0 else None,
        "carbon_kg_per_mtok_output": float(left.carbon) * MILLION,
        "water_l_per_mtok_output": float(left.water) * MILLION,
    }


def _caps(catalog: Catalog, setup: Setup, choice: Choice) -> dict[str, Any]:
    """What a cap on the boards would do while they run, and the best cap for joules and for dollars per token."""
    choice = running(setup, choice)
    evaluation, board = choice.evaluation, setup.money.board
    layout = Layout(*(jnp.asarray(float(each)) for each in choice.shape))
    load = setup.load(jnp.asarray(choice.concurrency))
    deployment = placed(setup.deployment(layout), load)
    served = Served(deployment, load, evaluation.point)
    caps = jnp.linspace(board.stalled, board.cap, _CAPS)
    found = cap_sweep(served, board, clocks(catalog), caps)
    dollars = _dollars(setup, choice, found)
    shown = np.searchsorted(np.asarray(caps), _SHOWN_CAPS * float(board.cap)).clip(0, _CAPS - 1)
    best = (int(np.argmin(found.joules_per_token)), int(np.argmin(dollars)))
    n = float(layout.n_accelerators)
    return {
        "best_cap_w": {"joules_per_token": float(caps[best[0]]), "usd_per_token": float(caps[best[1]])},
        "caps": [
            {
                "cap_w": float(caps[i]),
                "power_w": float(found.board_power[i]),
                "prefill_slowdown": float(found.prefill_slowdown[i]),
                "decode_slowdown": float(found.decode_slowdown[i]),
                "tpot_ms": float(found.tpot[i]) * 1e3,
                "output_tok_s_per_accelerator": float(found.output_rate[i]) / n,
                "board_joules_per_output_token": float(found.joules_per_token[i]),
                "usd_per_mtok_output": float(dollars[i]) * MILLION,
            }
            for i in sorted({*shown.tolist(), *best})
        ],
    }


def _dollars(setup: Setup, choice: Choice, capped: CappedPoint) -> np.ndarray:
    """The whole bill over output tokens (USD) under each cap; the hall is sized to what the boards then draw."""
    evaluation, hour = choice.evaluation, choice.evaluation.hour
    rented = setup.money.all_in_price > 0
    overhead = evaluation.inlet.total * setup.site.spec.pue / evaluation.board_power
    facility = jnp.where(rented, 0.0, hour.facility)
    price = CapPrice(
        fixed=hour.total - facility - jnp.where(rented, 0.0, hour.energy),
        electricity=jnp.where(rented, 0.0, setup.site.spec.electricity),
        per_watt=facility / (overhead * evaluation.board_power),
        overhead=overhead,
    )
    return np.asarray(jax.vmap(lambda each: usd_per_token(each, price, evaluation.carried))(capped))


def _uncertainty(setup: Setup, watts: dict[str, Any]) -> dict[str, Any]:
    """[p10, p90] of board power from the error on unseen models, and what that error was measured on.

    Joules are those at the throughput predicted.
    """
    spread = setup.board.spread * P90_DEVIATIONS / _P95_DEVIATIONS
    mean, cap = watts["power_w_per_accelerator"], float(setup.money.board.cap)
    low, high = mean * (1 - spread), min(mean * (1 + spread), cap)
    joules = watts["board_joules_per_output_token"] / mean
    return {
        "power_w_per_accelerator": [low, high],
        "board_joules_per_output_token": [low * joules, high * joules],
        "relative_error": setup.board.spread,
        "measured_on": setup.board.spread_of,
    }
