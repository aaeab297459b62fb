"""Price a fleet exactly: every dispatch of every scenario by warm-started simplex, slots side by side."""

import os
from concurrent.futures import ThreadPoolExecutor

import highspy
import jax
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.dispatch import Multipliers, Supply
from clustermodel.fleet.highs import INFINITY, LinearProgram, highs_model
from clustermodel.fleet.oracles import AbstractOracle, Recourse, certified
from clustermodel.fleet.two_stage import TwoStage


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class HighsOracle(AbstractOracle):
    """One warm-started simplex per slot; scenarios differ in the demand only and are solved in a near order."""

    name = "highs"

    def __init__(self, program: TwoStage):
        self._dispatch = program.dispatch
        parts = {name: np.asarray(value) for name, value in vars(program.dispatch).items()}
        slots = range(program.slots)
        self._slots = [_SlotModel({name: part[j] for name, part in parts.items()}) for j in slots]

    def recourse(self, supply: Supply, demand: np.ndarray) -> Recourse:
        """Exact costs, and the bounds that the simplex multipliers prove."""
        upper, dual, _ = self._solve(supply, demand)
        assets = supply.owned.shape[-1]
        prices = Multipliers(dual[..., :assets], dual[..., assets:])
        bound, lower = certified(self._dispatch, prices, supply, demand)
        return Recourse(np.minimum(lower, upper), upper, jax.tree.map(np.asarray, bound))

    def busy(self, supply: Supply, demand: np.ndarray) -> np.ndarray:
        """Busy systems of an optimal vertex of every dispatch."""
        return self._solve(supply, demand)[2]

    def _solve(self, supply: Supply, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Costs, multipliers and busy systems of all dispatches, slots side by side."""
        of_slot = lambda j: jax.tree.map(lambda part: part[j], supply)
        with ThreadPoolExecutor(cores()) as pool:
            tasks = [
                pool.submit(model.solve_all, of_slot(j), demand[:, j]) for j, model in enumerate(self._slots)
            ]
            solved = zip(*(task.result() for task in tasks), strict=True)
        cost, dual, busy = (np.stack(part, axis=1) for part in solved)
        return cost, dual, busy


class _SlotModel:
    """The dispatch of one slot in HiGHS: rows capacity, resource, demand; columns busy, y, o, u, v."""

    def __init__(self, part: dict[str, np.ndarray]):
        assets, workloads = part["rate"].shape
        a, w = np.nonzero(part["rate"] > 0)
        pairs, resources = len(a), part["draw"].shape[0]
        self.rows = assets + resources
        one, none, work = sp.eye_array(assets), None, sp.eye_array(workloads)
        capacity = sp.csr_matrix((np.ones(pairs), (a, np.arange(pairs))), shape=(assets, pairs))
        served = sp.csr_matrix((part["rate"][a, w], (w, np.arange(pairs))), shape=(workloads, pairs))
        draw = sp.csr_matrix(part["draw"][:, a, w])
        grid = [[capacity, -one, -one, none, none], [draw, none, none, none, none]]
        grid = [row for row in grid if row[0].shape[0]] + [[served, none, none, work, work]]
        costs = ("reserved_cost", "on_demand_cost", "penalty", "breach")
        most = (np.full(pairs, np.inf), np.zeros(2 * assets), np.full(2 * workloads, np.inf))
        cost = np.concatenate([part["cost"][a, w], *(part[name] for name in costs)])
        program = LinearProgram(
            cost=cost,
            lower=np.zeros(len(cost)),
            upper=np.concatenate(most),
            matrix=sp.csc_matrix(sp.block_array(grid)),
            row_lower=np.concatenate([np.full(self.rows, -np.inf), np.zeros(workloads)]),
            row_upper=np.concatenate([np.zeros(self.rows), np.full(workloads, np.inf)]),
            integer=np.zeros(len(cost), bool),
        )
        self.model = highs_model(program, presolve="off", solver="simplex")
        self.spare, self.penalty, self.shape = part["spare"], part["penalty"], (assets, workloads)
        self.pairs = (a, w)
        self.rented = np.arange(pairs, pairs + 2 * assets, dtype=np.int32)
        self.left_out = np.arange(pairs + 2 * assets, pairs + 2 * assets + workloads, dtype=np.int32)

    def solve_all(self, supply: Supply, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each scenario: cost, non-negative multipliers of capacity and resources, busy systems."""
        limits = np.concatenate([supply.owned, supply.resource])
        rows = np.arange(self.rows, dtype=np.int32)
        self.model.changeRowsBounds(self.rows, rows, np.full(self.rows, -INFINITY), limits)
        rented = np.concatenate([supply.reserved, supply.on_demand])
        self.model.changeColsBounds(len(rented), self.rented, np.zeros(len(rented)), rented)
        cost, dual = np.empty(len(demand)), np.empty((len(demand), self.rows))
        busy = np.zeros((len(demand), *self.shape))
        for s in np.argsort(demand @ self.penalty):
            cost[s], dual[s], busy[s][self.pairs] = self._solve(demand[s])
        return cost, dual, busy

    def _solve(self, work: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        count, model = len(work), self.model
        rows = np.arange(self.rows, self.rows + count, dtype=np.int32)
        model.changeRowsBounds(count, rows, work, np.full(count, INFINITY))
        model.changeColsBounds(count, self.left_out, np.zeros(count), self.spare * work)
        model.run()
        if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            model.clearSolver()  # a warm basis can go numerically bad; a cold start does not
            model.run()
        solution = model.getSolution()
        dual = np.maximum(-np.array(solution.row_dual[: self.rows]), 0)
        busy = np.array(solution.col_value[: len(self.pairs[0])])
        return model.getInfo().objective_function_value, dual, busy
