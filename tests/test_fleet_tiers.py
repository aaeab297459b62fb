"""Prices in tiers: lower tiers are taken first, and the best plan is the best of all that could be written down."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.fleet import FleetProblem

METHODS = ("highs", "benders")


def problem(demand=10.0, scenarios=1, tables=(), **more):
    """Boxes that serve one unit of work each for a period of one second; levels of demand up to `demand`."""
    names, work = [f"s{i}" for i in range(scenarios)], demand * (1 + np.arange(scenarios)) / scenarios
    base = {
        "systems": [{"system": "box"}],
        "sites": [{"site": "cloud", "rented": 1.0}],
        "workloads": [{"workload": "work", "must_serve": 1.0}],
        "throughput": [{"system": "box", "workload": "work", "throughput": 1.0}],
        "demand": {"workload": "work", "scenario": names, "demand": work},
        "scenarios": {"scenario": names, "probability": 1 / scenarios},
    }
    frames = {name: pd.DataFrame(rows) for name, rows in (base | dict(tables)).items()}
    return FleetProblem.from_frames(frames, **{"periods": ["now"], "period_length": 1.0} | more)


def rent(kind="reserved", **columns):
    return {"contracts": {"system": "box", "site": "cloud", "kind": kind} | columns}


def tiered(price, above, every=False, most=np.inf):
    word = "all" if every else "further"
    return {"price": price, "above": above, "holds_for": word, "most": [np.inf] * (len(price) - 1) + [most]}


def cost_of(number, price, above, every):
    """What the list says that a number of systems costs."""
    ends = [*above[1:], math.inf]
    if every:
        return number * price[max(k for k, a in enumerate(above) if k == 0 or number > a)]
    return sum(p * max(min(number, e) - a, 0) for p, a, e in zip(price, above, ends, strict=True))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("price", "every", "cost", "counts"),
    [
        ((1.0, 2.0), False, 6 * 1 + 4 * 2, (6, 4)),  # rising: the rest is dearer
        ((2.0, 1.0), False, 6 * 2 + 4 * 1, (6, 4)),  # falling: the first six are paid in full
        ((2.0, 1.0), True, 10 * 1, (10,)),  # a discount on all
        ((1.0, 2.0), True, 10 * 2, (10,)),
    ],
)
def test_tiers_of_a_reservation_are_taken_from_the_first(price, every, cost, counts, method):
    plan = problem(tables=rent(**tiered(price, (0.0, 6.0), every))).solve(method=method, gap=1e-6)
    assert plan.objective == pytest.approx(cost, rel=1e-5)
    assert plan.reservations["systems"].tolist() == pytest.approx(counts, rel=1e-5)
    assert plan.dispatch["busy_systems"].tolist() == pytest.approx([10.0], rel=1e-5)


def test_a_discount_on_all_is_worth_a_system_too_many():
    """Six for 2 USD cost 12, seven for 1 USD cost 7: whole reservations begin the tier at the seventh."""
    plan = problem(6.0, tables=rent(**tiered((2.0, 1.0), (0.0, 6.0), True)), whole_reservations=True).solve()
    assert plan.objective == pytest.approx(7.0)
    assert problem(5.0, tables=rent(**tiered((1.2, 1.0), (0.0, 6.0), True)), whole_reservations=True).solve(
        gap=1e-9
    ).objective == pytest.approx(6.0)


@pytest.mark.parametrize("method", METHODS)
def test_rising_prices_on_demand_are_taken_in_order_in_every_future(method):
    """Futures of 5 and 10 boxes: 5 x 1, and 6 x 1 + 4 x 3."""
    plan = problem(10.0, 2, rent("on_demand", **tiered((1.0, 3.0), (0.0, 6.0)))).solve(
        method=method, gap=1e-9
    )
    assert plan.objective == pytest.approx((5 + 18) / 2, rel=1e-6)


def bought(price, above, every, sites=("home",), **more):
    first, *further = price
    tiers = {
        "system": "box",
        "price": further,
        "above": above[1:],
        "holds_for": "all" if every else "further",
    }
    return {
        "systems": [{"system": "box", "price": first}],
        "sites": {"site": list(sites)},
        "prices": tiers,
    } | more


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("every", [False, True])
def test_the_first_ten_thousand_cost_more_than_further_ones(every, method):
    """'The first 10,000 systems at 300,000 USD, further at 280,000.'"""
    price, above = (300e3, 280e3), (0.0, 10e3)
    plan = problem(12e3, tables=bought(price, above, every)).solve(method=method, gap=1e-7)
    exact = 12e3 * 280e3 if every else 10e3 * 300e3 + 2e3 * 280e3
    assert plan.objective == pytest.approx(exact, rel=1e-6)
    assert plan.purchases["outlay_usd"].tolist() == ([280e3] if every else [300e3, 280e3])
    assert plan.purchases["spend_usd"].sum() == pytest.approx(exact, rel=1e-6)


def test_sites_that_share_a_price_list_reach_its_tiers_together():
    """Two halls for four boxes each by a limit on systems: eight together, five of them at the first price."""
    limit = [{"kind": "systems", "value": "4", "site": site} for site in ("north", "south")]
    plan = problem(
        8.0, tables=bought((10.0, 8.0), (0.0, 5.0), False, ("north", "south"), constraints=limit)
    ).solve(gap=1e-9)
    assert plan.objective == pytest.approx(5 * 10 + 3 * 8)


def test_maintenance_resale_and_budgets_follow_the_price_of_the_tier():
    """Eight at 10 and two at 6 USD: 92 to pay; half comes back at the end; upkeep is 1 % of the price a second."""
    tables = bought((10.0, 6.0), (0.0, 8.0), False)
    tables["systems"] = [{"system": "box", "price": 10.0, "resale": 1.0, "life": 2.0, "maintenance": 0.01}]
    plan = problem(10.0, tables=tables).solve(gap=1e-9)
    assert plan.objective == pytest.approx(92 * (1 - 0.5 + 0.01))
    tight = {"constraints": [{"kind": "budget", "value": "91 USD", "period": "total"}]}
    with pytest.raises(
        InfeasibleError, match=r"budget raised by 1.1 % throughout \(--budget '92\.\d* USD'\)|92 USD"
    ):
        problem(10.0, tables=tables | tight).solve()


prices = st.integers(1, 20).map(float)


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    price=st.lists(prices, min_size=2, max_size=4),
    steps=st.lists(st.integers(1, 4), min_size=3, max_size=3),
    every=st.booleans(),
    other=prices,
    demand=st.integers(0, 14),
    owned=st.booleans(),
    method=st.sampled_from(METHODS),
)
def test_the_plan_is_the_best_of_all_numbers_of_systems(price, steps, every, other, demand, owned, method):
    """Boxes by tiers, crates (1.5 units of work) at one price, three futures, work left out for 7 USD a unit."""
    above = np.concatenate([[0.0], np.cumsum(steps)])[: len(price)].tolist()
    tables = bought(price, above, every)
    crate = {"system": "crate", "price": other}
    if not owned:
        tables = rent(**tiered(price, above, every)) | {
            "sites": {"site": ["cloud", "home"], "rented": [1.0, 0.0]}
        }
    tables["systems"] = [*tables.get("systems", [{"system": "box"}]), crate]
    tables |= {
        "workloads": [{"workload": "work", "penalty": 7.0}],
        "throughput": {"system": ["box", "crate"], "workload": "work", "throughput": [1.0, 1.5]},
    }
    made = problem(float(demand), 3, tables, whole_reservations=True).solve(method=method, gap=1e-9)
    levels = demand * np.array([1, 2, 3]) / 3
    best = min(
        cost_of(n, price, above, every) + m * other + 7 * np.maximum(levels - n - 1.5 * m, 0).mean()
        for n, m in itertools.product(range(20), range(14))
    )
    assert made.objective == pytest.approx(best, rel=1e-6, abs=1e-6)


MISTAKES = [
    ({"price": [2.0, 1.0], "above": [0.0, 0.0]}, "row 1: system 'box', site 'cloud', kind 'reserved' is on offer in"),
    ({"price": [2.0, 1.0], "above": [3.0, 6.0]}, "row 0: above 3, and no row says what the first 3 cost then; write"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "most": [5.0, 9.0]}, "row 0: most 5 ends before row 1 begins (above"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "most": [np.inf, 4.0]}, "row 1: most 4 counts all tiers, so it has to"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "take_or_pay": [1.0, 0.5]}, "row 1: take_or_pay 0.5: write that of"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "take_or_pay": 0.5}, "row 1: a discount for many systems that are res"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "kind": "on_demand"}, "row 1: a discount for many systems that are on"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "least": [0.0, 3.0]}, "row 1: least 3: write it in the first tier"),
    ({"price": [2.0, 1.0], "above": [0.0, 6.0], "holds_for": "some"}, "row 1: holds_for 'some' is neither further"),
    ({"price": [2.0], "hosted": [1.0]}, "row 0: hosted 1 at cloud, where others own the systems; leave it empty"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "words"), MISTAKES, ids=[words[:30] for _, words in MISTAKES])
def test_tiers_that_cannot_be_meant_are_refused_with_row_and_cure(columns, words):
    with pytest.raises(ConfigError) as caught:
        problem(tables=rent(**columns))
    assert f"contracts: {words}" in str(caught.value)


def test_a_tier_of_orders_needs_a_first_price():
    tables = bought((10.0, 8.0), (0.0, 5.0), False) | {"systems": [{"system": "box"}]}
    with pytest.raises(
        ConfigError, match="prices: row 0: above 5, and nothing says what the first 5 cost in now"
    ):
        problem(tables=tables)


@pytest.mark.parametrize(("price", "every"), [((1.0, 2.0), False), ((2.0, 1.0), False), ((2.0, 1.0), True)])
@pytest.mark.parametrize("method", METHODS)
def test_signed_reservations_fill_the_tiers_from_the_first(price, every, method):
    """Eight are signed and two are used; none can be given back."""
    plan = problem(2.0, tables=rent(**tiered(price, (0.0, 6.0), every), least=[8.0, 0.0])).solve(
        method=method
    )
    assert plan.objective == pytest.approx(cost_of(8, price, (0.0, 6.0), every), rel=1e-4)


@pytest.mark.parametrize(("price", "every"), [((1.0, 2.0), False), ((2.0, 1.0), False), ((2.0, 1.0), True)])
def test_where_all_tiers_are_too_few_the_cure_raises_the_last(price, every):
    with pytest.raises(InfeasibleError) as caught:
        problem(20.0, tables=rent(**tiered(price, (0.0, 6.0), every, 16.0))).solve()
    text = str(caught.value)
    assert "reservations" in text
    assert "must_serve lowered by 20 % throughout (to 80 %)" in text
    assert "reservations raised by 25 %" in text


def test_where_money_does_not_count_tiers_are_still_taken_in_order():
    """A budget of 70 USD buys five boxes at 10 and one at 20, not six at 10; a seventh would cost 90."""
    tables = bought((10.0, 20.0), (0.0, 5.0), False) | {
        "constraints": [{"kind": "budget", "value": "70 USD", "period": "total"}],
        "workloads": [{"workload": "work"}],
    }
    plan = problem(9.0, tables=tables, objective="served").solve()
    assert plan.objective == pytest.approx(-6.0)
    assert plan.purchases["spend_usd"].sum() == pytest.approx(70.0)


def test_a_small_order_beside_a_large_one_reaches_no_tier_by_the_tolerance_of_the_solver():
    """Five boxes at 10 USD now, a hundred million later, the first six of each period at 10."""
    tables = bought((10.0, 1.0), (0.0, 6.0), False) | {
        "systems": [{"system": "box", "price": 10.0, "life": 1.0}],
        "demand": {"workload": "work", "period": ["p0", "p1"], "demand": [5.0, 1e8]},
        "scenarios": [{"scenario": "one", "probability": 1.0}],
    }
    for method in METHODS:
        plan = problem(tables=tables, periods=["p0", "p1"]).solve(method=method, gap=1e-9)
        assert plan.purchases.query("period == 'p0'")["outlay_usd"].tolist() == [10.0]
        assert plan.objective == pytest.approx(5 * 10 + 6 * 10 + (1e8 - 6), rel=1e-12)
