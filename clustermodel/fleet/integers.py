"""Whole systems on top of the decomposition: round within boxes, search around the best, then prove.

The cuts of the continuous solve make the master a good model of the cost. Branch and bound on it is fast in a
small box, so fleets are found near the continuous optimum first (each variable rounded up or down), then near
the best fleet found (each one system more or less); every fleet is priced truly and adds its cuts. What is left
of the time goes into the whole master, whose bound is a bound on the true cost.
[M. Fischetti, A. Lodi: Local branching, Mathematical Programming 98 (2003)]
"""

import dataclasses

import numpy as np

from clustermodel.fleet.benders import Benders, Point
from clustermodel.fleet.highs import Status
from clustermodel.fleet.master import Search
from clustermodel.fleet.sample import everything
from clustermodel.fleet.solution import Solution

ROUNDINGS = 4
"""Boxes tried around the continuous optimum."""
NEIGHBOURS = 2
"""Boxes tried around the best fleet without finding a better one before the whole space is searched."""
BOX_SECONDS = 5.0
BOX_GAP = 0.25
"""Gap within a box over the gap asked for."""
ROUNDING_TOLERANCE = 1e-6


class WholeSystems:
    """The integer phase of a decomposition that has been solved with fractions of systems."""

    def __init__(self, benders: Benders):
        self.benders, self.program = benders, benders.program
        self.full = everything(self.program)
        assert benders.best.x is not None
        self.fractional, benders.best = benders.best.x, Point()
        self.prices = benders.master.prices()
        benders.master.make_whole()

    def solve(self) -> Solution:
        """Search until the gap is closed or the effort is spent."""
        self.round()
        self.refine()
        while not self.done():
            self.search(self.program.lower, self.program.upper, np.inf, self.benders.effort.gap / 2)
        closed = self.gap <= self.benders.effort.gap
        solution = self.benders.solution(Status.OPTIMAL if closed else self.benders.cut_short())
        return dataclasses.replace(solution, prices=self.prices)

    def round(self) -> None:
        """Fleets whose every entry is the continuous one, rounded up or down."""
        x = self.fractional
        whole = self.program.integer
        low = np.where(whole, np.floor(x + ROUNDING_TOLERANCE), self.program.lower)
        high = np.where(whole, np.ceil(x - ROUNDING_TOLERANCE), self.program.upper)
        for _ in range(ROUNDINGS):
            if self.done() or not self.search(low, high, BOX_SECONDS, BOX_GAP * self.benders.effort.gap):
                return

    def refine(self) -> None:
        """Fleets that differ from the best by at most one system in every entry."""
        misses = 0
        while misses < NEIGHBOURS and not self.done() and (best := self.benders.best.x) is not None:
            whole = self.program.integer
            low = np.where(whole, np.maximum(best - 1, self.program.lower), self.program.lower)
            high = np.where(whole, np.minimum(best + 1, self.program.upper), self.program.upper)
            misses = (
                0 if self.search(low, high, BOX_SECONDS, BOX_GAP * self.benders.effort.gap) else misses + 1
            )

    def search(self, low: np.ndarray, high: np.ndarray, seconds: float, gap: float) -> bool:
        """Search one box, price what it finds and learn from it; whether that is the best fleet so far."""
        benders, best = self.benders, self.benders.best
        limit = max(min(seconds, benders.left), 0.0)
        box = Search(np.minimum(low, high), high, gap, limit, benders.effort.stop)
        start = None if best.x is None or best.thetas is None else np.concatenate([best.x, best.thetas])
        answer = benders.master.solve_whole(box, start)
        everywhere = np.array_equal(low, self.program.lower) and np.array_equal(high, self.program.upper)
        if everywhere and np.isfinite(answer.bound):
            benders.lower = max(benders.lower, answer.bound)
        if len(answer.x) == 0 or not np.isfinite(answer.objective):
            return False
        trial = np.where(self.program.integer, np.round(answer.x), answer.x)
        recourse = benders.price(trial, self.full)
        benders.best = min(best, benders.point(trial, recourse, self.full), key=lambda point: point.cost)
        benders.cut(recourse, self.full)
        benders.tell("whole systems", benders.best)
        return benders.best is not best

    @property
    def gap(self) -> float:
        """Relative gap between the best whole fleet and the bound."""
        return self.program.gap(self.benders.lower, self.benders.best.cost)

    def done(self) -> bool:
        """Whether the gap is closed or the effort is spent."""
        return self.gap <= self.benders.effort.gap or self.benders.spent()
