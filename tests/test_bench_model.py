"""The benchmark of the chain: what is counted, how it is cut, what float32 costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_bench

from clustermodel.bench import mix, model
from clustermodel.catalog import ConfigError, load_catalog

CATALOG = load_catalog()


@pytest.fixture(scope="module")
def subjects():
    return {kind: model._subject(CATALOG, name) for kind, name in model.CASES.items()}


@pytest.fixture(scope="module")
def counted(subjects):
    one = jax.tree.map(lambda leaf: leaf[0], model.draws(1))
    return {kind: mix.operations_of(model.chain(*parts), one) for kind, parts in subjects.items()}


def test_operations_are_counted_once_however_often_they_are_used():
    def function(x):
        common = jnp.log(x["a"])
        return (
            common * x["b"] + jnp.expm1(common),
            x["b"] / common,
            jnp.where(2.0 > 1.0, common, jnp.sin(common)),
        )

    found = mix.operations_of(function, {"a": jnp.asarray(3.0), "b": jnp.asarray(2.0)})
    kinds = ("logarithm", "multiply", "add", "exponential minus one", "divide")
    assert found == dict.fromkeys(kinds, 1)


def test_integers_are_counted_apart_from_numbers():
    def function(x):
        bits = jax.lax.bitcast_convert_type(x, jnp.int64)
        return jax.lax.bitcast_convert_type(jax.lax.shift_right_logical(bits, jnp.int64(1)) + 7, jnp.float64)

    assert mix.operations_of(function, jnp.asarray(1.0)) == {"integer": 2}


def test_a_dense_model_pays_nothing_for_the_experts_that_it_lacks(counted):
    """Which experts an iteration touches takes an exponential and a logarithm, in each of eight iterations."""
    dense, moe = counted["dense"], counted["moe"]
    for kind in ("exponential", "logarithm", "exponential minus one"):
        assert moe[kind] == dense[kind] + 8
    assert sum(dense.values()) < 0.75 * sum(moe.values())


def test_every_kind_of_the_chain_is_known_and_can_be_timed(counted):
    kinds = set().union(*counted.values())
    assert "other" not in kinds
    x = jnp.linspace(1.0, 3.0, 100)
    for kind in kinds:
        assert np.all(np.isfinite(mix._operations(jnp.ones(()))[kind](x))), kind


@pytest.mark.parametrize("lanes", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_the_kernel_that_is_the_limit_does_the_operations_of_the_chain(counted, lanes):
    """Beside the sum over its lanes, and what a compiler merges: a few quotients of quotients, into products."""
    example = {"x": jnp.asarray(1.5), "one": jnp.asarray(1.0)}
    unsure = {"compare": (0.15, 0), "divide": (0.05, 0), "add": (0, 60)}
    for asked in counted.values():
        kernel = mix.chained(mix.evenly(asked), lanes)
        found = mix.operations_of(lambda arguments, kernel=kernel: kernel(**arguments), example)
        for kind, count in asked.items():
            relative, absolute = unsure.get(kind, (0.03, 2))
            assert found[kind] == pytest.approx(count, rel=relative, abs=absolute)


def test_the_profile_shares_out_the_whole_time(counted):
    each = mix.alone(counted["dense"], 1024, jnp.dtype("float64"))
    rows = mix.profile(counted["dense"], each)
    assert {row["operation"] for row in rows} == set(counted["dense"])
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)


@pytest.mark.parametrize("n", [1, 7, 64, 65, 1000])
def test_blocks_hold_every_configuration_and_give_what_all_at_once_give(monkeypatch, n):
    monkeypatch.setattr(model, "at_a_time", lambda: 64)
    starts, block = model._blocks(n)
    assert block <= 64
    assert sorted({i for start in starts for i in range(int(start), int(start) + block)}) == list(range(n))
    x = model.draws(n)
    in_blocks = model._in_blocks(lambda one: one.isl * one.osl, block)
    whole = np.empty(n)
    for start in starts:
        whole[int(start) : int(start) + block] = in_blocks(x, start)
    np.testing.assert_array_equal(whole, x.isl * x.osl)


@pytest.mark.slow
@pytest.mark.parametrize("kind", model.CASES)
def test_float32_is_right_to_four_digits_everywhere_and_to_five_nearly_everywhere(subjects, kind):
    """Differences of nearly equal times lose digits: rarely, and never more than these."""
    found = model._errors(subjects[kind])
    assert 1e-7 < found["error_p999"] < 1e-5
    assert found["error_p999"] <= found["largest_error"] < 2e-3


@pytest.mark.slow
def test_float32_leaves_the_session_in_float64(monkeypatch):
    tiny_bench.shrink(monkeypatch)
    monkeypatch.setattr(model, "_errors", lambda _: {"largest_error": 1e-4, "error_p999": 1e-6})
    answer = model.bench_model(CATALOG, sizes=[8], dtype="float32")
    (case,) = answer["cases"]
    assert answer["dtype"] == "float32"
    assert jnp.zeros(()).dtype == jnp.float64
    assert case["configurations_per_s"] > 0
    assert case["fraction_of_limit"] > 0
    assert case["fraction_of_same_operations"] == pytest.approx(case["configurations_per_s"] / 1e9)
    assert case["largest_error"] == 1e-4
    with pytest.raises(ConfigError, match="float16"):
        model.bench_model(CATALOG, sizes=[8], dtype="float16")
