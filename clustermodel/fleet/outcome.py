"""A fleet and what becomes of it in every scenario."""

import dataclasses
from functools import cached_property
from typing import Literal

import numpy as np

from clustermodel.fleet.first_stage import in_service, resale, upkeep
from clustermodel.fleet.operation import Operation, operation
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.risk import risk_cost
from clustermodel.fleet.solve import dispatch_oracle
from clustermodel.fleet.two_stage import TwoStage

NEGLIGIBLE = 1e-6  # systems; a simplex solution has such crumbs


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """First-stage decisions `x` of a problem, and their consequences."""

    problem: FleetProblem
    program: TwoStage
    x: np.ndarray

    @cached_property
    def operation(self) -> Operation:
        """How the fleet is used in every scenario."""
        return operation(self.program, self.x, dispatch_oracle(self.program))

    @cached_property
    def losses(self) -> np.ndarray:
        """Present cost of every scenario in the problem's unit, the fleet's own cost included."""
        program = self.program
        loss = self.operation.cost.sum(axis=1) + program.offset
        return (float(program.cost @ self.x) + loss) * program.scale.money

    @cached_property
    def objective(self) -> float:
        """(1 - omega) E[loss] + omega CVaR_alpha[loss], from dispatches that meet every limit."""
        program = self.program
        return risk_cost(self.losses, program.probability, program.omega, program.alpha)

    def decision(self, kind: Literal["buy", "reserve"]) -> np.ndarray:
        """Systems ordered or reserved, [period, asset]."""
        values = self.x[getattr(self.program.layout, kind)]
        return np.where(values > NEGLIGIBLE, values, 0.0)

    @cached_property
    def in_service(self) -> np.ndarray:
        """Owned systems in service, [period, asset]."""
        added = in_service(self.problem, self.program.layout) @ self.x
        return self.problem.assets.legacy + added.reshape(self.program.layout.shape)

    @cached_property
    def standing(self) -> np.ndarray:
        """Systems that stand at own sites, owned or rented, [period, asset]."""
        return self.in_service + self.decision("reserve") * self.problem.rental.hosted

    @cached_property
    def upkeep(self) -> np.ndarray:
        """USD/s of maintenance of the owned systems in service, [period, asset]."""
        assets, added = self.problem.assets, upkeep(self.problem, self.program.layout) @ self.x
        legacy = assets.legacy * assets.legacy_price * assets.maintenance
        return legacy + added.reshape(self.program.layout.shape)

    @cached_property
    def sold(self) -> np.ndarray:
        """USD by period, at its start, from systems retired early."""
        layout, earned = self.program.layout, np.zeros(self.program.layout.shape[0])
        for column, index, t in zip(layout.retire, layout.retire_lot, layout.retire_period, strict=True):
            if (lot := layout.lots[index]).order >= 0:
                earned[t] += self.x[column] * resale(self.problem, lot, int(t))
        return earned

    @cached_property
    def left(self) -> float:
        """USD at the horizon for all that is left then."""
        layout, assets = self.program.layout, self.problem.assets
        worth = float(np.sum(self.x[layout.buy] * (assets.residual + assets.lasting)))
        for column, index in zip(layout.retire, layout.retire_lot, strict=True):
            if (lot := layout.lots[index]).order >= 0:
                worth -= float(self.x[column] * assets.residual[lot.order, lot.asset])
        return worth
