"""The futures that a solve looks at: all scenarios, or fewer that bound them from below.

The cost of a dispatch is convex in demand, so (Jensen) the cost of a group's mean demand is at most the mean cost
of the group. What is proven on groups holds for all scenarios, because bounds are linear in demand.
"""

import dataclasses

import numpy as np

from clustermodel.fleet.two_stage import TwoStage


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Demands [future, slot, workload] with the weight of each in the expectation of a slot [future, slot].

    `probability` and `offset` [future] are those of whole paths, which CVaR ranks.
    """

    demand: np.ndarray
    weight: np.ndarray
    probability: np.ndarray
    offset: np.ndarray


def everything(program: TwoStage) -> Sample:
    """All scenarios."""
    weight = np.repeat(program.probability[:, None], program.slots, axis=1)
    return Sample(program.demand, weight, program.probability, program.offset)


def grouped(program: TwoStage, levels: int) -> Sample:
    """At most 2**levels futures. Without CVaR every slot groups its own demands; with it, whole paths.

    Only an expectation separates over slots, which is what grouping slot by slot needs.
    """
    value = np.asarray(program.dispatch.penalty)
    probability = program.probability
    if program.omega > 0:
        paths = (program.demand * value).reshape(len(probability), -1)
        mean = _means(bisected(paths, probability, levels), probability)
        weight = mean.sum(axis=1)
        mean = mean / weight[:, None]
        every = np.repeat(weight[:, None], program.slots, axis=1)
        return Sample(np.tensordot(mean, program.demand, axes=1), every, weight, mean @ program.offset)
    demand = np.zeros((2**levels, *program.demand.shape[1:]))
    weight = np.zeros(demand.shape[:2])
    for j in range(program.slots):
        share = _means(bisected(program.demand[:, j] * value[j], probability, levels), probability)
        groups = len(share)
        weight[:groups, j] = share.sum(axis=1)
        demand[:groups, j] = share @ program.demand[:, j] / weight[:groups, j, None]
    used = weight.any(axis=1)
    zeros = np.zeros(int(used.sum()))
    return Sample(demand[used], weight[used], zeros, zeros)


def bisected(points: np.ndarray, probability: np.ndarray, levels: int) -> np.ndarray:
    """Label of each point after halving every group `levels` times across its direction of largest spread."""
    labels = np.zeros(len(points), int)
    for _ in range(levels):
        for label in np.unique(labels):
            members = np.nonzero(labels == label)[0]
            if len(members) > 1:
                order = members[np.argsort(_spread(points[members]), kind="stable")]
                before = np.cumsum(probability[order]) - probability[order] / 2  # up to each one's middle
                cut = np.searchsorted(before, probability[order].sum() / 2)
                labels[order[np.clip(cut, 1, len(order) - 1) :]] = labels.max() + 1
    return labels


def _spread(points: np.ndarray) -> np.ndarray:
    """Coordinates along the first principal direction."""
    centred = points - points.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][0]


def _means(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[group, scenario]: probability of each scenario in its group, 0 elsewhere."""
    return (labels[None] == np.unique(labels)[:, None]) * probability
