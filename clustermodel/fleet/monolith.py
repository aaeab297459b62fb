"""The whole two-stage program as one sparse linear (or mixed-integer) program for HiGHS.

CVaR enters as Rockafellar and Uryasev write it: omega (eta + sum_s p_s z_s / (1 - alpha)), z_s >= loss_s - eta.
[R. T. Rockafellar, S. Uryasev: Optimization of conditional value-at-risk, J. Risk 2 (2000)]
"""

import dataclasses

import numpy as np
import scipy.sparse as sp

from clustermodel.fleet.highs import LinearProgram
from clustermodel.fleet.solution import Prices
from clustermodel.fleet.two_stage import TwoStage


@dataclasses.dataclass(frozen=True, eq=False)
class SlotBlock:
    """Rows and columns of all dispatches of one scenario.

    Columns: busy pairs, reserved, on demand, left out; rows: capacity, reserved, resource, demand; each [slot, ...].
    """

    matrix: sp.csr_matrix
    cost: np.ndarray
    on_demand_columns: slice
    left_out_columns: slice
    sizes: tuple[int, int, int, int]  # rows of each kind


def slot_block(program: TwoStage) -> SlotBlock:
    """Assemble the dispatches of one scenario."""
    d = {name: np.asarray(value) for name, value in vars(program.dispatch).items()}
    slots, assets, workloads = d["rate"].shape
    resources = d["draw"].shape[1]
    j, a, w = np.nonzero(d["rate"] > 0)
    pair = np.arange(len(j))
    system = np.arange(slots * assets)
    work = np.arange(slots * workloads)
    capacity = _sparse(np.ones(len(j)), j * assets + a, pair, (system.size, pair.size))
    demand = _sparse(d["rate"][j, a, w], j * workloads + w, pair, (work.size, pair.size))
    drawn = d["draw"][j, :, a, w]
    r_row, r_pair = np.nonzero(drawn.T)
    draw_row = j[r_pair] * resources + r_row
    draw = _sparse(drawn[r_pair, r_row], draw_row, r_pair, (slots * resources, pair.size))
    one, none = sp.eye_array(system.size), None
    grid = [
        [capacity, -one, -one, none],
        [none, one, none, none],
        [draw, none, none, sp.csr_matrix((slots * resources, work.size))],
        [demand, none, none, sp.eye_array(work.size)],
    ]
    costs = (
        d["cost"][j, a, w],
        d["reserved_cost"].ravel(),
        d["on_demand_cost"].ravel(),
        d["penalty"].ravel(),
    )
    first_on_demand = pair.size + system.size
    return SlotBlock(
        sp.csr_matrix(sp.block_array(grid)),
        np.concatenate(costs),
        slice(first_on_demand, first_on_demand + system.size),
        slice(first_on_demand + system.size, None),
        (system.size, system.size, slots * resources, work.size),
    )


def _sparse(values: np.ndarray, rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((values, (rows, cols)), shape=shape)


def monolith(program: TwoStage, whole: bool) -> LinearProgram:
    """The program for HiGHS; columns are x, then the dispatches scenario by scenario, then eta and z.

    Args:
        program: the two-stage program.
        whole: whether systems are whole numbers; False gives the linear relaxation.
    """
    block, scenarios = slot_block(program), len(program.probability)
    start, coupling = _coupling(program)
    upper_rows = np.concatenate([start, np.full(block.sizes[3], np.inf)])
    dispatches = sp.kron(sp.eye_array(scenarios), block.matrix)
    linked = sp.vstack([coupling] * scenarios)
    first = program.row_matrix()
    grid = [[first, None], [linked, dispatches]]
    demand = program.demand.reshape(scenarios, -1)
    no_demand = np.full((scenarios, len(start)), -np.inf)
    row_lower = np.concatenate([[row.lower for row in program.rows], np.hstack([no_demand, demand]).ravel()])
    row_upper = np.concatenate([[row.upper for row in program.rows], np.tile(upper_rows, scenarios)])
    lower, upper = _dispatch_bounds(program, block)
    weight = (1 - program.omega) * program.probability
    cost = np.concatenate([program.cost, np.outer(weight, block.cost).ravel()])
    joined = LinearProgram(
        cost=cost,
        lower=np.concatenate([program.lower, lower]),
        upper=np.concatenate([program.upper, upper]),
        matrix=sp.csc_matrix(sp.block_array(grid)),
        row_lower=row_lower,
        row_upper=row_upper,
        integer=np.concatenate([program.integer & whole, np.zeros(len(lower), bool)]),
        constant=program.constant,
    )
    return _with_cvar(program, block, joined) if program.omega > 0 else joined


def _coupling(program: TwoStage) -> tuple[np.ndarray, sp.csr_matrix]:
    """Right-hand side and first-stage part of the capacity, reserved, resource and demand rows."""
    maps = (program.supply.owned, program.supply.reserved, program.supply.resource)
    start = np.concatenate([constant.ravel() for constant, _ in maps])
    demand = sp.csr_matrix((program.demand[0].size, program.layout.count))
    return start, sp.csr_matrix(sp.vstack([-matrix for _, matrix in maps] + [demand]))


def _dispatch_bounds(program: TwoStage, block: SlotBlock) -> tuple[np.ndarray, np.ndarray]:
    scenarios = len(program.probability)
    upper = np.full((scenarios, len(block.cost)), np.inf)
    upper[:, block.on_demand_columns] = program.supply.on_demand[0].ravel()
    spare = program.demand * np.asarray(program.dispatch.spare)
    upper[:, block.left_out_columns] = spare.reshape(scenarios, -1)
    return np.zeros(upper.size), upper.ravel()


def _with_cvar(program: TwoStage, block: SlotBlock, joined: LinearProgram) -> LinearProgram:
    """Add eta (free), z_s >= 0 and the rows loss_s + offset_s - eta - z_s <= 0."""
    scenarios = len(program.probability)
    losses = sp.kron(sp.eye_array(scenarios), block.cost[None])
    before = sp.csr_matrix((scenarios, program.layout.count))
    ends = sp.hstack([-np.ones((scenarios, 1)), -sp.eye_array(scenarios)])
    nothing = sp.csr_matrix((len(joined.row_lower), scenarios + 1))
    matrix = sp.block_array([[joined.matrix, nothing], [sp.hstack([before, losses]), ends]])
    tail = program.omega * program.probability / (1 - program.alpha)
    return LinearProgram(
        cost=np.concatenate([joined.cost, [program.omega], tail]),
        lower=np.concatenate([joined.lower, [-np.inf], np.zeros(scenarios)]),
        upper=np.concatenate([joined.upper, np.full(scenarios + 1, np.inf)]),
        matrix=sp.csc_matrix(matrix),
        row_lower=np.concatenate([joined.row_lower, np.full(scenarios, -np.inf)]),
        row_upper=np.concatenate([joined.row_upper, -program.offset]),
        integer=np.concatenate([joined.integer, np.zeros(scenarios + 1, bool)]),
        constant=joined.constant,
    )


def prices(program: TwoStage, row_dual: np.ndarray, column_dual: np.ndarray) -> Prices:
    """Read the multipliers of a solved linear program."""
    block, scenarios = slot_block(program), len(program.probability)
    first, count = len(program.rows), program.layout.count
    duals = row_dual[first : first + scenarios * sum(block.sizes)].reshape(scenarios, -1).sum(axis=0)
    capacity, reserved, resource, work = np.split(duals, np.cumsum(block.sizes)[:-1])
    columns = column_dual[count : count + scenarios * len(block.cost)].reshape(scenarios, -1)
    on_demand = columns[:, block.on_demand_columns].clip(max=0).sum(axis=0)
    by_slot = lambda flat: flat.reshape(program.slots, -1)
    return Prices(
        rows=row_dual[:first],
        columns=column_dual[:count],
        capacity=by_slot(-capacity),
        reserved=by_slot(-reserved),
        on_demand=by_slot(-on_demand),
        resource=by_slot(-resource),
        work=by_slot(work),
    )
