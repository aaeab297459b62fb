"""A program read from the cache is the program that was traced, and stands for nothing else."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel import kept, specs
from clustermodel.catalog import load_catalog
from clustermodel.chain import Question, search
from clustermodel.chain.setup import set_up
from clustermodel.kept import Kept, in_chunks
from clustermodel.physics.deployment import Layout

TRACES = []


def wave(x, y):
    TRACES.append((x, y))
    return {"sum": x + y, "parts": (jnp.sin(x), None, y**2)}


@pytest.fixture(autouse=True)
def cache(tmp_path):
    """A cache of its own, where every compilation is kept."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    TRACES.clear()
    yield tmp_path / "traced"
    jax.config.update("jax_compilation_cache_dir", before)


def another():
    """What another process has: the function, and nothing in memory."""
    return Kept(functools.wraps(wave)(lambda *args: wave(*args)))


def equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


X, Y = np.linspace(0, 1, 5), np.ones(5)


def test_another_process_computes_the_same_and_traces_nothing(cache):
    first = another()(X, Y)
    assert equal(first, jax.jit(wave)(X, Y))
    TRACES.clear()
    assert equal(another()(X, Y), first)
    assert TRACES == []
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "args",
    [(X[:3], Y[:3]), (X.astype(np.float32), Y), (X, 1.0), (X[:, None], Y[:, None])],
    ids=["length", "type", "plain number", "rank"],
)
def test_other_arguments_have_a_program_of_their_own(args):
    another()(X, Y)
    TRACES.clear()
    found = another()(*args)
    assert len(TRACES) == 1
    assert equal(found, jax.jit(wave)(*args))
    types = lambda tree: [(leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)]
    assert types(found) == types(jax.jit(wave)(*args))


class Scaled(eqx.Module):
    value: jax.Array
    factor: float = eqx.field(static=True)


def product(scaled):
    return scaled.value * scaled.factor


def test_what_is_fixed_in_the_arguments_is_part_of_the_program():
    for factor in (2.0, 3.0, 2.0):
        found = Kept(product)(Scaled(jnp.asarray(X), factor))
        assert found == pytest.approx(factor * X)


def test_other_sources_and_settings_have_programs_of_their_own(monkeypatch, cache):
    another()(X, Y)
    monkeypatch.setattr(kept, "_sources", lambda: "changed")
    another()(X, Y)
    with jax.numpy_rank_promotion("allow"):
        another()(X, Y)
    assert len(list(cache.iterdir())) == len(TRACES) == 3


def test_a_damaged_program_is_traced_again_and_mended(cache):
    first = another()(X, Y)
    (path,) = cache.iterdir()
    for damaged in (b"", path.read_bytes()[:-1], b"x" + path.read_bytes()[1:]):
        path.write_bytes(damaged)
        TRACES.clear()
        assert equal(another()(X, Y), first)
        assert len(TRACES) == 1
    TRACES.clear()
    another()(X, Y)
    assert TRACES == []


def test_transformed_it_is_the_function_itself(cache):
    function = another()
    total = lambda x: jnp.sum(function(x, Y)["parts"][0])
    assert jax.grad(total)(jnp.asarray(X)) == pytest.approx(np.cos(X))
    rows = np.stack([X, 2 * X])
    assert equal(jax.vmap(function, (0, None))(rows, Y), jax.vmap(wave, (0, None))(rows, Y))
    assert not cache.exists()


def test_where_no_compilation_is_kept_no_program_is(cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_CAN_SERIALISE", False)
        another()(X, Y)
    with jax.disable_jit():
        another()(X, Y)
    jax.config.update("jax_compilation_cache_dir", None)
    another()(X, Y)
    assert not cache.exists()


def test_a_full_disk_costs_time_only(cache):
    cache.write_text("a file where the folder should be")
    assert equal(another()(X, Y), jax.jit(wave)(X, Y))


def test_the_chain_read_from_the_cache_is_the_chain():
    """To the last bit: it is compiled from the same program."""
    setup = set_up(load_catalog(), Question("hgx-h200", "llama-3.1-8b", precision="fp8"))
    shapes, n = [(1, 1, 1, 1), (8, 1, 1, 1)], np.array([1.0, 64.0])
    first = search.sweep(setup, shapes, n)
    split = [Layout(*map(jnp.asarray, map(float, shape))) for shape in shapes]
    deployments, loads = (
        specs.gather([setup.deployment(each) for each in split]),
        specs.gather([*map(setup.load, n)]),
    )
    fresh = Kept(search._evaluate_rows.__wrapped__)
    read = in_chunks(fresh, deployments, loads, specs.spread(setup.money, len(shapes)))
    assert equal(read, first.evaluations)


@pytest.mark.parametrize("n", [1, 4, 5, 16, 17, 50])
def test_rows_in_chunks_are_the_rows(n):
    sizes, seen = (4, 16), set()

    def run(x, tree):
        seen.add(len(x))
        return {"sum": x + tree[0]}

    x = np.arange(n, dtype=float)
    found = in_chunks(run, x, (10 * x,), sizes=sizes)
    assert np.array_equal(found["sum"], 11 * x)
    assert seen == {4 if n <= 4 else 16}


def test_gathering_is_stacking():
    shared = jnp.asarray(2.0)
    trees = [{"same": shared, "own": jnp.asarray([i, i + 1.0])} for i in range(3)]
    assert equal(specs.gather(trees), specs.stack(trees))
    assert equal(specs.spread(trees[1], 3), specs.stack([trees[1]] * 3))
