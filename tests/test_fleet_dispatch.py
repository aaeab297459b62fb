"""Dispatches: proven bounds, repaired upper bounds, and the interior point, against exact simplex solutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fleet_instances import instance
from hypothesis import given
from hypothesis import strategies as st

from clustermodel.fleet import interior_point
from clustermodel.fleet.dispatch import (
    Multipliers,
    Supply,
    bound_value,
    dual_bound,
    repaired,
    use_cost,
)
from clustermodel.fleet.highs import solve
from clustermodel.fleet.monolith import monolith
from clustermodel.fleet.oracles import InteriorPointOracle
from clustermodel.fleet.simplex import HighsOracle
from clustermodel.fleet.two_stage import two_stage

ROUNDING = 1e-9  # relative: what exact arithmetic would not need


@pytest.fixture(scope="module")
def program():
    return two_stage(instance(20, 20, 12, 20))


@pytest.fixture(scope="module")
def fleet(program):
    """The continuous optimum for the mean demand, rounded down: too small for most scenarios."""
    mean = two_stage(instance(20, 20, 12, 1))
    return np.floor(solve(monolith(mean, whole=False)).x[: program.layout.count])


@pytest.fixture(scope="module")
def exact(program, fleet):
    return HighsOracle(program).recourse(program.supply(fleet), program.demand)


values = jax.jit(
    jax.vmap(
        jax.vmap(
            lambda dispatch, supply, work, prices: bound_value(dual_bound(dispatch, prices), supply, work)
        ),
        in_axes=(None, None, 0, 0),
    )
)


def test_interior_point_brackets_the_exact_cost_of_240_dispatches(program, fleet, exact):
    solved = InteriorPointOracle(program).recourse(program.supply(fleet), program.demand)
    assert exact.upper.shape == (20, 12)
    assert np.all(solved.lower <= exact.upper * (1 + ROUNDING))
    assert np.all(exact.upper <= solved.upper * (1 + ROUNDING))
    assert np.max((solved.upper - solved.lower) / exact.upper) < 1e-6  # far below any gap asked of a plan


def test_simplex_multipliers_prove_the_simplex_cost(exact):
    np.testing.assert_allclose(exact.lower, exact.upper, rtol=1e-8)  # simplex feasibility tolerance


@pytest.mark.parametrize("seed", range(5))
def test_any_multipliers_prove_a_lower_bound_even_negative_ones(program, fleet, exact, seed):
    random = np.random.default_rng(seed)
    scenarios, slots = exact.upper.shape
    capacity = random.normal(1, 1, (scenarios, slots, program.layout.shape[1])) / 10
    prices = Multipliers(capacity, random.normal(1, 1, (scenarios, slots, 1)))
    assert (capacity < 0).any()
    bound = values(program.dispatch, program.supply(fleet), program.demand, prices)
    assert np.all(np.asarray(bound) <= exact.upper * (1 + ROUNDING))


def test_any_dispatch_repairs_to_an_upper_bound(program, fleet, exact):
    random = np.random.default_rng(0)
    busy = random.normal(0.5, 1, (20, *program.dispatch.rate.shape))
    cost = jax.vmap(
        jax.vmap(lambda d, s, w, b: use_cost(d, repaired(d, s, w, b))), in_axes=(None, None, 0, 0)
    )
    assert np.all(
        np.asarray(cost(program.dispatch, program.supply(fleet), program.demand, busy)) >= exact.upper
    )


def test_a_cut_found_at_one_fleet_holds_at_others(program, fleet, exact):
    random = np.random.default_rng(1)
    for _ in range(3):
        other = fleet * random.uniform(0, 1.5, len(fleet))
        supply = program.supply(np.minimum(other, program.upper))
        cost = HighsOracle(program).recourse(supply, program.demand).upper
        value = jax.vmap(jax.vmap(bound_value), in_axes=(0, None, 0))(exact.bound, supply, program.demand)
        assert np.all(np.asarray(value) <= cost * (1 + ROUNDING) + ROUNDING)


def test_feasible_use_meets_every_limit(program, fleet):
    supply = program.supply(fleet)
    busy = InteriorPointOracle(program).busy(supply, program.demand)
    assert np.all(busy.sum(axis=-1) <= supply.owned + supply.reserved + supply.on_demand + 1e-9)
    drawn = np.einsum("jraw,sjaw->sjr", program.dispatch.draw, busy)
    assert np.all(drawn <= supply.resource + 1e-9)
    assert np.all(np.einsum("jaw,sjaw->sjw", program.dispatch.rate, busy) <= program.demand * (1 + 1e-9))


def one(part, index):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), part)


@given(st.integers(0, 11), st.integers(0, 19), st.floats(0, 2), st.floats(0, 2))
def test_shortage_of_anything_is_priced(program, fleet, slot, scenario, capacity, power):
    """Whatever is left of capacity and power, zero included, the interior point closes the gap."""
    offer = program.supply(fleet)
    supply = one(offer, slot)
    supply = Supply(supply.owned * capacity, supply.reserved, supply.on_demand, supply.resource * power)
    dispatch, work = one(program.dispatch, slot), jnp.asarray(program.demand[scenario, slot])
    lower, upper = bracket(dispatch, supply, work)
    assert lower <= upper * (1 + ROUNDING)
    assert upper - lower <= 1e-6 * upper


@jax.jit
def bracket(dispatch, supply, work):
    busy, prices = interior_point.solve(dispatch, supply, work)
    upper = use_cost(dispatch, repaired(dispatch, supply, work, busy))
    return bound_value(dual_bound(dispatch, prices), supply, work), upper


def test_batched_interior_point_equals_one_at_a_time(program, fleet):
    supply, oracle = program.supply(fleet), InteriorPointOracle(program)
    batched = oracle.recourse(supply, program.demand)
    for scenario in range(2):
        for slot in (0, 7):
            work = jnp.asarray(program.demand[scenario, slot])
            lower, upper = bracket(one(program.dispatch, slot), one(supply, slot), work)
            np.testing.assert_allclose(batched.upper[scenario, slot], upper, rtol=1e-8)  # order of sums
            np.testing.assert_allclose(batched.lower[scenario, slot], lower, rtol=1e-8)


def test_slope_of_the_cost_in_supply_is_minus_the_multiplier(program, fleet):
    """Finite differences of the exact cost against the bound's prices, where the cost is smooth."""
    oracle, step = HighsOracle(program), 1e-5
    supply = program.supply(fleet)
    base = oracle.recourse(supply, program.demand[:1])
    asset = int(np.argmax(base.bound.owned[0, 5]))
    owned = supply.owned.copy()
    owned[5, asset] += step
    more = oracle.recourse(
        Supply(owned, supply.reserved, supply.on_demand, supply.resource), program.demand[:1]
    )
    slope = (more.upper[0, 5] - base.upper[0, 5]) / step
    assert slope == pytest.approx(-base.bound.owned[0, 5, asset], rel=1e-4)
