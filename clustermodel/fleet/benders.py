"""Stabilised Benders decomposition (the L-shaped method) with bounds at every step.

A master program holds the first stage and, for each slot, a variable theta below the expected dispatch cost;
an oracle prices a trial fleet and returns affine bounds that become cuts on theta. CVaR has one variable for
the whole horizon: its cut weighs scenarios by the worst admissible distribution and sums all slots, which may
not be split by slot. Trial points lie half-way between the master's optimum and the best fleet so far.

Many scenarios are approached in three steps: solve for groups of them; then, over all scenarios, with the best
of the bounds known so far; then price the fleet truly, learn from that, and repeat until the bounds meet.
[R. Van Slyke, R. Wets: L-shaped linear programs, SIAM J. Appl. Math. 17 (1969);
 W. Ben-Ameur, J. Neto: Acceleration of cutting-plane and column generation algorithms, Networks 49 (2007)]
"""

import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np

from clustermodel.fleet.dispatch import Bound
from clustermodel.fleet.highs import Status
from clustermodel.fleet.master import Cut, Master
from clustermodel.fleet.oracles import AbstractOracle, Recourse
from clustermodel.fleet.pool import Pool
from clustermodel.fleet.risk import tail_weights
from clustermodel.fleet.sample import Sample, everything, grouped
from clustermodel.fleet.solution import Progress, Solution, Watcher
from clustermodel.fleet.two_stage import TwoStage

STEP = 0.5
"""How far a trial point goes from the best fleet towards the master's optimum."""
GROUP_LEVELS = 5
"""Up to twice 2**5 scenarios are solved at once; more are first solved in at most 2**5 groups."""
GROUP_GAP = 5.0
"""Gap for the groups over the gap asked for: they only prepare the ground."""
POOL_GAP = 0.1
"""Share of the open gap down to which known bounds are exploited before the fleet is priced again."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """When to stop: relative gap, seconds, priced fleets, or when `stop` says so; and whom to tell."""

    gap: float = 1e-4
    seconds: float = np.inf
    iterations: int = 1000
    stop: Callable[[], bool] = lambda: False
    watcher: Watcher = lambda progress: None


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """A fleet, its cost in scaled money, and the values of the thetas that go with it."""

    x: np.ndarray | None = None
    cost: float = np.inf
    thetas: np.ndarray | None = None


class Benders:
    """The state of a decomposition: master, bounds proven so far, best fleet. Later phases can go on from it."""

    def __init__(self, program: TwoStage, oracle: AbstractOracle, effort: Effort):
        self.program, self.oracle, self.effort = program, oracle, effort
        self.master, self.pool = Master(program), Pool(program.slots)
        self.started = time.perf_counter()
        self.lower, self.best = -np.inf, Point()
        self.iterations = 0

    def solve(self) -> Solution:
        """Solve the continuous problem to the gap."""
        full = everything(self.program)
        if len(full.probability) < 2 ** (GROUP_LEVELS + 1):
            status, self.best = self.descend(self.price, full, self.effort.gap, self.best)
            return self.solution(status)
        sketch = grouped(self.program, GROUP_LEVELS)
        status, start = self.descend(self.price, sketch, GROUP_GAP * self.effort.gap, Point())
        stopped = status in (Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED)
        return self.solution(status if stopped else self._close_in(full, start))

    def _close_in(self, full: Sample, start: Point) -> Status:
        """Alternate between exploiting the bounds known so far and pricing the fleet that they suggest."""
        while True:
            gap = POOL_GAP * min(self.program.gap(self.lower, self.best.cost), GROUP_GAP**2 * self.effort.gap)
            _, start = self.descend(self.recall, full, gap, Point(start.x))
            assert start.x is not None
            trial = self._towards(start.x)
            recourse = self.price(trial, full)
            self.best = min(self.best, self.point(trial, recourse, full), key=lambda point: point.cost)
            self.tell("scenarios", self.best)
            if self.program.gap(self.lower, self.best.cost) <= self.effort.gap:
                return Status.OPTIMAL
            self.cut(recourse, full)
            if self.spent():
                return self.cut_short()

    def descend(
        self, price: Callable[[np.ndarray, Sample], Recourse], sample: Sample, gap: float, best: Point
    ) -> tuple[Status, Point]:
        """Cut until the proven lower bound and the cost on `sample`, as `price` sees it, meet."""
        while True:
            answer = self.master.solve()
            if answer.status is not Status.OPTIMAL:
                return answer.status, best
            self.lower = max(self.lower, answer.objective)
            trial = answer.x if best.x is None else best.x + STEP * (answer.x - best.x)
            recourse = price(trial, sample)
            best = min(best, self.point(trial, recourse, sample), key=lambda point: point.cost)
            self.tell("outline", best)
            if self.program.gap(self.lower, best.cost) <= gap:
                return Status.OPTIMAL, best
            self.cut(recourse, sample)
            if self.spent():
                return self.cut_short(), best

    def price(self, trial: np.ndarray, sample: Sample) -> Recourse:
        """What `trial` truly costs; the pool learns the bounds that prove it."""
        self.iterations += 1
        recourse = self.oracle.recourse(self.program.supply(trial), sample.demand)
        self.pool.learn(recourse)
        return recourse

    def recall(self, trial: np.ndarray, sample: Sample) -> Recourse:
        """What `trial` costs at least, from bounds known already."""
        return self.pool.recourse(self.program.supply(trial), sample.demand)

    def cut(self, recourse: Recourse, sample: Sample) -> None:
        """Turn the bounds of a priced trial into rows of the master."""
        self.master.add(expected_cuts(recourse, sample))
        if self.program.omega > 0:
            loss = recourse.upper.sum(axis=1) + sample.offset
            weights = tail_weights(loss, sample.probability, self.program.alpha)
            self.master.add([tail_cut(recourse, sample, weights)])

    def point(self, trial: np.ndarray, recourse: Recourse, sample: Sample) -> Point:
        """The trial with its cost on a sample."""
        program, cost = self.program, recourse.upper
        mean, tail = np.sum(sample.weight * cost, axis=0), 0.0
        if program.omega > 0:
            loss = cost.sum(axis=1) + sample.offset
            tail = float(tail_weights(loss, sample.probability, program.alpha) @ loss)
        total = program.cost @ trial + (1 - program.omega) * mean.sum() + program.omega * tail
        return Point(trial, float(total), np.append(mean, tail))

    def spent(self) -> bool:
        """Whether time or iterations are over, or somebody asked to stop."""
        over = self.left <= 0 or self.iterations >= self.effort.iterations
        return over or self.effort.stop()

    def cut_short(self) -> Status:
        """Why a solve ends before its bounds meet."""
        return Status.INTERRUPTED if self.effort.stop() else Status.TIME_LIMIT

    @property
    def left(self) -> float:
        """Seconds that may still be spent."""
        return self.effort.seconds - (time.perf_counter() - self.started)

    def solution(self, status: Status) -> Solution:
        """The best fleet with its bounds and the master's prices."""
        x = np.zeros(self.program.layout.count) if self.best.x is None else self.best.x
        return Solution(
            status=status,
            x=x,
            lower=self.lower,
            upper=self.best.cost,
            prices=None if self.best.x is None else self.master.prices(),
            solver=f"benders-{self.oracle.name}",
            seconds=time.perf_counter() - self.started,
            iterations=self.iterations,
        )

    def _towards(self, x: np.ndarray) -> np.ndarray:
        return x if self.best.x is None else self.best.x + STEP * (x - self.best.x)

    def tell(self, phase: str, point: Point) -> None:
        """Report progress to whoever watches."""
        seconds = time.perf_counter() - self.started
        self.effort.watcher(Progress(phase, self.iterations, self.lower, point.cost, seconds))


def expected_cuts(recourse: Recourse, sample: Sample) -> list[Cut]:
    """For every slot: theta >= the weighted mean of its bounds."""
    constant, total = _weighted(recourse, sample, sample.weight)
    return [
        Cut(j, float(constant[j]), np.array([j]), jax.tree.map(lambda part, j=j: part[j : j + 1], total))
        for j in range(len(constant))
    ]


def tail_cut(recourse: Recourse, sample: Sample, tail: np.ndarray) -> Cut:
    """Theta of CVaR >= the tail-weighted bounds summed over all slots."""
    slots = sample.demand.shape[1]
    constant, total = _weighted(recourse, sample, np.repeat(tail[:, None], slots, axis=1))
    return Cut(slots, float(constant.sum() + tail @ sample.offset), np.arange(slots), total)


def _weighted(recourse: Recourse, sample: Sample, weights: np.ndarray) -> tuple[np.ndarray, Bound]:
    """Sum over scenarios of weight x bound: what demand contributes [slot], and the prices [slot, ...]."""
    total = jax.tree.map(lambda part: np.einsum("sj,sj...->j...", weights, part), recourse.bound)
    return np.einsum("sj,sjw,sjw->j", weights, recourse.bound.work, sample.demand), total
