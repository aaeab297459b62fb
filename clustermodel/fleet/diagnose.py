"""Why there is no plan: the smallest set of limits that contradict each other, and what would mend it."""

import dataclasses
from collections.abc import Iterator

import highspy
import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.highs import INFINITY, LinearProgram, Model, highs_model
from clustermodel.fleet.monolith import monolith, slot_block
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.shadow import SHOWN
from clustermodel.fleet.two_stage import TwoStage
from clustermodel.units import unit_scale

LOWERED = ("must_serve", "purchases")
"""Kinds that are relaxed by lowering them."""
SHOWN_LIMITS = 6
"""Limits that a message names."""
WORST = 4
"""Scenarios that are looked at: those that ask for most. What is impossible for them is impossible."""


@dataclasses.dataclass(frozen=True, eq=False)
class Item:
    """One limit that a person set: the rows it makes, the relief that 100 % of its amount gives each, its amount."""

    name: str
    kind: str
    rows: np.ndarray
    relief: np.ndarray
    amount: float  # SI

    def __str__(self) -> str:
        return f"{self.name} ({_shown(self.amount, self.kind)})"


@dataclasses.dataclass(frozen=True)
class Conflict:
    """Limits that cannot hold together, and what would mend it, in words.

    A cure moves all limits of one kind by the same share and leaves the others alone; it is the least that does.
    """

    limits: tuple[str, ...]
    cures: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.limits) - SHOWN_LIMITS} more" if len(self.limits) > SHOWN_LIMITS else ""
        named = ", ".join(self.limits[:SHOWN_LIMITS]) + more
        cure = " or ".join(self.cures) or "no single kind of limit does, relax several"
        clash = "contradict each other" if len(self.limits) > 1 else "cannot hold whatever is bought"
        return f"no plan meets all limits: {named} {clash}; what would do: {cure}"


def conflict(problem: FleetProblem, program: TwoStage) -> Conflict | None:
    """The smallest set of limits that cannot hold together; None where a plan (with fractions) exists."""
    program = _worst(program)
    rows, items = _as_rows(problem, program)
    model = highs_model(rows, solver="simplex")
    if _feasible(model):
        return None
    kept = _filtered(model, rows, items)
    kinds = dict.fromkeys(item.kind for item in kept)
    cures = (_cure(model, [item for item in items if item.kind == kind]) for kind in kinds)
    return Conflict(tuple(map(str, kept)), tuple(cure for cure in cures if cure))


def _worst(program: TwoStage) -> TwoStage:
    """The scenarios with the largest demand in some slot or over all."""
    value = (program.demand * np.asarray(program.dispatch.penalty + program.dispatch.breach)).sum(axis=2)
    order = np.argsort(-value.sum(axis=1), kind="stable")[:WORST]
    peaks = np.unique(np.concatenate([order, value.argmax(axis=0)[np.argsort(-value.max(axis=0))][:WORST]]))
    return dataclasses.replace(
        program,
        demand=program.demand[peaks],
        probability=np.full(len(peaks), 1 / len(peaks)),
        offset=program.offset[peaks],
        omega=0.0,
    )


def _as_rows(problem: FleetProblem, program: TwoStage) -> tuple[LinearProgram, list[Item]]:
    """The continuous program without costs, every limit a row that can be relieved."""
    base = monolith(program, whole=False)
    columns, limits, items = [], [], []

    items.extend(_row_items(problem, program))
    for bound in (*_offers(problem, program), *_must_serve(problem, program)):
        first = len(base.row_lower) + sum(map(len, columns))
        columns.append(bound.rows)
        limits.append(base.upper[bound.rows])
        items.append(dataclasses.replace(bound, rows=first + np.arange(len(bound.rows))))
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
        scope = " ".join(part for part in (meaning.site, meaning.system) if part)
        name = " ".join(part for part in (meaning.constraint, scope, meaning.period) if part)
        sign = 0.0 if meaning.constraint == "vendor_share" else -1.0 if np.isfinite(row.lower) else 1.0
        relief = np.full(len(rows), sign * meaning.amount / meaning.scale)  # a share of spending has no cure
        yield Item(name, meaning.constraint, np.array(rows), relief, meaning.amount)


def _offers(problem: FleetProblem, program: TwoStage) -> Iterator[Item]:
    """Orders and reservations that vendors limit, an item for each asset; `rows` are columns as yet."""
    layout, assets = program.layout, problem.assets
    named = (("supply", layout.buy), ("reservations", layout.reserve))
    for kind, columns in named:
        for a, system in enumerate(assets.systems):
            mine = columns[:, a][np.isfinite(program.upper[columns[:, a]])]
            most = program.upper[mine]
            if most.any():
                yield Item(f"{kind} of {system} at {assets.sites[a]}", kind, mine, most, float(most.max()))


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


def _cure(model: Model, items: list[Item]) -> str:
    """By which share all limits of one kind have to move, everything else as it is; empty where none does."""
    rows = np.concatenate([item.rows for item in items]).astype(np.int32)
    relief = np.concatenate([item.relief for item in items])
    model.addCol(1.0, 0.0, INFINITY, len(rows), rows, -relief)
    column = model.getNumCol() - 1
    share = model.getSolution().col_value[column] if _feasible(model) else np.inf
    model.deleteCols(1, np.array([column], dtype=np.int32))
    if not np.isfinite(share):
        return ""
    lowered = items[0].kind in LOWERED
    return f"{items[0].kind} {'lowered' if lowered else 'raised'} by {100 * share:.3g} % throughout"


def _shown(amount: float, kind: str) -> str:
    if kind in ("must_serve", "vendor_share"):
        return f"{100 * amount:.4g} %"
    unit = SHOWN.get(kind, "system")
    return f"{amount:.6g} systems" if unit == "system" else f"{amount / unit_scale(unit)[0]:.6g} {unit}"
