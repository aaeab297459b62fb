import dataclasses
import re
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sweep_worker
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustermodel import kept
from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog
from clustermodel.chain import Question, frontier
from clustermodel.chain.search import product
from clustermodel.chain.setup import set_up
from clustermodel.cli.main import app
from clustermodel.sweep import Axes, answer, exhaustive, run, space, sweep, write_table
from clustermodel.sweep.answer import frontier_indices, records
from clustermodel.sweep.reduce import BANDS, Best, Chunk, Nearest, merged, nothing, reduced
from clustermodel.sweep.run import tiling
from clustermodel.sweep.space import Absent

CATALOG = load_catalog()
MAX_TPOT = 0.05
QUESTION = Question("hgx-h200", "llama-3.1-8b", n_accelerators=1)


@pytest.fixture(scope="module")
def points():
    return sweep_worker.small_space()


@pytest.fixture(scope="module")
def best(points):
    return sweep(points, max_tpot=MAX_TPOT, chunk=8)


@pytest.fixture(scope="module")
def everything(points):
    return jax.jit(jax.vmap(points.evaluate))(jnp.arange(points.size))[0]


def test_every_point_has_a_number_and_its_words(points):
    assert points.size == np.prod(points.lengths) == len({str(points.words(i)) for i in range(points.size)})
    for number in (0, 7, points.size - 1):
        place = [int(i) for i in points.position(jnp.asarray(number))]
        np.testing.assert_array_equal(place, np.unravel_index(number, points.lengths))


def test_the_least_price_of_each_system_is_that_of_a_loop_over_all_points(points, best, everything):
    allowed = (np.asarray(everything.point.memory.fits) > 0) & (np.asarray(everything.point.tpot) <= MAX_TPOT)
    price = np.where(allowed, everything.unit.blended, np.inf)
    system = points.group[np.unravel_index(np.arange(points.size), points.lengths)[0]]
    for i in range(len(points.systems)):
        expected = np.where(system == i, price, np.inf)
        cheapest = int(np.argmin(best.price[i]))
        assert float(best.price[i, cheapest]) == pytest.approx(expected.min(), rel=1e-12)
        assert int(best.index[i, cheapest]) == int(expected.argmin())


def test_no_point_is_faster_by_a_band_and_cheaper_than_the_frontier(points, best, everything):
    kept = frontier_indices(best)
    band = np.log(10 / 1e-4) / BANDS
    tpot, price = np.asarray(everything.point.tpot), np.asarray(everything.unit.blended)
    system = points.group[np.unravel_index(np.arange(points.size), points.lengths)[0]]
    fits = np.asarray(everything.point.memory.fits) > 0
    for index in kept:
        others = fits & (system == system[index]) & (tpot < tpot[index] * np.exp(-band))
        assert not np.any(price[others] <= price[index])


def test_a_sweep_finds_what_the_search_finds():
    setup = set_up(CATALOG, QUESTION)
    grid = product(setup, [(1, 1, 1, 1)])
    points = space(CATALOG, QUESTION, ["hgx-h200"], Axes())
    expected = np.where(grid.meets(np.inf, MAX_TPOT), grid.price, np.inf).min()
    assert float(sweep(points, max_tpot=MAX_TPOT, chunk=8).price.min()) == pytest.approx(expected, rel=1e-9)


def test_loads_beyond_what_runs_at_once_are_what_does_unless_they_are_asked_for():
    question = dataclasses.replace(QUESTION, isl=16_384.0)
    grid = product(set_up(CATALOG, question), [(1, 1, 1, 1)])
    tried = lambda points: jax.jit(jax.vmap(lambda i: points.evaluate(i)[1]))(jnp.arange(points.size))
    points = space(CATALOG, dataclasses.replace(question, tp=1, pp=1), ["hgx-h200"], Axes())
    assert set(np.asarray(tried(points))) == set(grid.concurrency)
    assert max(grid.concurrency) < 100
    assert [row["concurrency"] for row in records(points, np.asarray([points.size - 1]))] == [
        max(grid.concurrency)
    ]
    asked = space(
        CATALOG, dataclasses.replace(question, tp=1, pp=1), ["hgx-h200"], Axes(concurrency=(700.0,))
    )
    assert np.asarray(tried(asked)).tolist() == [700.0]


@pytest.mark.parametrize(("hosts", "devices"), [pytest.param(2, 2, marks=pytest.mark.slow), (1, 4)])
def test_several_hosts_and_accelerators_give_the_answer_of_one(best, tmp_path, hosts, devices):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [tmp_path / f"{host}.npz" for host in range(hosts)]
    command = lambda host: [sys.executable, sweep_worker.__file__, host, hosts, port, files[host], devices]
    started = [
        subprocess.Popen(list(map(str, command(host))), stderr=subprocess.PIPE, text=True)
        for host in range(hosts)
    ]
    for host in started:
        _, said = host.communicate(timeout=240)
        assert host.returncode == 0, said[-2000:]
    for file in files:
        with np.load(file) as found:
            np.testing.assert_allclose(found["price"], best.price, rtol=1e-12)
            np.testing.assert_array_equal(found["index"], best.index)


LENGTHS = Axes(isl=(512.0, 4096.0), price_factor=(0.5, 1.0))


@pytest.mark.slow
def test_float32_finds_the_same_prices_to_its_error_and_answers_in_float64():
    """Selection is rounded, at most by what `test_bench_model` bounds for one evaluation; the answer is not."""
    exact, quick = (
        exhaustive(CATALOG, QUESTION, ["hgx-h200"], LENGTHS, dtype=dtype) for dtype in ("float64", "float32")
    )
    assert jnp.zeros(()).dtype == jnp.float64
    cheapest = lambda answer: min(point["usd_per_mtok_total"] for point in answer["points"])
    assert cheapest(quick) == pytest.approx(cheapest(exact), rel=1e-4)
    words = lambda point: (point["isl"], point["concurrency"], point["price_factor"])
    same = {words(point): point for point in exact["points"]}
    both = [(same[words(point)], point) for point in quick["points"] if words(point) in same]
    assert len(both) > 0.9 * len(exact["points"])
    assert all(one == other for one, other in both)


def test_numbers_that_the_chain_is_not_computed_in_are_refused():
    with pytest.raises(ConfigError, match="--dtype 'float16': write float64 or float32"):
        exhaustive(CATALOG, QUESTION, ["hgx-h200"], Axes(), dtype="float16")


def test_all_tiles_are_of_one_program(monkeypatch):
    """What the first step is given is of the types and in the place of what it returns."""
    points = space(CATALOG, QUESTION, ["hgx-h200"], Axes(concurrency=(1.0, 2.0, 3.0)))
    traced = []
    tile = run._tile
    monkeypatch.setattr(kept, "_folder", lambda: None)  # nor is it read from an earlier run
    monkeypatch.setattr(run, "_tile", lambda *args: traced.append(args) or tile(*args))
    run._step.cache_clear()
    sweep(points, chunk=1)
    assert len(traced) == 1


def test_how_a_space_is_cut_does_not_matter(points, best):
    found = sweep(points, max_tpot=MAX_TPOT, chunk=10**6)
    np.testing.assert_allclose(found.price, best.price, rtol=1e-12)
    np.testing.assert_array_equal(found.index, best.index)


@given(st.tuples(*[st.integers(1, 300)] * 3), st.integers(1, 10**5), st.integers(1, 10**4))
def test_tiles_cover_the_space_and_are_no_larger_than_asked(extent, points, pairs):
    cut = tiling(extent, points, pairs)
    assert cut.rows * cut.replicas >= extent[0]
    assert cut.columns * cut.loads >= extent[1]
    assert cut.replicas * cut.loads * extent[2] <= max(points, extent[2])
    assert cut.replicas * cut.loads <= pairs
    assert cut.loads % 8 == 0 or cut.loads <= 128
    assert cut.count <= extent[0] * extent[1]


def test_what_is_absent_is_no_argument_of_the_program(points):
    """A dense model without adapters: nothing of experts or adapters is computed, let alone passed."""
    told = {type(leaf) for leaf in jax.tree.leaves((points.shared, points.load), is_leaf=_is_absent)}
    assert Absent in told
    deployment, _ = points.shared
    assert _is_absent(deployment.model.n_experts)
    assert not _is_absent(deployment.model.layers)
    assert all(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves((points.shared, points.load)))


def _is_absent(node):
    return isinstance(node, Absent)


def test_merging_is_the_same_in_any_order():
    random = np.random.default_rng(0)

    def some(seed):
        price = jnp.asarray(random.integers(1, 4, (2, BANDS)).astype(float))
        nearest = Nearest(*jnp.asarray(random.uniform(size=4)))
        return Best(price, jnp.asarray(random.integers(0, 99, (2, BANDS)) * 3 + seed), nearest)

    a, b, c = (some(seed) for seed in range(3))
    for other in (merged(merged(c, a), b), merged(nothing(2), merged(b, merged(a, c)))):
        expected = merged(merged(a, b), c)
        np.testing.assert_array_equal(other.price, expected.price)
        np.testing.assert_array_equal(other.index, expected.index)
        assert jax.tree.leaves(other.nearest) == jax.tree.leaves(expected.nearest)


def test_of_equal_prices_the_first_point_is_kept():
    index = jnp.asarray([5, 3, 9])
    chunk = Chunk(jnp.zeros(3, int), jnp.full(3, 0.01), jnp.ones(3), index)
    found = reduced(1, chunk, nothing(1).nearest)
    assert sorted(set(np.asarray(found.index).ravel())) == [-1, 3]


def test_what_is_kept_can_be_written_as_columns(points, best, tmp_path):
    rows = records(points, frontier_indices(best))
    write_table(rows, tmp_path / "kept.npz")
    write_table(rows, tmp_path / "kept.csv")
    with np.load(tmp_path / "kept.npz") as columns:
        assert list(columns["system"]) == [row["system"] for row in rows]
        np.testing.assert_allclose(columns["tpot_ms"], [row["tpot_ms"] for row in rows])
    assert len((tmp_path / "kept.csv").read_text().splitlines()) == 1 + len(rows)
    with pytest.raises(ConfigError, match=r"\.npz"):
        write_table(rows, tmp_path / "kept.xlsx")
    assert {path.name for path in tmp_path.iterdir()} == {"kept.npz", "kept.csv"}


def test_wrong_axes_and_impossible_limits_are_said_in_words():
    with pytest.raises(ConfigError, match="at least 1"):
        space(CATALOG, QUESTION, ["hgx-h200"], Axes(isl=(0.0,)))
    with pytest.raises(ConfigError, match="context"):
        space(CATALOG, QUESTION, ["hgx-h200"], Axes(isl=(1e6,)))
    tight = Question("hgx-h200", "llama-3.1-8b", n_accelerators=1, max_tpot_ms=1e-3)
    with pytest.raises(InfeasibleError, match="max-tpot-ms"):
        exhaustive(CATALOG, tight, ["hgx-h200"], Axes(concurrency=(1.0,)))


def test_the_least_latencies_are_those_of_a_loop_over_all_points(points, best, everything):
    fits = np.asarray(everything.point.memory.fits) > 0
    ttft, tpot = (np.asarray(each)[fits] for each in (everything.point.ttft, everything.point.tpot))
    assert float(best.nearest.tpot) == pytest.approx(tpot.min(), rel=1e-12)
    assert float(best.nearest.ttft) == pytest.approx(ttft.min(), rel=1e-12)
    assert float(best.nearest.ttft_within) == pytest.approx(ttft[tpot <= MAX_TPOT].min(), rel=1e-12)
    assert float(best.nearest.tpot_within) == pytest.approx(tpot.min(), rel=1e-12)  # no limit on TTFT


@pytest.mark.parametrize(
    "asked",
    [
        {"max_tpot_ms": 1e-3},
        {"max_ttft_ms": 1e-3},
        {"max_tpot_ms": 1e-3, "max_ttft_ms": 1e4},
        {"max_tpot_ms": 50.0, "max_ttft_ms": 1e-3},
    ],
)
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_the_nearest_feasible_value_that_is_printed_can_be_asked_for(asked, dtype):
    ask = lambda limits: exhaustive(
        CATALOG, dataclasses.replace(QUESTION, **limits), ["hgx-h200"], LENGTHS, dtype=dtype
    )
    with pytest.raises(InfeasibleError, match="the nearest feasible value is") as refused:
        ask(asked)
    said = str(refused.value)
    nearest = float(re.search(r"value is ([\d.e+]+) ms", said).group(1))
    name = min(asked, key=lambda each: asked[each])  # the limit that nobody meets
    assert f"--{name.replace('_', '-')}" in said
    assert ask(asked | {name: nearest})["points"]
    with pytest.raises(InfeasibleError):
        ask(asked | {name: nearest * 0.998})  # four digits were printed


def test_where_neither_limit_can_be_met_both_are_named_with_their_least():
    tight = dataclasses.replace(QUESTION, max_tpot_ms=1e-3, max_ttft_ms=1e-3)
    with pytest.raises(
        InfeasibleError, match=r"ms for --max-tpot-ms and .* ms for --max-ttft-ms; relax both"
    ):
        exhaustive(CATALOG, tight, ["hgx-h200"], LENGTHS)


def test_where_nothing_fits_it_is_memory_that_is_named():
    large = dataclasses.replace(QUESTION, model="deepseek-v3")
    with pytest.raises(InfeasibleError, match="binding limit: capacity"):
        exhaustive(CATALOG, large, ["hgx-h200"], Axes())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prefill_system": "hgx-b200"}, "pools of their own"),
        ({"decode_workers": 2}, "pools of their own"),
        ({"allocation": "disaggregated"}, "pools of their own"),
        ({"allocation": "input_only"}, "--allocation input_only"),
        ({"allocation": "flops_weighted"}, "--allocation flops_weighted"),
    ],
)
def test_pools_and_allocations_that_a_sweep_does_not_know_are_refused(asked, said):
    with pytest.raises(ConfigError, match=said):
        space(CATALOG, dataclasses.replace(QUESTION, **asked), ["hgx-h200"], Axes())


@pytest.mark.parametrize("allocation", ["input_only", "output_only"])
def test_a_frontier_has_no_column_for_the_price_of_one_class_of_tokens(allocation):
    with pytest.raises(ConfigError, match=f"--allocation {allocation}"):
        frontier(CATALOG, dataclasses.replace(QUESTION, allocation=allocation), ["hgx-h200"])


@pytest.mark.parametrize("axis", ["price_factor", "energy_factor"])
def test_a_dated_price_moves_with_no_factor(axis):
    dated = dataclasses.replace(QUESTION, cost_basis="on_demand")
    with pytest.raises(ConfigError, match=f"--{axis.replace('_', '-')}s: a dated price .* is all in"):
        space(CATALOG, dated, ["hgx-h200"], Axes(**{axis: (1.0, 2.0)}))
    assert space(CATALOG, dated, ["hgx-h200"], Axes()).size


@pytest.mark.parametrize("name", ["nodir/k.npz", "k.xlsx"])
def test_a_file_of_points_that_cannot_be_written_is_refused_before_the_sweep(name, tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(answer, "sweep", lambda *args, **kwargs: swept.append(args))
    asked = ["--systems", "hgx-h200", "--model", "llama-3.1-8b", "--n-accelerators", "1"]
    command = ["frontier", "--exhaustive", *asked, "--points", str(tmp_path / name)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 or isinstance(result.exception, ConfigError)
    assert not swept


def test_a_sweep_with_lengths_below_a_token_is_refused():
    for axes in (Axes(isl=(0.5,)), Axes(price_factor=())):
        with pytest.raises(ConfigError, match="one or more"):
            exhaustive(CATALOG, QUESTION, ["hgx-h200"], axes)
