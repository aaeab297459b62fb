"""Units and sizes change nothing: a plan for many small systems is the plan for few large ones."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clustermodel.catalog import ConfigError
from clustermodel.fleet import FleetProblem


def plan(demand, rate, price, scenarios=1, whole=False, method="auto", **limits):
    """One period; systems `a` and `b` serve works `v` and `w` at [system, work] `rate`; everything has to be served."""
    names = [f"s{i}" for i in range(scenarios)]
    levels = 0.5 + np.arange(scenarios) / max(scenarios - 1, 1) if scenarios > 1 else np.ones(1)
    grid = pd.MultiIndex.from_product([names, ["v", "w"]], names=["scenario", "workload"]).to_frame(
        index=False
    )
    pairs = pd.MultiIndex.from_product([["a", "b"], ["v", "w"]], names=["system", "workload"]).to_frame(
        index=False
    )
    tables = {
        "systems": pd.DataFrame({"system": ["a", "b"], "price": price}),
        "workloads": pd.DataFrame({"workload": ["v", "w"], "must_serve": 1.0}),
        "throughput": pairs.assign(throughput=np.ravel(rate)),
        "demand": grid.assign(demand=np.outer(levels, demand).ravel()),
        "scenarios": pd.DataFrame({"scenario": names, "probability": 1 / scenarios}),
    }
    problem = FleetProblem.from_frames(tables, periods=["now"], period_length=1.0, whole_systems=whole)
    return problem.solve(method=method, **limits)


def bought(made):
    systems = made.purchases.set_index("system")["systems"]
    return np.array([systems.get(name, 0.0) for name in ("a", "b")])


@pytest.mark.parametrize("method", ["highs", "benders"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("scenarios", [1, 3])
@pytest.mark.parametrize("size", [1.0, 1e5, 2e9, 1e11])
def test_a_demand_of_any_number_of_systems_has_a_plan(size, scenarios, whole, method):
    """`a` is the cheaper one for either work, by 1000 / 1 against 1300 / 1.2; the largest future asks for 1.5 times."""
    most = 1.5 if scenarios > 1 else 1.0
    made = plan(
        (size, 3 * size), np.outer((1.0, 1.2), (1.0, 1.0)), (1000.0, 1300.0), scenarios, whole, method
    )
    exact = 4 * most * size * 1000
    assert made.lower_bound <= exact * (1 + 2e-6) + (1300 if whole else 0)  # what must be served is to 1e-6
    assert made.objective == pytest.approx(exact, rel=1.1e-4)  # the gap asked for


def test_a_decomposition_goes_on_until_what_must_be_served_is():
    """Work left out costs 100 times its worth, so within a gap of 1 % a share of 1e-4 of it could be missing."""
    made = plan((10.0, 30.0), np.ones((2, 2)), (1000.0, 1300.0), 3, False, "benders", gap=1e-2)
    assert made.operation.breach.max() <= 1e-6 * 45
    assert made.objective == pytest.approx(60_000, rel=1e-2)


number = st.floats(0.2, 5.0)


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    demand=st.tuples(number, number),
    rate=st.lists(number, min_size=4, max_size=4),
    price=st.tuples(number, number),
    power=st.integers(-9, 12),
    whole=st.booleans(),
)
def test_the_unit_of_work_changes_no_purchase(demand, rate, price, power, whole):
    unit, small = 10.0**power, np.multiply(demand, 10.0)
    one = plan(small, rate, price, whole=whole, gap=1e-9)
    other = plan(small * unit, np.multiply(rate, unit), price, whole=whole, gap=1e-9)
    assert other.objective == pytest.approx(one.objective, rel=1e-6)
    if not np.isclose(rate[0] * rate[3], rate[1] * rate[2], rtol=1e-3):  # else either may do either work
        assert np.array(price) @ bought(other) == pytest.approx(np.array(price) @ bought(one), rel=1e-6)


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    demand=st.tuples(number, number),
    rate=st.lists(number, min_size=4, max_size=4),
    price=st.tuples(number, number),
    power=st.integers(-3, 6),
    skew=st.integers(-5, 5),
)
def test_a_multiple_of_the_demand_takes_the_multiple_of_the_fleet(demand, rate, price, power, skew):
    """Also where one kind of work is asked for in much larger numbers than the other."""
    skewed = np.multiply(demand, (1.0, 10.0**skew))
    one = plan(skewed, rate, price)
    many = plan(skewed * 10.0**power, rate, price)
    assert many.objective == pytest.approx(one.objective * 10.0**power, rel=1e-6)


def test_a_demand_for_more_systems_than_anybody_counts_is_a_mistake_in_a_unit():
    with pytest.raises(
        ConfigError, match=r"demand: w asks for 3e\+13 systems of the fastest kind.*check the units"
    ):
        plan((1.0, 3e13), np.ones((2, 2)), (1000.0, 1300.0))
