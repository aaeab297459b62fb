"""The master program of the decomposition: first stage, one theta per slot, one for CVaR, and cuts."""

import dataclasses
from collections.abc import Callable

import highspy
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.dispatch import Bound
from clustermodel.fleet.highs import (
    INFINITY,
    Answer,
    LinearProgram,
    exact_choices,
    highs_model,
    run,
    run_from,
)
from clustermodel.fleet.solution import Prices
from clustermodel.fleet.two_stage import TwoStage

PARTS = ("owned", "reserved", "on_demand", "resource")


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """theta >= constant - sum over `slots` of the bound's prices . supply.

    `constant` is the weighted sum of work . D; `bound` holds the weighted sums over scenarios [slot, ...].
    """

    theta: int  # slot, or the number of slots for CVaR
    constant: float
    slots: np.ndarray
    bound: Bound


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """A box of first-stage decisions and how long to search it."""

    lower: np.ndarray
    upper: np.ndarray
    gap: float
    seconds: float
    stop: Callable[[], bool]


class Master:
    """HiGHS holding the master; it only ever grows, so every solve starts from the last basis."""

    def __init__(self, program: TwoStage):
        self.program, self.cuts = program, []
        thetas = program.slots + 1
        risk = program.omega > 0
        first = program.row_matrix()
        least = float(program.offset.min()) if risk else 0.0
        self.model = highs_model(
            LinearProgram(
                cost=np.concatenate([program.cost, np.full(thetas - 1, 1 - program.omega), [program.omega]]),
                lower=np.concatenate([program.lower, np.zeros(thetas - 1), [least]]),
                upper=np.concatenate([program.upper, np.full(thetas - 1, np.inf), [np.inf if risk else 0.0]]),
                matrix=sp.csc_matrix(sp.hstack([first, sp.csr_matrix((len(program.rows), thetas))])),
                row_lower=np.array([row.lower for row in program.rows]),
                row_upper=np.array([row.upper for row in program.rows]),
                integer=np.zeros(program.layout.count + thetas, bool),
                constant=program.constant,
            )
        )

    def add(self, cuts: list[Cut]) -> None:
        """Add cuts as rows."""
        for cut in cuts:
            columns, values, lower = self._row(cut)
            added = self.model.addRow(lower, INFINITY, len(columns), columns.astype(np.int32), values)
            if added is highspy.HighsStatus.kError:
                raise FloatingPointError("a cut of the decomposition is not finite")
        self.cuts.extend(cuts)

    def _row(self, cut: Cut) -> tuple[np.ndarray, np.ndarray, float]:
        lower, row = cut.constant, np.zeros(self.program.layout.count)
        for name in PARTS:
            start, matrix = getattr(self.program.supply, name)
            price, width = getattr(cut.bound, name), start.shape[1]
            lower -= np.sum(price * start[cut.slots])
            which = (cut.slots[:, None] * width + np.arange(width)).ravel()
            row += matrix[which].T @ price.ravel()
        used = np.nonzero(row)[0]
        columns = np.append(used, len(row) + cut.theta)
        return columns, np.append(row[used], 1.0), float(lower)

    def solve(self) -> Answer:
        """The master's optimum; `x` is the first stage alone."""
        answer = run(self.model)
        return dataclasses.replace(answer, x=answer.x[: self.program.layout.count])

    def make_whole(self) -> None:
        """From now on systems are whole numbers."""
        if self.program.layout.opens:
            exact_choices(self.model)
        for column in np.nonzero(self.program.integer)[0]:
            self.model.changeColIntegrality(int(column), highspy.HighsVarType.kInteger)

    def solve_whole(self, search: Search, start: np.ndarray | None) -> Answer:
        """Branch and bound within a box, from a feasible point (first stage and thetas) if there is one."""
        columns = np.arange(self.program.layout.count, dtype=np.int32)
        self.model.changeColsBounds(len(columns), columns, search.lower, search.upper)
        self.model.setOptionValue("mip_rel_gap", search.gap)
        self.model.setOptionValue("time_limit", search.seconds)
        answer = run_from(self.model, start, search.stop)
        return dataclasses.replace(answer, x=answer.x[: len(columns)])

    def prices(self) -> Prices:
        """Multipliers of the continuous master, carried from the cuts to what they price."""
        self.model.run()
        solution, rows = self.model.getSolution(), len(self.program.rows)
        dual = np.array(solution.row_dual)
        supply = self.program.supply
        shapes = [self.program.demand.shape[1:], *(getattr(supply, name)[0].shape for name in PARTS)]
        mixed = Bound(*(np.zeros(shape) for shape in shapes))
        for weight, cut in zip(dual[rows:], self.cuts, strict=True):
            for name in ("work", *PARTS):
                getattr(mixed, name)[cut.slots] += weight * getattr(cut.bound, name)
        return Prices(
            rows=dual[:rows],
            columns=np.array(solution.col_dual)[: self.program.layout.count],
            capacity=mixed.owned,
            reserved=mixed.reserved,
            on_demand=mixed.on_demand,
            resource=mixed.resource,
            work=mixed.work,
        )
