"""The money of a chosen point: the accelerator-hour and the million tokens."""

import dataclasses
import math
from typing import Any

from clustermodel.chain.choose import Choice
from clustermodel.chain.evaluate import Evaluation, token_rates
from clustermodel.chain.setup import Setup
from clustermodel.economics.allocation import SINGLE_CLASS, single_class_cost
from clustermodel.economics.tokens import UnitCost, token_costs
from clustermodel.serving.flops import token_flops
from clustermodel.serving.load import Load
from clustermodel.specs import Model
from clustermodel.units import MILLION, SECONDS_PER_HOUR


def unit_cost(setup: Setup, evaluation: Evaluation, concurrency: float, idle: float) -> UnitCost:
    """Cost of a token of each class under the question's allocation; `idle` multiplies the bill."""
    model, load = setup.model.spec, setup.load(concurrency)
    return shared_out(setup.question.allocation, evaluation, model, load, idle)


def shared_out(
    allocation: str, evaluation: Evaluation, model: Model, load: Load, idle: float = 1.0
) -> UnitCost:
    """The bill of a point times `idle`, shared out; classes that the allocation leaves open are NaN."""
    bill = evaluation.hour.total * evaluation.carried * idle
    rates = token_rates(evaluation.point, load)
    if allocation in SINGLE_CLASS:
        return single_class_cost(allocation, bill, rates)
    if allocation == "flops_weighted":
        return token_costs(bill, rates, token_flops(model, load), evaluation.holding)
    return token_costs(bill, rates, evaluation.point.token_time, evaluation.holding)


def money_fields(setup: Setup, choice: Choice) -> dict[str, Any]:
    """Prices of the accelerator-hour and of a million tokens, and what they are made of."""
    evaluation = choice.evaluation
    unit = unit_cost(setup, evaluation, choice.concurrency, choice.idle)
    return {
        "usd_per_accelerator_hour": float(evaluation.hour.total) * SECONDS_PER_HOUR,
        "cost_basis": setup.question.cost_basis,
        "price_date": setup.quote.date if setup.quote else None,
        "price_factor": None if setup.quote else float(setup.terms.spec.price_factor),
        "utilisation": float(setup.terms.spec.utilisation),
        "allocation": setup.question.allocation,
        "accelerators_paid_for": float(evaluation.carried),
        "usd_per_mtok_input": _per_mtok(unit.input),
        "usd_per_mtok_cached_input": _per_mtok(unit.cached_input),
        "usd_per_mtok_output": _per_mtok(unit.output),
        "usd_per_mtok_total": _per_mtok(unit.blended),
    }


def hour_parts(choice: Choice) -> dict[str, float]:
    """Where the accelerator-hour goes (USD/h); sums to `usd_per_accelerator_hour`."""
    hour = choice.evaluation.hour
    return {f.name: float(getattr(hour, f.name)) * SECONDS_PER_HOUR for f in dataclasses.fields(hour)}


def _per_mtok(usd_per_token: Any) -> float | None:
    value = float(usd_per_token) * MILLION
    return value if math.isfinite(value) else None
