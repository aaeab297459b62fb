"""What a path is judged by, against hand-computed cases: rates of return, defaults of one buyer, recovery."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustermodel.catalog import load_catalog
from clustermodel.economics.book import Fate, Market, after_first_default, book_revenue
from clustermodel.economics.finance import LARGEST_LOG_GROWTH
from clustermodel.economics.montecarlo import Sampling, simulate
from clustermodel.economics.outcome import PathModel, annual_irr, certain
from clustermodel.economics.world import World, middles
from clustermodel.risk import load_scenario
from clustermodel.scenarios import Contract, Credit, Finance, Project, Rent, neutral, without_supply_agreement
from clustermodel.specs import stack
from clustermodel.units import MONTHS_PER_YEAR, SECONDS_PER_YEAR

YEAR = float(SECONDS_PER_YEAR)
MONTHS = np.arange(61) * YEAR / MONTHS_PER_YEAR
YEARS = (jnp.arange(60) + 0.5) / MONTHS_PER_YEAR
rate_of = jax.jit(annual_irr)


def path(contracts, obligors=None, **parts):
    """Outcome and series of the one path of a scenario without chance."""
    scenario = eqx.tree_at(lambda s: [getattr(s, name) for name in parts], neutral(), list(parts.values()))
    world = World(scenario, stack(contracts), without_supply_agreement())
    buyers = jnp.arange(len(contracts)) if obligors is None else jnp.asarray(obligors)
    model = PathModel(certain(world), buyers, jnp.asarray(MONTHS), 0)
    outcome, series, _ = simulate(model, Sampling(jax.random.key(0), 32, model.draws), 32)
    return jax.tree.map(lambda leaf: leaf[0], (outcome, series))


# internal rate of return
def test_the_rate_of_a_contract_that_pays_each_month_is_that_of_its_monthly_flows():
    """6 GUSD at once for 10 GUSD over five years, the hand case: 25.9 % a year, not the 34.9 % of yearly sums."""
    outcome, series = path(
        [Contract(term=5 * YEAR, value=10e9, take_or_pay=1.0)],
        project=Project(capex=6e9, life=5 * YEAR),
        finance=Finance(wacc=0.1),
    )
    monthly = np.full(60, 10e9 / 60)
    monthly[0] -= 6e9
    np.testing.assert_allclose(series.cash, monthly, rtol=1e-9)
    assert outcome.irr == pytest.approx((1 + npf.irr(monthly)) ** 12 - 1, rel=1e-9)
    assert outcome.irr == pytest.approx(0.259, abs=1e-3)


def test_net_present_value_at_the_internal_rate_is_nothing_on_every_path():
    """Of the paths that lose all there is no such rate. 1e-9 of the outlay: 30 USD of 30 billion."""
    loaded = load_scenario(load_catalog(), "anchor-book")
    outcome, series, _ = simulate(loaded.model, Sampling(jax.random.key(0), 2048, loaded.model.draws), 2048)
    years = middles(loaded.model.edges) / SECONDS_PER_YEAR
    cash, irr = np.asarray(series.cash), np.asarray(outcome.irr)
    found = irr > -1
    assert found.mean() > 0.9
    worth = np.sum(cash[found] * (1 + irr[found, None]) ** -np.asarray(years), axis=1)
    assert np.abs(worth / cash[found].min(axis=1)).max() < 1e-9
    wacc = 0.1
    assert ((outcome.npv > 0) == (irr > wacc)).all()


@given(
    outlay=st.floats(1.0, 1e12),
    multiple=st.floats(0.05, 30.0),
    shape=st.lists(st.integers(0, 9), min_size=59, max_size=59).filter(any),
)
def test_the_annual_rate_is_the_monthly_one_of_numpy_financial_compounded(outlay, multiple, shape):
    flows = np.array([-outlay, *(np.array(shape) * outlay * multiple / sum(shape))])
    monthly = npf.irr(flows)
    annual = (1 + monthly) ** 12 - 1
    found = float(rate_of(jnp.asarray(flows), YEARS))
    if -0.95 < annual < 50:
        assert found == pytest.approx(annual, rel=1e-6, abs=1e-9)  # numpy-financial: roots of a polynomial


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        (-1.0, 0.0, -1.0),  # nothing comes back
        (-1.0, -0.1, -1.0),
        (-100.0, 1e-9, -1.0),  # less than any rate that is looked for
        (-1.0, 100.0, np.expm1(LARGEST_LOG_GROWTH)),  # more than any
        (-59.0, 1.0, 0.0),  # all of it and no more
        (1.0, 1.0, np.nan),  # nothing invested
        (0.0, 0.0, np.nan),
    ],
)
def test_the_internal_rate_has_limits_and_is_missing_only_without_an_outlay(first, later, expected):
    flows = jnp.full(60, later).at[0].set(first)
    assert float(rate_of(flows, YEARS)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_horizon_of_sixty_years_neither_overflows_nor_loses_the_rate():
    years = (jnp.arange(720) + 0.5) / 12
    level = 0.1 / 12
    flows = jnp.full(720, 1 / ((1 - (1 + level) ** -719) / level)).at[0].set(-1.0)
    assert float(rate_of(flows, years)) == pytest.approx((1 + level) ** 12 - 1, rel=1e-9)


# defaults of one buyer
def test_a_certain_default_strikes_every_contract_of_that_buyer():
    """Two contracts of one buyer, lost after a day; of two buyers only the first one's."""
    credit = Credit(first_default=YEAR / 365, fill=0.0)
    contract = Contract(term=5 * YEAR, value=10e9, take_or_pay=1.0)
    lost = 1 - 1 / (5 * 365)
    joint, _ = path([contract, contract], [0, 0], credit=credit)
    apart, _ = path([contract, contract], [0, 1], credit=credit)
    assert joint.loss_share == pytest.approx(lost, rel=1e-9)
    assert apart.loss_share == pytest.approx(lost / 2, rel=1e-9)


def test_a_buyer_that_defaults_earlier_by_itself_is_not_kept_alive_by_the_certain_default():
    times, buyers = jnp.asarray([4.0, jnp.inf, 2.0, 1.0]), jnp.asarray([0, 1, 0, 3])
    found = after_first_default(times, Credit(first_default=3.0), buyers)
    np.testing.assert_array_equal(found, [3.0, jnp.inf, 2.0, 1.0])


# recovery and re-letting
CASES = [  # recovery, prepaid, fill, vacancy in years -> revenue of 10 that default at once
    (0.4, 0.0, 1.0, 0.0, 10.0),  # let again in full: no damage, nothing to recover
    (0.4, 0.0, 0.0, 0.0, 4.0),  # never let again: 40 % of all
    (0.4, 0.0, 0.5, 0.0, 7.0),  # half let again, 40 % of the other half
    (0.4, 0.0, 1.0, 1.0, 8.8),  # a year of 2 empty, 40 % of it
    (0.0, 0.2, 0.5, 0.0, 7.0),  # a prepayment of 2 is kept
    (0.5, 0.2, 0.5, 0.0, 9.5),  # and half of the damage of 5
    (0.5, 0.4, 0.5, 0.0, 10.0),  # but no more than the damage
]


@pytest.mark.parametrize(("recovery", "prepaid", "fill", "vacancy", "expected"), CASES)
def test_what_is_recovered_is_a_share_of_what_re_letting_leaves_open(
    recovery, prepaid, fill, vacancy, expected
):
    outcome, _ = path(
        [Contract(term=5 * YEAR, value=10.0, take_or_pay=1.0, recovery=recovery, prepaid=prepaid)],
        credit=Credit(first_default=0.0, fill=fill, vacancy=vacancy * YEAR),
    )
    assert outcome.contract_revenue == pytest.approx(expected, rel=1e-9)
    assert outcome.loss == pytest.approx(10 - expected, abs=1e-9)


@jax.jit
def revenue_of(contract, default, credit, price):
    market = Market(*(jnp.full(60, x) for x in (1.0, price, price)), jnp.zeros(()))
    fate = Fate(default, contract.value)
    return book_revenue(contract, credit, fate, market, jnp.asarray(MONTHS))


SHARES = st.floats(0.0, 1.0)


@given(SHARES, SHARES, SHARES, SHARES, st.floats(0.0, 6.0), st.floats(0.0, 2.0))
def test_a_default_brings_more_than_the_contract_only_where_the_market_pays_more(
    recovery, prepaid, fill, vacancy, default, price
):
    """Recovery never lifts the sum beyond the contract; 1e-12: rounding of 60 months."""
    contract = stack(
        [Contract(term=5 * YEAR, value=1.0, recovery=recovery, prepaid=prepaid, take_or_pay=1.0)]
    )
    credit = Credit(fill=fill, vacancy=2 * vacancy * YEAR)
    found = revenue_of(contract, jnp.asarray([default * YEAR]), credit, jnp.asarray(price))
    kept, relet, recovered = (float(jnp.sum(x)) for x in (found.kept, found.relet, found.recovered))
    assert recovered >= -1e-12
    assert kept + relet + recovered <= max(1.0, kept + relet) + 1e-12


def test_re_letting_above_the_agreed_price_is_a_gain_and_leaves_nothing_to_recover():
    """The market pays 1.2: 12 of 10, as far as `ceiling` allows, and no damage to claim."""
    contract = Contract(term=5 * YEAR, value=10.0, take_or_pay=1.0, recovery=0.4)
    credit = Credit(first_default=0.0)
    dear, _ = path([contract], credit=credit, rent=Rent(level=1.2, target=1.2))
    capped, _ = path([contract], credit=credit, rent=Rent(level=1.2, target=1.2, ceiling=1.0))
    assert dear.contract_revenue == pytest.approx(12.0)
    assert capped.contract_revenue == pytest.approx(10.0)
    assert float(capped.loss) == 0.0


def test_a_contract_that_is_kept_loses_nothing_at_all_not_even_by_rounding():
    outcome, _ = path([Contract(term=5 * YEAR, value=9.94e10, ramp=0.7 * YEAR, take_or_pay=1.0)] * 3)
    assert [float(x) for x in (outcome.loss, outcome.loss_share, outcome.default_loss)] == [0.0] * 3
