import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from clustermodel.calibration.power import clocks
from clustermodel.catalog import load_catalog
from clustermodel.chain.question import Question
from clustermodel.chain.setup import set_up
from clustermodel.physics.clocks import Bound, clock_under_cap, clocked_power, stretched
from clustermodel.physics.deployment import Layout
from clustermodel.serving.capping import (
    CapPrice,
    Served,
    cap_sweep,
    tokens_under_site_limit,
    under_cap,
    usd_per_token,
)
from clustermodel.serving.steady import closed_loop

CATALOG = load_catalog()
CLOCKS = clocks(CATALOG)


def f(x):
    return jnp.asarray(x, dtype=float)


COMPUTE, MEMORY = Bound(f(1.0), f(0.0), f(0.0)), Bound(f(0.0), f(1.0), f(0.0))


@given(st.floats(200, 1000), st.floats(60, 180), st.floats(0.12, 1.0))
def test_the_clock_under_a_cap_draws_exactly_the_cap(full, floor, clock):
    cap = clocked_power(CLOCKS, f(full), f(floor), f(clock))
    np.testing.assert_allclose(clock_under_cap(CLOCKS, f(full), f(floor), cap), clock, rtol=1e-6)


@given(st.floats(200, 1000), st.floats(1.0, 2.0))
def test_a_cap_that_does_not_bind_leaves_the_clock_alone(full, above):
    assert clock_under_cap(CLOCKS, f(full), f(100), f(full * above)) == 1.0


@given(st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.floats(0, 1), st.floats(0, 1))
def test_a_lower_clock_is_never_faster_and_never_draws_more(a, b, arithmetic, traffic):
    low, high = sorted((a, b))
    bound = Bound(f(arithmetic), f(traffic), f(0.1))
    assert stretched(CLOCKS, bound, f(low)) >= stretched(CLOCKS, bound, f(high)) - 1e-12
    drawn = [clocked_power(CLOCKS, f(600), f(130), f(clock)) for clock in (low, high)]
    assert drawn[0] <= drawn[1] + 1e-9


def test_arithmetic_follows_the_clock_and_traffic_does_not_above_its_knee():
    np.testing.assert_allclose(stretched(CLOCKS, COMPUTE, f(0.5)), 2.0, rtol=1e-9)
    np.testing.assert_allclose(stretched(CLOCKS, MEMORY, f(0.5)), 1.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("cap", "prefill_loss", "decode_loss"), [(250, 0.15, 0.026), (150, 0.74, 0.14)], ids=["250 W", "150 W"]
)
def test_a_capped_rtx_3090_slows_as_measured(cap, prefill_loss, decode_loss):
    # LLM-Garage: 350 W uncapped; its floor is not published, 130 W is assumed. Within 4 points of loss: four
    # points fix two numbers and the floor.
    clock = clock_under_cap(CLOCKS, f(350), f(130), f(cap))
    np.testing.assert_allclose(1 - 1 / stretched(CLOCKS, COMPUTE, clock), prefill_loss, atol=0.04)
    np.testing.assert_allclose(1 - 1 / stretched(CLOCKS, MEMORY, clock), decode_loss, atol=0.04)


def test_a_clock_lock_can_save_a_third_of_decode_energy_on_h200_without_slowing_it():
    # arXiv 2605.11999: up to 32 % of decode energy at minimal loss; boards between 137 and 300 W
    locked = clocked_power(CLOCKS, f(300), f(137), CLOCKS.voltage_knee)
    assert 0.32 <= 1 - locked / 300 <= 0.45
    np.testing.assert_allclose(stretched(CLOCKS, MEMORY, CLOCKS.voltage_knee), 1.0, rtol=1e-9)


@pytest.fixture(scope="module")
def replica():
    setup = set_up(CATALOG, Question("hgx-h100", "llama-3.1-70b", precision="fp8", isl=2048, osl=256))
    one = f(1.0)
    deployment = setup.deployment(Layout(f(4), one, one, one))
    load = setup.load(f(64.0))
    return Served(deployment, load, closed_loop(deployment, load)), setup.money.board


def test_a_cap_above_the_boards_own_changes_nothing(replica):
    served, board = replica
    free = under_cap(served, board, CLOCKS, board.cap)
    np.testing.assert_allclose(free.output_rate, served.point.output_rate, rtol=1e-9)
    np.testing.assert_allclose(free.tpot, served.point.tpot, rtol=1e-9)


def test_a_cap_slows_prefill_much_and_decode_hardly(replica):
    served, board = replica
    capped = under_cap(served, board, CLOCKS, f(400.0))
    assert capped.prefill_slowdown > 1.1
    assert capped.decode_slowdown < 1.08
    assert capped.board_power <= 400.0


def test_energy_per_token_has_an_interior_best_cap(replica):
    served, board = replica
    caps = jnp.linspace(150.0, float(board.cap), 60)
    joules = np.asarray(cap_sweep(served, board, CLOCKS, caps).joules_per_token)
    best = int(np.argmin(joules))
    assert 0 < best < 55
    assert joules[best] < 0.95 * joules[-1]


def test_the_dearer_the_power_of_a_site_the_lower_the_best_cap(replica):
    served, board = replica
    caps = jnp.linspace(150.0, float(board.cap), 200)
    points = cap_sweep(served, board, CLOCKS, caps)
    n = served.deployment.layout.n_accelerators
    best = []
    for per_watt_year in (0.0, 3.0, 30.0):  # USD per W and year: free, a building, a scarce site
        price = CapPrice(
            fixed=f(1.5 / 3600),
            per_watt=f(per_watt_year / 31.536e6),
            electricity=f(0.07 / 3.6e6),
            overhead=f(1.6),
        )
        cost = jax.vmap(lambda each, price=price: usd_per_token(each, price, n))(points)
        best.append(float(caps[int(np.argmin(cost))]))
    assert best[0] >= best[1] >= best[2]
    assert best[0] > best[2]


def test_under_a_site_limit_the_cap_that_saves_energy_sells_more_tokens(replica):
    served, board = replica
    caps = jnp.linspace(150.0, float(board.cap), 60)
    points = cap_sweep(served, board, CLOCKS, caps)
    n = served.deployment.layout.n_accelerators
    tokens = jax.vmap(lambda each: tokens_under_site_limit(each, f(1e6), f(1.6), n))(points)
    assert int(np.argmax(tokens)) == int(np.argmin(points.joules_per_token))


def test_capping_under_jit_and_vmap_agrees_with_single_calls(replica):
    served, board = replica
    caps = f(np.linspace(150, 680, 16_400))
    law = jax.jit(lambda c: cap_sweep(served, board, CLOCKS, c).joules_per_token)
    batched = law(caps)
    for i in (0, 8_191, 16_384, 16_399):
        single = under_cap(served, board, CLOCKS, caps[i]).joules_per_token
        np.testing.assert_allclose(batched[i], single, rtol=1e-12)


def test_gradient_of_the_capped_clock_agrees_with_finite_differences():
    law = lambda cap: clock_under_cap(CLOCKS, f(600.0), f(130.0), f(cap))
    check_grads(law, (f(350.0),), order=1, modes=["rev"], rtol=1e-5)
