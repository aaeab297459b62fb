"""Fleets nearly as cheap as the best one that differ from it most: modelling to generate alternatives.

Within a slack above the optimum, the cost becomes a limit and something else the objective: the most or least
of one system, the least power, the fewest kinds of systems. What all such fleets share is what to be sure of.
[J. DeCarolis: Using modeling to generate alternatives, Energy Economics 33 (2011)]
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp

from clustermodel.catalog import ConfigError
from clustermodel.fleet.first_stage import standing
from clustermodel.fleet.highs import LinearProgram, solve
from clustermodel.fleet.integers import ROUNDING_TOLERANCE
from clustermodel.fleet.monolith import monolith
from clustermodel.fleet.outcome import Outcome
from clustermodel.fleet.plan import Plan

SECONDS = 20.0
"""For each alternative where systems are whole."""
GAP = 1e-3
"""Of each alternative's own objective, where systems are whole."""


@dataclasses.dataclass(frozen=True, eq=False)
class Alternative:
    """A fleet within the slack: what it has most or least of, and what becomes of it."""

    name: str
    outcome: Outcome


def near_optimal(best: Plan, slack: float = 0.02) -> list[Alternative]:
    """Extreme fleets that cost at most `slack` more than a plan.

    The fewest kinds come last: one 0/1 decision for each system, bounded by the most of it found before.
    """
    if not 0 < slack < 1:
        raise ConfigError(f"a slack of {slack:g}: write a share between 0 and 1, such as 0.02")
    limited = _limited(best, slack)
    found = [
        Alternative(name, outcome)
        for name, weight in _directions(best)
        if (outcome := _extreme(best, limited, weight)) is not None
    ]
    fewest = _fewest_kinds(best, limited, found)
    return found if fewest is None else [*found, Alternative("fewest kinds", fewest)]


def table(best: Plan, alternatives: list[Alternative]) -> pd.DataFrame:
    """One row per fleet: cost over the optimum as a share of its size, kinds, systems bought, standing draw."""
    named = [("best", best.outcome), *((each.name, each.outcome) for each in alternatives)]
    rows = []
    for name, outcome in named:
        bought = outcome.decision("buy").sum(axis=0)
        systems = pd.Series(bought).groupby(list(outcome.problem.assets.systems), sort=False).sum()
        draw = (outcome.standing @ outcome.problem.assets.standing_draw).max(initial=0.0)
        over = (outcome.objective - best.objective) / (abs(best.objective) or 1.0)
        head = {
            "fleet": name,
            "objective": outcome.objective,
            "over_optimum": over,
            "standing_mw": draw / 1e6,
        }
        rows.append(
            {**head, "kinds": int((systems > 0).sum()), **{f"systems.{k}": v for k, v in systems.items()}}
        )
    return pd.DataFrame(rows)


def _limited(best: Plan, slack: float) -> LinearProgram:
    """The whole program with its cost as a row; a plan that earns may earn `slack` less."""
    program = best.program
    full = monolith(program, whole=True)
    money = best.objective / program.scale.money
    most = money + slack * abs(money) - program.constant
    return dataclasses.replace(
        full,
        matrix=sp.csc_matrix(sp.vstack([full.matrix, sp.csr_matrix(full.cost[None])])),
        row_lower=np.append(full.row_lower, -np.inf),
        row_upper=np.append(full.row_upper, most),
    )


def _directions(best: Plan) -> Iterator[tuple[str, np.ndarray]]:
    """Weights on the first-stage decisions, to be minimised."""
    problem, layout = best.problem, best.program.layout
    for system in dict.fromkeys(problem.assets.systems):
        mine = np.array(problem.assets.systems) == system
        if problem.assets.supply[:, mine].any():
            weight = np.zeros(layout.count)
            weight[layout.buy[:, mine]] = 1.0
            yield f"most {system}", -weight
            if best.outcome.decision("buy")[:, mine].any():
                yield f"least {system}", weight
    draw = np.tile(problem.assets.standing_draw, layout.shape[0])
    if draw.any():
        yield "least power", standing(problem, layout).T @ draw / draw.max()


def _extreme(best: Plan, limited: LinearProgram, weight: np.ndarray) -> Outcome | None:
    cost = np.zeros(len(limited.cost))
    cost[: len(weight)] = weight
    return _outcome(best, dataclasses.replace(limited, cost=cost, constant=0.0))


def _outcome(best: Plan, program: LinearProgram) -> Outcome | None:
    whole = program.integer.any()
    answer = solve(program, None, **({"mip_rel_gap": GAP, "time_limit": SECONDS} if whole else {}))
    if len(answer.x) == 0 or not np.isfinite(answer.objective):
        return None
    x = answer.x[: best.program.layout.count]
    return Outcome(best.problem, best.program, np.where(best.program.integer, np.round(x), x))


def _fewest_kinds(best: Plan, limited: LinearProgram, found: list[Alternative]) -> Outcome | None:
    """The smallest number of kinds bought, with sum of orders <= most of it x kind."""
    names = np.array(best.problem.assets.systems)
    bought = {each.name: each.outcome.decision("buy").sum(axis=0) for each in found}
    most = {
        name: float(bought[f"most {name}"][names == name].sum()) for name in names if f"most {name}" in bought
    }
    bounds = {name: bound * (1 + GAP) + ROUNDING_TOLERANCE for name, bound in most.items() if bound > 0}
    if not bounds:
        return None
    rows = sp.lil_matrix((len(bounds), len(limited.cost)))
    for i, (name, bound) in enumerate(bounds.items()):
        rows[i, best.program.layout.buy[:, names == name].ravel()] = 1.0 / bound
    return _outcome(best, _with_kinds(limited, sp.csr_matrix(rows)))


def _with_kinds(limited: LinearProgram, rows: sp.csr_matrix) -> LinearProgram:
    """The program with a 0/1 column for each of the rows, which it bounds, and their number as the cost."""
    count, width = np.diff(rows.indptr).size, len(limited.cost)
    grid = [[limited.matrix, sp.csr_matrix((len(limited.row_lower), count))], [rows, -sp.eye_array(count)]]
    return LinearProgram(
        cost=np.concatenate([np.zeros(width), np.ones(count)]),
        lower=np.concatenate([limited.lower, np.zeros(count)]),
        upper=np.concatenate([limited.upper, np.ones(count)]),
        matrix=sp.csc_matrix(sp.block_array(grid)),
        row_lower=np.concatenate([limited.row_lower, np.full(count, -np.inf)]),
        row_upper=np.concatenate([limited.row_upper, np.zeros(count)]),
        integer=np.concatenate([limited.integer, np.ones(count, bool)]),
    )
