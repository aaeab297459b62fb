"""Solvers against known optima and against each other."""

import dataclasses

import equinox as eqx
import numpy as np
import pytest
from fleet_instances import OPTIMA, instance
from hypothesis import given, settings
from hypothesis import strategies as st

from clustermodel.fleet import FleetProblem
from clustermodel.fleet.benders import Benders, Effort
from clustermodel.fleet.risk import risk_cost, tail_weights
from clustermodel.fleet.sample import bisected, everything, grouped
from clustermodel.fleet.simplex import HighsOracle
from clustermodel.fleet.two_stage import two_stage

pytestmark = pytest.mark.usefixtures("optimised")
SMALL = [key for key in OPTIMA if key[3] == 1]
STOCHASTIC = [key for key in OPTIMA if key[3] == 20]


def relimited(problem: FleetProblem, kind: str, factor: float) -> FleetProblem:
    limits = tuple(
        dataclasses.replace(limit, value=limit.value * (factor if limit.kind == kind else 1.0))
        for limit in problem.limits
    )
    return eqx.tree_at(lambda p: p.limits, problem, limits)


@pytest.mark.parametrize("key", [*SMALL, STOCHASTIC[0]], ids=str)
def test_whole_program_reaches_the_known_optimum(key):
    plan = instance(*key[:4], omega=key[4]).solve(method="highs")
    assert plan.objective == pytest.approx(OPTIMA[key], rel=1e-7)
    assert plan.lower_bound == pytest.approx(OPTIMA[key], rel=1e-7)


@pytest.mark.parametrize("key", STOCHASTIC, ids=str)
@pytest.mark.parametrize("oracle", ["highs", pytest.param("interior-point", marks=pytest.mark.slow)])
def test_decomposition_brackets_the_known_optimum(key, oracle):
    plan = instance(*key[:4], omega=key[4]).solve(method="benders", oracle=oracle, gap=1e-4)
    assert plan.lower_bound <= OPTIMA[key] * (1 + 1e-7)
    assert plan.objective >= OPTIMA[key] * (1 - 1e-7)
    assert plan.gap <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("omega", [0.0, 0.3])
def test_hundred_scenarios_are_bracketed_through_groups_and_remembered_bounds(omega):
    key = (20, 20, 12, 100, omega)
    plan = instance(*key[:4], omega=omega).solve(method="benders", gap=1e-4)
    assert plan.lower_bound <= OPTIMA[key] * (1 + 1e-7)
    assert OPTIMA[key] * (1 - 1e-7) <= plan.objective <= plan.lower_bound * (1 + 1.0001e-4)


@pytest.mark.slow
def test_twenty_scenarios_with_whole_systems_close_to_two_per_mille():
    plan = instance(20, 20, 12, 20, whole_systems=True).solve(gap=2e-3, seconds=60)
    ordered = plan.purchases["systems"]
    np.testing.assert_array_equal(ordered, ordered.round())
    assert 1217.0525 <= plan.objective <= 1219.1804  # proven bounds of an earlier study
    assert plan.gap <= 2e-3
    assert plan.lower_bound <= plan.objective


def test_bounds_of_groups_stay_below_the_optimum():
    """Averaging scenarios can only lower the cost, so what is proven on groups holds for all."""
    program = two_stage(instance(20, 20, 12, 20))
    benders = Benders(program, HighsOracle(program), Effort(gap=1e-3))
    benders.descend(benders.price, grouped(program, 2), 1e-3, benders.best)
    assert benders.lower * program.scale.money <= OPTIMA[(20, 20, 12, 20, 0.0)]


def test_every_scenario_in_a_group_of_its_own_is_the_whole_sample():
    program = two_stage(instance(5, 5, 4, 8))
    groups, whole = grouped(program, 3), everything(program)
    for slot in range(program.slots):
        mine, all_of_them = groups.demand[:, slot], whole.demand[:, slot]
        np.testing.assert_allclose(mine[np.lexsort(mine.T)], all_of_them[np.lexsort(all_of_them.T)])
    np.testing.assert_allclose(groups.weight, whole.weight)


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(0, 4))
def test_groups_partition_the_scenarios(seed, count, levels):
    random = np.random.default_rng(seed)
    labels = bisected(random.normal(size=(count, 3)), np.full(count, 1 / count), levels)
    assert labels.shape == (count,)
    assert len(np.unique(labels)) <= min(2**levels, count)


@given(st.integers(0, 2**31), st.floats(0, 0.99), st.floats(0, 1))
def test_cvar_from_sorted_losses_solves_rockafellar_and_uryasev(seed, alpha, omega):
    """min over eta of eta + E[(L - eta)+] / (1 - alpha), whose minimum lies at one of the losses."""
    random = np.random.default_rng(seed)
    loss, weight = random.normal(size=12), random.dirichlet(np.ones(12))
    direct = min(eta + weight @ np.maximum(loss - eta, 0) / (1 - alpha) for eta in loss)
    tail = tail_weights(loss, weight, alpha)
    assert tail @ loss == pytest.approx(direct, abs=1e-9)
    assert tail.sum() == pytest.approx(1.0)
    mixed = (1 - omega) * weight @ loss + omega * direct
    assert risk_cost(loss, weight, omega, alpha) == pytest.approx(mixed, abs=1e-9)


def test_cvar_is_not_the_sum_of_worst_periods():
    """Losses (1, 0) and (0, 1): both scenarios lose 1 in all, though each period's worst case adds up to 2."""
    assert risk_cost(np.array([1.0, 1.0]), np.array([0.5, 0.5]), 1.0, 0.999) == pytest.approx(1.0)


@settings(max_examples=5)
@given(st.sampled_from(["budget", "power"]), st.floats(0.7, 1.3))
def test_relaxing_a_limit_never_costs(kind, factor):
    base = relimited(instance(8, 6, 5, 1), kind, factor)
    assert relimited(base, kind, 1.1).solve().objective <= base.solve().objective * (1 + 1e-9)


def test_equal_scenarios_are_one_scenario():
    alone = instance(8, 6, 5, 1)
    many = eqx.tree_at(
        lambda p: (p.demand.work, p.demand.probability),
        alone,
        (np.repeat(alone.demand.work, 3, axis=0), np.array([0.2, 0.3, 0.5])),
    )
    many = eqx.tree_at(lambda p: p.policy, many, dataclasses.replace(many.policy, omega=0.5))
    assert many.solve().objective == pytest.approx(alone.solve().objective, rel=1e-9)


def test_order_of_scenarios_does_not_matter():
    problem = instance(8, 6, 5, 6, omega=0.3)
    turned = eqx.tree_at(lambda p: p.demand.work, problem, problem.demand.work[::-1])
    assert turned.solve().objective == pytest.approx(problem.solve().objective, rel=1e-9)


def test_counting_work_in_thousands_changes_nothing():
    problem = instance(8, 6, 5, 1)
    scaled = eqx.tree_at(
        lambda p: (p.demand.work, p.service.rate, p.service.penalty),
        problem,
        (problem.demand.work / 1e3, problem.service.rate / 1e3, problem.service.penalty * 1e3),
    )
    assert scaled.solve().objective == pytest.approx(problem.solve().objective, rel=1e-9)


def test_a_stopped_solve_returns_its_best_plan_and_a_valid_bound():
    program = two_stage(instance(20, 20, 12, 20))
    solution = Benders(program, HighsOracle(program), Effort(gap=1e-9, iterations=6)).solve()
    optimum = OPTIMA[(20, 20, 12, 20, 0.0)]
    assert solution.lower * program.scale.money <= optimum <= solution.upper * program.scale.money
    assert solution.gap > 1e-3
