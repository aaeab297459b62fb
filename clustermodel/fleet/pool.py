"""A memory of bounds: the best bound known for every dispatch, without solving anything.

Multipliers that were optimal for one future and fleet prove a bound for every other. The pool keeps them per
slot and answers with the largest bound for each future, a matrix product instead of thousands of programs.
"""

import jax
import numpy as np

from clustermodel.fleet.dispatch import Bound, Supply
from clustermodel.fleet.oracles import Recourse

MOST = 6000
"""Bounds kept per slot; beyond it those that were best for no future in the last answer are dropped."""


class Pool:
    """Answers from the bounds that another oracle has returned so far."""

    def __init__(self, slots: int):
        self._bounds: list[Bound | None] = [None] * slots
        self._best: list[np.ndarray] = [np.zeros(0, int)] * slots

    def learn(self, recourse: Recourse) -> None:
        """Add the bounds [scenario, slot] of a priced fleet."""
        for j, known in enumerate(self._bounds):
            new = jax.tree.map(lambda part, j=j: part[:, j], recourse.bound)
            if known is not None and len(known.work) + len(new.work) > MOST:
                used = np.unique(self._best[j])
                known = jax.tree.map(lambda part, used=used: part[used], known)
            self._bounds[j] = new if known is None else jax.tree.map(_joined, known, new)

    def recourse(self, supply: Supply, demand: np.ndarray) -> Recourse:
        """The best known bounds; `upper` repeats them, because the pool knows no better."""
        slots = range(demand.shape[1])
        of_slot = lambda j: jax.tree.map(lambda part: part[j], supply)
        best = [self._best_of(j, of_slot(j), demand[:, j]) for j in slots]
        value = np.stack([value for value, _ in best], axis=1)
        bound = jax.tree.map(lambda *parts: np.stack(parts, axis=1), *(bound for _, bound in best))
        return Recourse(value, value, bound)

    def _best_of(self, slot: int, supply: Supply, demand: np.ndarray) -> tuple[np.ndarray, Bound]:
        bound = self._bounds[slot]
        assert bound is not None
        parts = ("owned", "reserved", "on_demand", "resource")
        paid = sum(getattr(bound, part) @ getattr(supply, part) for part in parts)
        values = demand @ bound.work.T - paid
        self._best[slot] = best = values.argmax(axis=1)
        return values[np.arange(len(best)), best], jax.tree.map(lambda part: part[best], bound)


def _joined(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([known, new])
