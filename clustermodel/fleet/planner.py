"""From a problem to a plan, or to the sentence that says why there is none."""

import dataclasses

import numpy as np

from clustermodel.catalog import ConfigError, InfeasibleError, require_float64
from clustermodel.fleet.benders import Effort
from clustermodel.fleet.diagnose import conflict
from clustermodel.fleet.highs import Status
from clustermodel.fleet.integers import ROUNDING_TOLERANCE
from clustermodel.fleet.mistakes import mistakes
from clustermodel.fleet.plan import Plan
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.solution import Watcher
from clustermodel.fleet.solve import BREACH, Method, Oracle, breached, dispatch_oracle, interruptible, solved
from clustermodel.fleet.two_stage import TwoStage, two_stage


@dataclasses.dataclass(frozen=True)
class Options:
    """How to solve: method and oracle by name, relative gap, seconds, and whom to tell about progress.

    method: `highs` (the whole program at once), `benders` (decomposition) or `auto` (by size).
    oracle: who prices dispatches in a decomposition: `highs`, `interior-point` (batched, also on GPUs) or `auto`.
    """

    method: Method = "auto"
    oracle: Oracle = "auto"
    gap: float = 1e-4
    seconds: float = 60.0
    watcher: Watcher = lambda progress: None


def plan(problem: FleetProblem, options: Options | None = None) -> Plan:
    """Solve a problem; raises `ConfigError` for bad numbers and `InfeasibleError` where no plan exists.

    A first Ctrl-C keeps the best plan so far; where there is none it is a `KeyboardInterrupt`.
    """
    options = options or Options()
    require_float64("fleet plans")
    _refuse_effort(options)
    if found := list(mistakes(problem)):
        raise ConfigError("\n  ".join(["the fleet problem cannot be solved:", *found]))
    program = two_stage(problem)
    _refuse_free_money(problem, program)
    with interruptible() as stop:
        watcher = _in_units(options.watcher, program)
        effort = Effort(options.gap, options.seconds, stop=stop, watcher=watcher)
        solution = solved(program, options.method, options.oracle, effort)
    if solution.status is Status.INFEASIBLE:
        raise InfeasibleError(_why_not(problem, program, solution.status))
    found = solution.prices is not None and np.isfinite(solution.upper)
    if not found and solution.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not found:
        raise InfeasibleError(
            f"no plan found: {solution.status.value}; allow more time or fractions of systems"
        )
    made = _trimmed(Plan(problem, program, solution))
    _refuse_breach(made)
    return made


def _trimmed(made: Plan) -> Plan:
    """The plan without reservations that nobody uses and that cost nothing until they are used."""
    program, x = made.program, made.solution.x.copy()
    reserve = program.layout.reserve
    free = (program.cost[reserve] == 0) & (x[reserve] > program.lower[reserve])
    for tiers in made.problem.tiers:
        if tiers.decision == "reserve":
            free[tiers.period, [asset for lane in tiers.assets for asset in lane]] = False
    if not free.any():
        return made
    used = made.operation.reserved.max(axis=0).reshape(reserve.shape[0], -1, reserve.shape[1]).max(axis=1)
    used = np.where(program.integer[reserve], np.ceil(used - ROUNDING_TOLERANCE), used)
    least = np.maximum(used, program.lower[reserve])
    x[reserve] = np.where(free, np.minimum(x[reserve], least), x[reserve])
    return dataclasses.replace(made, solution=dataclasses.replace(made.solution, x=x))


def undisturbed(problem: FleetProblem, options: Options | None = None) -> Plan:
    """The best plan as a part of a comparison, which a plan cut short by Ctrl-C would spoil: that one is raised."""
    made = plan(problem, options)
    if made.solution.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return made


def _refuse_effort(options: Options) -> None:
    if not 0 <= options.gap < np.inf:
        raise ConfigError(f"a gap of {options.gap:g}: write a share of at least 0, such as 1e-4")
    if not options.seconds >= 0:
        raise ConfigError(f"a time limit of {options.seconds:g}: write seconds of at least 0, such as 60")


def _in_units(watcher: Watcher, program: TwoStage) -> Watcher:
    """Tell of bounds in the unit of the objective, as the plan will have them."""
    money, constant = program.scale.money, program.constant
    real = lambda bound: (bound + constant) * money
    return lambda p: watcher(dataclasses.replace(p, lower=real(p.lower), upper=real(p.upper)))


def _refuse_free_money(problem: FleetProblem, program: TwoStage) -> None:
    """Orders that earn more than they cost, with nothing that limits them, have no best amount."""
    layout = program.layout
    bounded = np.zeros(layout.count, bool)
    for row in program.rows:
        if np.isfinite(row.upper) and row.meaning.relaxable:
            bounded[row.columns[row.values > 0]] = True
    free = (program.cost < 0) & np.isinf(program.upper) & ~bounded
    for t, a in np.argwhere(free[layout.buy]):
        system, period = problem.assets.systems[a], problem.horizon.periods[t]
        raise InfeasibleError(
            f"cost can fall without limit: {system} ordered in {period} is worth more at the horizon than it "
            "costs and nothing limits the orders; lower its resale value or set a supply or a budget"
        )


def _why_not(problem: FleetProblem, program: TwoStage, status: Status) -> str:
    found = conflict(problem, program)
    if found is not None:
        return str(found)
    if status is not Status.INFEASIBLE:
        return (
            f"no plan found yet that serves what must be served ({status.value}); allow more time (--time-limit), "
            "or solve the whole program at once (--method highs)"
        )
    return "no plan found that meets all limits with whole systems; --relaxed shows how near one comes"


def _refuse_breach(made: Plan) -> None:
    if breached(made.program, made.solution.x, dispatch_oracle(made.program)) > BREACH:
        raise InfeasibleError(_why_not(made.problem, made.program, made.solution.status))
