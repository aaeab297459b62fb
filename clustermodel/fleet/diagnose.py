"""Why there is no plan: the smallest set of limits that contradict each other, and what would mend it."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator

import highspy
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.cures import Item, cures, unit_relief
from clustermodel.fleet.highs import INFINITY, LinearProgram, Model, highs_model
from clustermodel.fleet.monolith import monolith, slot_block
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.two_stage import TwoStage

SHOWN_LIMITS = 6
"""Limits, or systems, that a message names."""
MOST_PAIRS = 120_000
"""Busy pairs over all scenarios up to which a cure is looked for in all of them."""
WORST = 4
"""Scenarios that are looked at: those that ask for most. What is impossible for them is impossible."""


@dataclasses.dataclass(frozen=True)
class Conflict:
    """Limits that cannot hold together, and what would mend it, in words.

    A cure moves all limits of one kind by the same share and leaves the others alone; it is the least that does.
    No `limits` are named where they contradict each other only because systems are whole. `absent`: systems that
    nobody can have.
    """

    limits: tuple[str, ...]
    cures: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def __str__(self) -> str:
        cure = " or ".join(self.cures) or "no single kind of limit does, relax several"
        return f"no plan meets all limits{self._clash()}; what would do: {cure}{self._missing()}"

    def _clash(self) -> str:
        if not self.limits:
            return " with whole systems, though one with fractions does (--relaxed)"
        more = f" and {len(self.limits) - SHOWN_LIMITS} more" if len(self.limits) > SHOWN_LIMITS else ""
        named = ", ".join(self.limits[:SHOWN_LIMITS]) + more
        clash = "contradict each other" if len(self.limits) > 1 else "cannot hold whatever is bought"
        return f": {named} {clash}"

    def _missing(self) -> str:
        if not self.absent:
            return ""
        named = ", ".join(self.absent[:SHOWN_LIMITS])
        return f"; {named} cannot be had at all: write a price, a contract or systems already in service"


def conflict(problem: FleetProblem, program: TwoStage) -> Conflict | None:
    """The smallest set of limits that cannot hold together; None where a plan exists or nothing is found.

    Few scenarios tell most conflicts; what they do not tell, all of them do. Where fractions of systems have a plan,
    only cures with whole systems are looked for.
    """
    few, absent = _worst(program), tuple(_absent(problem))
    for looked_at in (few, program) if len(few.demand) < len(program.demand) else (program,):
        rows, items = _as_rows(problem, looked_at)
        relaxed = dataclasses.replace(rows, integer=np.zeros(len(rows.integer), bool))
        model = highs_model(relaxed, solver="simplex")
        if not _feasible(model):
            kept = _filtered(model, rows, items)
            kinds = dict.fromkeys(item.kind for item in kept)
            return Conflict(tuple(map(str, kept)), tuple(_cures(problem, program, kinds)), absent)
    found = tuple(_cures(problem, program, None)) if program.integer.any() else ()
    return Conflict((), found, absent) if found else None


def _cures(problem: FleetProblem, program: TwoStage, kinds: Iterable[str] | None) -> list[str]:
    """Cures of some or all kinds for all scenarios; the worst where there are too many, as the words then say."""
    pairs = np.count_nonzero(program.dispatch.rate) * len(program.demand)
    looked_at = program if pairs <= MOST_PAIRS else _worst(program)
    rows, items = _as_rows(problem, looked_at)
    found = cures(rows, items, dict.fromkeys(item.kind for item in items) if kinds is None else kinds)
    few = len(looked_at.demand) < len(program.demand)
    return [f"{cure} in the scenarios that ask for most" for cure in found] if few else found


def _absent(problem: FleetProblem) -> Iterator[str]:
    """Systems that are not for sale, not for rent and not there."""
    assets, rental = problem.assets, problem.rental
    offers = (assets.supply, assets.legacy, rental.most, rental.least, rental.on_demand_most)
    there = np.any([offer.any(axis=0) for offer in offers], axis=0)
    for name in dict.fromkeys(assets.systems):
        if not there[[system == name for system in assets.systems]].any():
            yield name


def _worst(program: TwoStage) -> TwoStage:
    """The scenarios with the largest demand in some slot or over all."""
    value = (program.demand * np.asarray(program.dispatch.penalty + program.dispatch.breach)).sum(axis=2)
    order = np.argsort(-value.sum(axis=1), kind="stable")[:WORST]
    peaks = np.unique(np.concatenate([order, value.argmax(axis=0)[np.argsort(-value.max(axis=0))][:WORST]]))
    return _of_scenarios(program, peaks)


def _of_scenarios(program: TwoStage, some: np.ndarray) -> TwoStage:
    return dataclasses.replace(
        program,
        demand=program.demand[some],
        probability=np.full(len(some), 1 / len(some)),
        offset=program.offset[some],
        omega=0.0,
    )


def _as_rows(problem: FleetProblem, program: TwoStage) -> tuple[LinearProgram, list[Item]]:
    """The program without costs, every limit a row that can be relieved."""
    program = _of_scenarios(program, np.arange(len(program.demand)))  # without the rows of CVaR
    base = monolith(program, whole=True)
    columns, limits, items, ends = [], [], [], _tier_ends(program)
    items.extend(_row_items(problem, program))
    for bound in (*_offers(problem, program), *_must_serve(problem, program)):
        first = len(base.row_lower) + sum(map(len, columns))
        columns.append(bound.rows)
        limits.append(base.upper[bound.rows])
        rows = first + np.arange(len(bound.rows))
        tiers = [
            (i, relief) for column, relief in zip(bound.rows, bound.relief, strict=True) for i in ends[column]
        ]
        more = np.array(tiers).reshape(-1, 2)
        relief = np.append(bound.relief, more[:, 1])
        items.append(dataclasses.replace(bound, rows=np.append(rows, more[:, 0].astype(int)), relief=relief))
    freed = np.concatenate([*columns, np.zeros(0, int)])
    picked = sp.csr_matrix(
        (np.ones(len(freed)), (np.arange(len(freed)), freed)), (len(freed), len(base.cost))
    )
    upper = base.upper.copy()
    upper[freed] = np.inf
    return LinearProgram(
        cost=np.zeros(len(base.cost)),
        lower=base.lower,
        upper=upper,
        matrix=sp.csc_matrix(sp.vstack([base.matrix, picked])),
        row_lower=np.concatenate([base.row_lower, np.full(len(freed), -np.inf)]),
        row_upper=np.concatenate([base.row_upper, *limits]),
        integer=base.integer,
    ), items


def _row_items(problem: FleetProblem, program: TwoStage) -> Iterator[Item]:
    block, scenarios = slot_block(program), len(program.probability)
    blocks, resources = problem.shape["blocks"], len(program.resources)
    per_scenario, first = sum(block.sizes), len(program.rows)
    general = {limit.period for limit in problem.limits if limit.kind == "power" and not any(limit.scope)}
    everywhere = None in general or len(general) == problem.shape["periods"]
    for index, row in enumerate(program.rows):
        meaning = row.meaning
        if not meaning.relaxable:
            continue
        rows = [index]
        for r, resource in enumerate(program.resources):
            if meaning.constraint == resource.kind == "power":
                same = (meaning.site, meaning.system, meaning.amount)
                slots = [
                    j
                    for j, limit in resource.limits.items()
                    if (limit.site, limit.subject, limit.value) == same
                    and problem.horizon.periods[j // blocks] == meaning.period
                ]
                start = first + 2 * block.sizes[0]
                rows += [
                    start + s * per_scenario + j * resources + r for s in range(scenarios) for j in slots
                ]
        whole_horizon = meaning.period == "all" or problem.shape["periods"] == 1
        scope = " ".join(part for part in (meaning.site, meaning.system) if part)
        name = " ".join(part for part in (meaning.constraint, scope, meaning.period) if part)
        sign = 0.0 if meaning.constraint == "vendor_share" else -1.0 if np.isfinite(row.lower) else 1.0
        each = unit_relief(meaning.amount, meaning.constraint)
        relief = np.full(len(rows), sign * each / meaning.scale)  # a share of spending has no cure
        option = not scope and (
            everywhere if meaning.constraint == "power" else meaning.constraint == "budget" and whole_horizon
        )
        yield Item(name, meaning.constraint, np.array(rows), relief, meaning.amount, option)


def _offers(problem: FleetProblem, program: TwoStage) -> Iterator[Item]:
    """Orders and reservations that vendors limit, an item for each asset; `rows` are columns as yet."""
    layout, assets = program.layout, problem.assets
    named = (("supply", layout.buy), ("reservations", layout.reserve))
    upper = program.upper.copy()
    for tiers in problem.tiers:  # a contract is limited where its last tier ends
        if tiers.decision == "reserve":
            lanes = layout.reserve[tiers.period, [assets for (assets,) in tiers.assets]]
            upper[lanes] = [*np.zeros(len(lanes) - 1), tiers.end[-1]]
    for kind, columns in named:
        for a, system in enumerate(assets.systems):
            mine = columns[:, a][np.isfinite(upper[columns[:, a]]) & (upper[columns[:, a]] > 0)]
            most = upper[mine]
            if most.any():
                yield Item(f"{kind} of {system} at {assets.sites[a]}", kind, mine, most, float(most.max()))


def _tier_ends(program: TwoStage) -> dict[int, list[int]]:
    """The rows that end a tier, by the column of what it holds."""
    found: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(program.rows):
        if row.meaning.constraint == "tier" and np.isfinite(row.upper):
            for column in row.columns[row.values > 0]:
                found[int(column)].append(index)
    return found


def _must_serve(problem: FleetProblem, program: TwoStage) -> Iterator[Item]:
    """What may be left out of each workload; `rows` are columns as yet."""
    block, scenarios = slot_block(program), len(program.probability)
    slots, workloads = program.demand.shape[1:]
    start = program.layout.count + np.arange(scenarios) * len(block.cost) + block.left_out_columns.start
    columns = start[:, None, None] + np.arange(slots * workloads).reshape(slots, workloads)
    for w, name in enumerate(problem.service.workloads):
        share = float(problem.service.must_serve[:, w].max())
        if share > 0:
            must = program.demand[:, :, w] * (1 - np.asarray(program.dispatch.spare)[:, w])
            yield Item(f"must_serve of {name}", "must_serve", columns[:, :, w].ravel(), must.ravel(), share)


def _feasible(model: Model) -> bool:
    model.run()
    return model.getModelStatus() == highspy.HighsModelStatus.kOptimal


def _relax(model: Model, rows: np.ndarray) -> None:
    free = np.full(len(rows), INFINITY)
    model.changeRowsBounds(len(rows), rows.astype(np.int32), -free, free)


def _restore(model: Model, program: LinearProgram, rows: np.ndarray) -> None:
    low, high = program.row_lower[rows].clip(-INFINITY), program.row_upper[rows].clip(max=INFINITY)
    model.changeRowsBounds(len(rows), rows.astype(np.int32), low, high)


def _filtered(model: Model, program: LinearProgram, items: list[Item]) -> list[Item]:
    """Deletion filter: drop every limit without which the rest still contradicts itself, kinds first.

    [J. Chinneck: Feasibility and Infeasibility in Optimization, Springer 2008, chapter 6]
    """
    kept = items
    for kind in dict.fromkeys(item.kind for item in items):
        group = [item for item in kept if item.kind == kind]
        _relax(model, np.concatenate([item.rows for item in group]))
        if _feasible(model):
            for item in group:
                _restore(model, program, item.rows)
        else:
            kept = [item for item in kept if item.kind != kind]
    for item in list(kept):
        _relax(model, item.rows)
        if _feasible(model):
            _restore(model, program, item.rows)
        else:
            kept = [other for other in kept if other is not item]
    for item in items:  # the cure has to work with everything else in place
        _restore(model, program, item.rows)
    return kept
