import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from clustermodel.physics.cube_root import cube_root


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_cube_root_is_right_to_a_few_units_in_the_last_place(dtype):
    x = np.exp(np.random.default_rng(0).uniform(np.log(1e-30), np.log(1e30), 16_400)).astype(dtype)
    expected = np.cbrt(x.astype(np.longdouble))
    found = np.asarray(jax.jit(jax.vmap(cube_root))(jnp.asarray(x)))
    assert np.max(np.abs(found / expected - 1)) < 4 * np.finfo(dtype).eps


def test_its_derivatives_are_those_of_the_power():
    check_grads(lambda x: cube_root(jnp.asarray(x)), (jnp.asarray(2.7),), order=2)
    second = jax.grad(jax.grad(cube_root))(jnp.asarray(2.0))
    assert float(second) == pytest.approx(-2 / 9 * 2 ** (-5 / 3))


def test_what_never_ends_has_no_finite_root():
    assert float(cube_root(jnp.asarray(jnp.inf))) == float("inf")
    assert np.isnan(float(cube_root(jnp.asarray(jnp.nan))))
