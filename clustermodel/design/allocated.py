"""What a token of each class costs under a named allocation, at one point of the chain and differentiable."""

from clustermodel.chain.evaluate import Evaluation, token_rates
from clustermodel.economics.allocation import SINGLE_CLASS, single_class_cost
from clustermodel.economics.tokens import UnitCost, token_costs
from clustermodel.serving.flops import token_flops
from clustermodel.serving.load import Load
from clustermodel.specs import Model


def allocated(allocation: str, evaluation: Evaluation, model: Model, load: Load) -> UnitCost:
    """The point's bill shared out; prices that the allocation leaves open are NaN."""
    bill, rates = evaluation.hour.total * evaluation.carried, token_rates(evaluation.point, load)
    if allocation in SINGLE_CLASS:
        return single_class_cost(allocation, bill, rates)
    if allocation == "flops_weighted":
        return token_costs(bill, rates, token_flops(model, load), evaluation.holding)
    return evaluation.unit
