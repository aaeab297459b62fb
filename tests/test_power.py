import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from clustermodel.calibration.power import board_coefficients, board_model
from clustermodel.catalog import load_catalog
from clustermodel.physics import power

CATALOG = load_catalog()
BOARDS = {
    "h100": board_coefficients(CATALOG, "h100-sxm", "hopper", 700.0),
    "b200": board_coefficients(CATALOG, "b200-sxm", "blackwell", 1000.0),
    "a100": board_coefficients(CATALOG, "a100-sxm-40gb", "ampere", 400.0),
    "prior": board_coefficients(CATALOG, "something-new", "unknown", 1200.0),
}
boards = st.sampled_from(sorted(BOARDS)).map(BOARDS.get)
shares = st.floats(0.0, 1.0)
flags = st.sampled_from([0.0, 1.0])


def f(x):
    return jnp.asarray(x, dtype=float)


@given(boards, shares, shares, flags)
def test_power_stays_between_the_floor_and_the_cap(board, flops, bytes_, multi):
    drawn = float(power.board_power(board, f(flops), f(bytes_), f(multi)))
    assert float(board.stalled) <= drawn <= float(board.cap)


@given(boards, shares, shares, shares, flags)
def test_more_work_never_draws_less(board, flops, bytes_, more, multi):
    drawn = power.board_power(board, f(flops), f(bytes_), f(multi))
    assert power.board_power(board, f(flops + more), f(bytes_), f(multi)) >= drawn
    assert power.board_power(board, f(flops), f(bytes_ + more), f(multi)) >= drawn


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_no_work_draws_the_floor_or_the_intercept(name):
    board = BOARDS[name]
    drawn = power.board_power(board, f(0), f(0), f(0))
    np.testing.assert_allclose(drawn, max(float(board.awake), float(board.stalled)), rtol=1e-12)


@given(boards, shares, shares, flags, st.floats(0.5, 20.0))
def test_a_soft_cap_is_never_crossed_and_costs_at_most_its_knee(board, flops, bytes_, multi, knee):
    hard = float(power.board_power(board, f(flops), f(bytes_), f(multi)))
    soft = float(power.soft_board_power(board, f(flops), f(bytes_), f(multi), f(knee)))
    assert soft <= float(board.cap)
    assert -1e-9 <= hard - soft <= knee * np.log(2) + 1e-9  # largest where the power just meets the cap


def test_a_soft_cap_has_a_gradient_where_the_hard_one_has_none():
    board = BOARDS["b200"]
    hard = jax.grad(lambda u: power.board_power(board, f(0.6), u, f(1)))(f(1.0))
    soft = jax.grad(lambda u: power.soft_board_power(board, f(0.6), u, f(1), f(50.0)))(f(1.0))
    assert float(hard) <= 1e-12 < float(soft)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_gradients_agree_with_finite_differences_away_from_the_cap(name):
    law = lambda u, v: power.board_power(BOARDS[name], f(u), f(v), f(0))
    check_grads(law, (f(0.05), f(0.3)), order=1, modes=["rev"], rtol=1e-5)


def test_vmap_and_jit_agree_with_a_loop_over_16400_points():
    rng = np.random.default_rng(7)
    flops, bytes_ = f(rng.uniform(size=16_400)), f(rng.uniform(size=16_400))
    law = lambda u, v: power.board_power(BOARDS["b200"], u, v, f(1))
    batched = jax.jit(jax.vmap(law))(flops, bytes_)
    np.testing.assert_allclose(batched, jax.vmap(law)(flops, bytes_), rtol=1e-13)
    for i in (0, 8_191, 16_383, 16_384, 16_399):
        np.testing.assert_allclose(batched[i], law(flops[i], bytes_[i]), rtol=1e-13)


def test_the_energy_of_a_run_is_the_sum_over_its_phases():
    watts = power.phase_power(
        BOARDS["b200"], power.Utilisation(f(0.5), f(0.2)), power.Utilisation(f(0.02), f(0.6)), f(1)
    )
    seconds = power.Phases(f(3.0), f(40.0), f(5.0), f(2.0))
    joules = power.phase_energy(watts, seconds)
    by_hand = sum(float(w) * float(t) for w, t in zip(jax.tree.leaves(watts), (3, 40, 5, 2), strict=True))
    np.testing.assert_allclose(joules.total, by_hand, rtol=1e-12)
    np.testing.assert_allclose(power.mean_power(watts, seconds) * seconds.total, joules.total, rtol=1e-12)


def test_a_busy_prefill_board_draws_more_than_decode_and_a_stalled_one_less():
    for board in BOARDS.values():
        watts = power.phase_power(
            board, power.Utilisation(f(0.5), f(0.3)), power.Utilisation(f(0.01), f(0.3)), f(1)
        )
        assert watts.idle <= watts.stalled <= watts.decode <= watts.prefill


def test_hand_computed_point_of_the_b200_form():
    # P = 136 + 800.8 (1 - exp(-(12.99 * 0.01 + 2 * 0.3))) + 144.6 = 694.4 W for the shipped coefficients
    b = BOARDS["b200"]
    activity = float(b.flops_weight) * 0.01 + float(b.bytes_weight) * 0.3
    expected = float(b.awake) + float(b.saturated - b.awake) * (1 - np.exp(-activity))
    expected += float(b.multi_accelerator)
    np.testing.assert_allclose(power.board_power(b, f(0.01), f(0.3), f(1)), expected, rtol=1e-12)


def test_a_board_of_a_fitted_generation_borrows_its_coefficients_in_units_of_tdp():
    borrowed = board_model(CATALOG, "h100-pcie", "hopper", 350.0)
    assert borrowed.basis == "transferred"
    np.testing.assert_allclose(borrowed.coefficients.cap, BOARDS["h100"].cap / 2, rtol=1e-12)
    np.testing.assert_allclose(borrowed.coefficients.bytes_weight, BOARDS["h100"].bytes_weight, rtol=1e-12)


def test_an_unknown_board_takes_the_prior_and_says_so():
    model = board_model(CATALOG, "something-new", "unknown", 1200.0)
    assert model.basis == "prior"
    assert model.spread > 0.2
    assert float(model.coefficients.cap) < 1200.0
