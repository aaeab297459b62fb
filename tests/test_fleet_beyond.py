"""Beyond the optimum: slopes, sweeps, near-optimal fleets, uncertainty, replanning, co-design."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from fleet_instances import instance

from clustermodel.catalog import ConfigError
from clustermodel.fleet import Demand, FleetProblem
from clustermodel.fleet.change import scaled, with_policy, without_fractions
from clustermodel.fleet.codesign import codesign, data_of, slopes, with_data
from clustermodel.fleet.highs import solve
from clustermodel.fleet.monolith import monolith
from clustermodel.fleet.near import near_optimal, table
from clustermodel.fleet.replan import replan
from clustermodel.fleet.shadow import slope
from clustermodel.fleet.sweep import sweep
from clustermodel.fleet.uncertain import compared, in_futures, out_of_sample, worth_of_planning

SIZE = (8, 6, 5, 6)
STEP = 1e-5


@pytest.fixture(scope="module", params=[0.0, 0.3])
def sloped(request):
    problem = instance(*SIZE, omega=request.param)
    standing = np.full(problem.assets.price.shape, 0.01)
    problem = eqx.tree_at(lambda p: p.assets.standing_cost, problem, standing)
    return problem, *slopes(problem)


@pytest.fixture(scope="module")
def best():
    return instance(*SIZE).solve(method="highs")


def one_period(tables, **settings):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return FleetProblem.from_frames(frames, periods=["now"], period_length=1.0, **settings)


@pytest.mark.parametrize("name", ["price", "rate", "busy_cost", "rent", "on_demand_price", "standing_cost"])
def test_slope_of_the_optimum_is_that_of_its_lagrangian(sloped, name):
    """The envelope theorem against central differences of problems solved anew, along a random direction."""
    problem, _, slope_in = sloped
    data = data_of(problem)
    base = np.asarray(getattr(data, name))
    direction = np.random.default_rng(0).normal(size=base.shape) * base

    def optimum(step):
        moved = eqx.tree_at(lambda d: getattr(d, name), data, jnp.asarray(base + step * direction))
        changed = with_data(problem, moved)
        return changed.solve(method="highs").objective

    difference = (optimum(STEP) - optimum(-STEP)) / (2 * STEP)
    assert abs(difference) > 0.01
    assert float(np.sum(getattr(slope_in, name) * direction)) == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("kind", ["budget", "power", "supply"])
@pytest.mark.parametrize("omega", [0.0, 0.3])
def test_shadow_prices_are_slopes_of_the_optimum_in_the_limits(kind, omega):
    problem = instance(*SIZE, omega=omega)
    plan = problem.solve(method="highs")
    supply = problem.assets.supply
    if kind == "supply":  # scaling rounds down to whole systems; here fractions are needed
        moved = lambda f: eqx.tree_at(lambda p: p.assets.supply, problem, supply * f)
    else:
        moved = lambda f: scaled(problem, kind, f)
    optimum = lambda f: moved(f).solve(method="highs").objective
    difference = -(optimum(1 + STEP) - optimum(1 - STEP)) / (2 * STEP)
    assert slope(problem, plan.program, plan.solution.prices, kind) == pytest.approx(
        difference, rel=1e-5, abs=1e-6
    )


def test_a_single_shadow_price_is_the_slope_in_its_limit(best):
    (row,) = best.shadow_prices.query("constraint == 'budget'").nlargest(1, "value").to_dict("records")
    limits = best.problem.limits
    index = best.problem.horizon.periods.index(row["period"])
    (k,) = (i for i, limit in enumerate(limits) if limit.kind == "budget" and limit.period == index)

    def optimum(step):
        changed = dataclasses.replace(limits[k], value=limits[k].value + step)
        return (
            dataclasses.replace(best.problem, limits=(*limits[:k], changed, *limits[k + 1 :]))
            .solve()
            .objective
        )

    assert row["value"] == pytest.approx((optimum(-1e-5) - optimum(1e-5)) / 2e-5, rel=1e-4)


def test_whole_systems_have_no_slopes_but_their_relaxation_has():
    problem = instance(5, 4, 3, 1, whole_systems=True)
    plan, _ = slopes(problem)
    assert plan.objective == pytest.approx(without_fractions(problem, False).solve().objective)
    with pytest.raises(ConfigError, match="early retirement"):
        slopes(with_policy(problem, early_retirement=True))


def test_a_sweep_is_convex_and_its_slopes_bracket_the_differences(best):
    factors = [0.8, 0.9, 1.0, 1.1, 1.2]
    frame = sweep(best.problem, "budget", factors)
    cost, worth = frame["objective"].to_numpy(), frame["worth_of_1_percent"].to_numpy()
    falls = -np.diff(cost) / np.diff(factors) / 100  # per 1 % of the present budgets
    per_factor = worth / np.array(factors)  # 1 % of the larger budgets is more money
    assert np.all(np.diff(falls) <= 1e-9)
    assert np.all(falls <= per_factor[:-1] * (1 + 1e-6))
    assert np.all(falls >= per_factor[1:] * (1 - 1e-6))
    assert frame["amount"].to_numpy() / frame["amount"][2] == pytest.approx(factors)


def test_a_sweep_says_where_there_is_no_plan():
    problem = FleetProblem.load("ten-billion")
    frame = sweep(without_fractions(problem, False), "power", [0.02, 1.0])
    assert "power raised by" in frame["reason"][0]
    assert np.isfinite(frame["objective"][1])
    with pytest.raises(ConfigError, match="no limit of kind memory"):
        sweep(problem, "memory")


def test_near_optimal_fleets_stay_within_the_slack_and_go_to_the_extremes(best):
    found = near_optimal(best, 0.02)
    for each in found:
        assert each.outcome.objective <= best.objective * (1.02 + 1e-9)
    bought = {each.name: each.outcome.decision("buy").sum() for each in found}
    orders = lambda outcome, name: outcome.decision("buy")[
        :, np.array(best.problem.assets.systems) == name
    ].sum()
    for name in best.problem.assets.systems:
        most = [orders(each.outcome, name) for each in found if each.name == f"most {name}"]
        assert not most or most[0] >= max(orders(each.outcome, name) for each in found) - 1e-6
    frame = table(best, found).set_index("fleet")
    assert frame.loc["least power", "standing_mw"] <= frame["standing_mw"].min() * (1 + 1e-9)
    assert frame.loc["fewest kinds", "kinds"] == frame["kinds"].min() < frame.loc["best", "kinds"]
    assert len(bought) == len(found)


def test_two_equal_systems_are_one_kind_when_kinds_count():
    problem = one_period(
        {
            "systems": {"system": ["a", "b"], "price": [10.0, 10.05], "life": [1.0, 1.0]},
            "workloads": [{"workload": "work", "must_serve": 1.0}],
            "throughput": {"system": ["a", "b"], "workload": "work", "throughput": [1.0, 1.0]},
            "demand": [{"workload": "work", "demand": 10.0}],
            "constraints": [{"kind": "supply", "value": "6", "system": "a"}],
        }
    )
    plan = problem.solve()
    assert plan.objective == pytest.approx(6 * 10 + 4 * 10.05)
    frame = table(plan, near_optimal(plan, 0.01)).set_index("fleet")
    assert frame.loc["best", "kinds"] == 2
    assert frame.loc["fewest kinds", "systems.b"] == 10
    assert frame.loc["fewest kinds", "objective"] == pytest.approx(100.5)


def newsvendor():
    """Buy at 3.05 before a demand of 1 to 100 is known; each unit short costs 10."""
    demand = np.arange(1.0, 101.0)
    names = [f"d{int(d)}" for d in demand]
    return one_period(
        {
            "systems": [{"system": "unit", "price": 3.05, "life": 1.0}],
            "workloads": [{"workload": "sales", "penalty": 10.0}],
            "throughput": [{"system": "unit", "workload": "sales", "throughput": 1.0}],
            "demand": {"workload": "sales", "scenario": names, "demand": demand},
            "scenarios": {"scenario": names, "probability": np.full(100, 0.01)},
        }
    )


def test_worth_of_planning_and_of_knowing_for_the_newsvendor():
    """Mean demand 50.5: 51 units cost 3.05 x 51 + 10 E(D - 51)+ = 155.55 + 122.5; foreseen, 3.05 x 50.5."""
    worth = worth_of_planning(newsvendor().solve(gap=1e-9))
    assert worth.planned == pytest.approx(260.00)
    assert worth.for_the_mean == pytest.approx(3.05 * 51 + 10 * sum(range(1, 50)) / 100)
    assert worth.foreseen == pytest.approx(3.05 * 50.5)
    assert worth.vss > 0
    assert worth.evpi == pytest.approx(260.00 - 154.025)


def test_worth_of_planning_is_never_negative(best):
    for plan in (best, instance(*SIZE, omega=0.3).solve(method="highs")):
        worth = worth_of_planning(plan)
        assert worth.foreseen <= worth.planned * (1 + 1e-9)
        assert worth.planned <= worth.for_the_mean * (1 + 1e-9)


def test_in_its_own_futures_a_plan_costs_what_it_says(best):
    assert in_futures(best, best.problem.demand).objective == pytest.approx(best.objective, rel=1e-9)


def test_out_of_sample_cost_of_the_newsvendor_is_its_integral():
    """70 units against demand that is uniform on [0, 100]: 3.05 x 70 + 10 x 30^2 / 200 = 258.5."""
    plan = newsvendor().solve(gap=1e-9)
    work = np.random.default_rng(0).uniform(0, 100, (4000, 1, 1, 1))
    fresh = Demand(tuple(f"f{i}" for i in range(4000)), np.full(4000, 1 / 4000), work)
    found = out_of_sample(plan, fresh)
    assert found["low"] <= 258.5 <= found["high"]
    assert found["mean"] <= found["cvar"] <= found["worst"] <= 3.05 * 70 + 300


def test_fleets_are_compared_in_the_same_futures(best):
    cautious = instance(*SIZE, omega=1.0).solve(method="highs")
    frame = compared({"best": best, "cautious": cautious}, best.problem.demand).set_index("fleet")
    assert frame.loc["best", "mean"] == pytest.approx(best.objective, rel=1e-9)
    assert frame.loc["best", "mean"] <= frame.loc["cautious", "mean"]
    assert frame.loc["cautious", "cvar"] <= frame.loc["best", "cvar"]
    assert np.all(frame["max_regret"] >= frame["mean_regret"])
    assert frame["best_in"].sum() >= 1 - 1e-9


def test_foresight_is_never_regretted_and_a_certain_future_needs_no_new_plan(best):
    lived = replan(best.problem, best.problem.demand.work[3])
    assert lived.regret >= -1e-6 * lived.foreseen.objective
    assert lived.foreseen.objective <= lived.planned_once.objective * (1 + 1e-9)
    certain = instance(8, 6, 5, 1)
    same = replan(certain, certain.demand.work[0])
    assert same.regret == pytest.approx(0, abs=1e-6 * same.foreseen.objective)
    assert same.table()["objective"].to_numpy() == pytest.approx(same.foreseen.objective, rel=1e-9)


def test_what_was_ordered_stays_ordered_when_demand_falls_away():
    """Two periods, 10 boxes needed in each as far as anyone knows; in truth nothing is asked for in either."""
    frames = {
        "systems": [{"system": "box", "price": 1.0, "life": 1.0}],
        "workloads": [{"workload": "work", "penalty": 10.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": [{"workload": "work", "demand": 10.0}],
    }
    tables = {name: pd.DataFrame(rows) for name, rows in frames.items()}
    problem = FleetProblem.from_frames(tables, periods=["one", "two"], period_length=1.0)
    lived = replan(problem, np.zeros((2, 1, 1)))
    assert lived.planned_once.decision("buy").ravel().tolist() == [10, 10]
    assert lived.rolled.decision("buy").ravel().tolist() == [10, 0]  # the second order is not placed
    assert (lived.regret, lived.worth) == (pytest.approx(10), pytest.approx(10))


def test_codesign_finds_the_memory_that_is_cheapest_for_the_fleet():
    """Price 4 + 2 m, throughput 3 sqrt(m): cost of work (4 + 2 m) / (3 sqrt m) is least at m = 2."""
    problem = one_period(
        {
            "systems": [{"system": "server", "price": 6.0, "life": 1.0}],
            "workloads": [{"workload": "work", "must_serve": 1.0}],
            "throughput": [{"system": "server", "workload": "work", "throughput": 3.0}],
            "demand": [{"workload": "work", "demand": 100.0}],
        },
        whole_systems=False,
    )
    base = data_of(problem)

    def design(memory):
        price = jnp.full_like(base.price, 4.0) + 2 * memory[0]
        rate = jnp.full_like(base.rate, 3.0) * jnp.sqrt(memory[0])
        return eqx.tree_at(lambda d: (d.price, d.rate), base, (price, rate))

    found = codesign(problem, design, np.array([1.0]), rate=0.1, steps=40)
    assert found.parameters[0] == pytest.approx(2.0, abs=0.1)
    assert found.plan.objective == pytest.approx(100 * 8 / (3 * np.sqrt(2)), rel=1e-3)
    assert found.history["objective"].iloc[0] == pytest.approx(200.0)


def test_slopes_hold_with_seconds_blocks_discount_and_limits_of_a_real_problem():
    """The price of one system and its throughput for one workload, in ten-billion."""
    problem = without_fractions(FleetProblem.load("ten-billion"), False)
    _, slope_in = slopes(problem)
    data, a = data_of(problem), problem.assets.systems.index("gb200-nvl72")
    whole = lambda p: solve(monolith(p, whole=False)).objective * p.scale.money
    from clustermodel.fleet.two_stage import two_stage

    for name, where in (("price", np.s_[:, a]), ("rate", np.s_[:, a, :])):
        base = getattr(data, name)
        moved = lambda s, name=name, where=where, base=base: with_data(
            problem, eqx.tree_at(lambda d: getattr(d, name), data, base.at[where].multiply(1 + s))
        )
        difference = (whole(two_stage(moved(STEP))) - whole(two_stage(moved(-STEP)))) / (2 * STEP)
        expected = float(jnp.sum(getattr(slope_in, name)[where] * base[where]))
        assert expected == pytest.approx(difference, rel=1e-4)
