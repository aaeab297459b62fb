"""The steady state: Little's law, capacity, prefix cache, bounds on a hundred thousand configurations."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from jax.test_util import check_grads

from clustermodel.physics.deployment import Layout
from clustermodel.serving.flops import token_flops
from clustermodel.serving.load import Load
from clustermodel.serving.memory import memory_use
from clustermodel.serving.resources import resources
from clustermodel.serving.steady import closed_loop

N = 100_000
_RATES = {"bandwidth": (0.1e12, 25e12), "flops": (1e13, 2e16), "link": (1e10, 2e12), "capacity": (2e10, 2e13)}


def random_deployment(row):
    """A deployment and a load from 14 numbers in (0, 1): hardware, model, layout and load all differ."""
    span = lambda u, low, high: low * (high / low) ** u
    power_of_two = lambda u, most: 2.0 ** jnp.floor(u * (jnp.log2(most) + 1))
    deployment = worlds.deployment(model=worlds.moe_model())
    experts = jnp.where(row[0] > 0.5, 256.0, 0.0)
    rate = span(row[1], *_RATES["flops"])
    tp, dp = power_of_two(row[2], 8.0), jnp.where(experts > 0, power_of_two(row[3], 64.0), 1.0)
    memory = deployment.accelerator.memory
    replaced = {
        lambda d: d.model.n_experts: experts,
        lambda d: d.model.moe_layers: jnp.where(experts > 0, 58.0, 0.0),
        lambda d: d.model.total_params: jnp.where(experts > 0, 671e9, 12e9),
        lambda d: d.system.accelerator.memory.bandwidth: memory.bandwidth.at[0].set(
            span(row[4], *_RATES["bandwidth"])
        ),
        lambda d: d.system.accelerator.memory.capacity: memory.capacity.at[0].set(
            span(row[5], *_RATES["capacity"])
        ),
        lambda d: d.system.accelerator.scaleup_bandwidth: span(row[6], *_RATES["link"]),
        lambda d: d.formats.attention_rate: rate,
        lambda d: d.formats.ffn_rate: rate,
        lambda d: d.formats.expert_rate: rate,
        lambda d: d.formats.wide_rate: rate / 2,
        lambda d: d.layout: Layout(tp, power_of_two(row[7], 4.0), dp, jnp.where(row[8] > 0.5, tp * dp, 1.0)),
        lambda d: d.system.scaleup_domain: span(row[9], 1.0, 128.0),
    }
    for where, value in replaced.items():
        deployment = eqx.tree_at(where, deployment, value)
    load = Load(
        span(row[10], 1.0, 1e5),
        span(row[11], 1.0, 1e5),
        span(row[12], 1.0, 1e4),
        jnp.where(row[13] > 0.5, row[13] - 0.5, 0.0),
        jnp.where(row[13] > 0.25, 1.0, 0.0),
    )
    return deployment, load


@pytest.fixture(scope="module")
def many():
    draws = np.random.default_rng(7).uniform(size=(N, 14))
    return jax.jit(jax.vmap(lambda row: closed_loop(*random_deployment(row))))(jnp.asarray(draws))


def test_no_prediction_is_below_the_physical_bound_in_100_000_configurations(many):
    slack = 1 + 1e-9  # rounding of the cube norm
    assert bool(jnp.all(many.tpot * slack >= many.bounds.tpot))
    assert bool(jnp.all(many.ttft * slack >= many.bounds.ttft))
    assert bool(jnp.all(many.output_rate <= many.bounds.output_rate * slack))


def test_every_number_of_100_000_configurations_is_finite_and_positive(many):
    for value in (many.ttft, many.tpot, many.batch, many.output_rate, many.time.decode):
        assert bool(jnp.all(jnp.isfinite(value)))
        assert bool(jnp.all(value > 0))
    assert bool(jnp.all(many.time.prefill >= 0))
    assert bool(jnp.all(many.time.reload >= 0))


def test_parts_sum_to_the_replicas_time_and_with_the_prompts_of_others_to_the_time_per_token(many):
    owed = sum(jax.tree.leaves(jax.vmap(resources)(many)))
    np.testing.assert_allclose(owed, jax.vmap(lambda point: point.time.total)(many), rtol=1e-9)
    seen = many.time.decode + many.others * (many.time.prefill + many.time.reload)
    np.testing.assert_allclose(seen, many.tpot, rtol=1e-12)


def test_a_request_alone_waits_for_no_prompt_its_own_least_of_all():
    """Its time per token is that of a decode step at its context, however long the prompt was."""
    for isl, osl in ((30_000.0, 8.0), (16_384.0, 128.0)):
        load = worlds.load(1.0, isl=isl, osl=osl)
        point = closed_loop(worlds.deployment(), load)
        assert float(point.tpot) == pytest.approx(float(point.step.total), rel=1e-6)
        alone = point.request_rate * (point.ttft + osl * point.tpot)
        assert float(alone) == pytest.approx(1.0, rel=1e-3)  # the replica's time is spent once


def test_a_bound_never_falls_with_the_context():
    contexts = (1024.0, 8192.0, 65_536.0)
    bounds = [
        float(closed_loop(worlds.deployment(), worlds.load(1.0, isl=isl, osl=8.0)).bounds.tpot)
        for isl in contexts
    ]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("model", [worlds.dense_model, worlds.moe_model])
def test_one_sequence_is_read_whole_stage_after_stage_whatever_the_stages_and_the_ranks(model):
    """A part of the batch has at least one sequence: more stages than sequences make no token faster."""
    load = worlds.load(1.0, isl=65_536.0, osl=1024.0)
    of = lambda pp, dp: eqx.tree_at(
        lambda d: d.layout, worlds.deployment(model=model()), Layout(*map(jnp.asarray, (1.0, pp, dp, 1.0)))
    )
    times = [closed_loop(of(pp, 1.0), load) for pp in (1.0, 2.0, 4.0, 8.0)]
    bounds = [float(point.bounds.tpot) for point in times]
    np.testing.assert_allclose(bounds, bounds[0], rtol=1e-3)
    assert all(float(a.tpot) <= float(b.tpot) for a, b in itertools.pairwise(times))
    ranks = [closed_loop(of(1.0, dp), load).step.attention.total for dp in (1.0, 8.0)]
    assert float(ranks[0]) == pytest.approx(float(ranks[1]), rel=1e-3)


def test_utilisation_of_arithmetic_and_bandwidth_is_at_most_one(many):
    used = jax.vmap(lambda point: point.utilisation)(many)
    assert float(jnp.max(used.traffic)) <= 1
    assert float(jnp.quantile(used.arithmetic, 0.999)) <= 1


def test_littles_law_holds():
    point = closed_loop(worlds.deployment(), worlds.load(64.0))
    in_flight = point.request_rate * (point.ttft + 1024 * point.tpot)
    assert float(in_flight) == pytest.approx(64.0)


def test_more_concurrency_never_lowers_throughput_and_never_speeds_up_a_user():
    points = [closed_loop(worlds.deployment(), worlds.load(float(n))) for n in (1, 4, 16, 64, 256)]
    rates, times = [float(p.output_rate) for p in points], [float(p.tpot) for p in points]
    assert rates == sorted(rates)
    assert times == sorted(times)


def test_memory_holds_what_its_bytes_allow():
    use = memory_use(worlds.deployment(layout=Layout(tp=4.0)), worlds.load(isl=1000.0, osl=1000.0))
    vocabulary = 2 * 128256 * 8192
    weights = (70.55e9 - vocabulary + 2 * vocabulary) / 4
    room = 0.9 * (0.97 * 100e9 - weights - 5e9)
    assert float(use.weights) == pytest.approx(weights)
    assert float(use.sequences) == pytest.approx(room / (1550 * 163840 / 4))


def test_a_replicated_cache_gains_from_data_parallel_attention_and_not_from_tensor_parallelism():
    room = lambda layout: float(
        memory_use(
            worlds.deployment(model=worlds.moe_model(), layout=layout, system=worlds.system(capacity=1e12)),
            worlds.load(),
        ).sequences
    )
    assert room(Layout(8.0, 1.0, 1.0, 8.0)) < room(Layout(1.0, 1.0, 8.0, 8.0)) / 5


def test_beyond_memory_requests_queue_and_throughput_stops_growing():
    crowded = worlds.deployment(layout=Layout(tp=1.0), system=worlds.system(capacity=90e9))
    few, many = (closed_loop(crowded, worlds.load(n)) for n in (8.0, 800.0))
    room = float(few.memory.sequences)
    assert room < 100
    assert float(many.batch) <= room
    assert float(many.ttft) > 50 * float(few.ttft)


def test_a_prefix_hit_saves_prefill_and_costs_its_reload():
    cold, warm = (
        closed_loop(worlds.deployment(), worlds.load(isl=8192.0, prefix_hit_rate=h)) for h in (0.0, 0.75)
    )
    assert float(warm.ttft) < float(cold.ttft)
    assert float(warm.time.prefill) < 0.5 * float(cold.time.prefill)
    assert float(cold.time.reload) == 0.0
    assert float(warm.time.reload) > 0.0


def test_the_time_of_a_cached_token_has_a_limit_where_nothing_is_cached():
    at = lambda hit: closed_loop(worlds.deployment(), worlds.load(isl=8192.0, prefix_hit_rate=hit)).token_time
    assert float(at(0.0).reload) > 0
    assert float(at(0.0).reload) == pytest.approx(float(at(1e-6).reload), rel=0.2)  # mixing scales attention
    assert float(at(0.0).reload) < float(at(0.0).prefill)


def test_token_times_and_rates_fill_the_replicas_time():
    point = closed_loop(worlds.deployment(), worlds.load(isl=8192.0, prefix_hit_rate=0.5))
    per_output = 8192 / 1024
    spent = (
        point.token_time.decode
        + point.token_time.prefill * per_output * 0.5
        + point.token_time.reload * per_output * 0.5
    )
    assert float(spent * point.batch) == pytest.approx(float(point.time.total))


def test_flops_per_token_are_twice_the_active_parameters_for_short_sequences():
    flops = token_flops(worlds.moe_model(), worlds.load(isl=1.0, osl=1.0))
    active = 671e9 - 58 * 3 * 7168 * 2048 * (256 - 8) - 2 * 129280 * 7168
    assert float(flops.prefill) == pytest.approx(2 * active, rel=1e-3)


@pytest.mark.parametrize("model", [worlds.dense_model, worlds.moe_model])
def test_gradients_match_finite_differences(model):
    def tpot(scale):
        deployment = worlds.deployment(
            model=model(), system=worlds.system(bandwidth=4e12 * scale, capacity=1e12)
        )
        return closed_loop(deployment, worlds.load()).tpot * 1e3

    check_grads(tpot, (jnp.asarray(1.0),), order=1, modes=("rev",), rtol=1e-4)


def test_vmap_equals_the_loop_and_jit_equals_eager_beyond_16_400_rows():
    draws = jnp.asarray(np.random.default_rng(3).uniform(size=(16_400, 14)))
    tpot = lambda row: closed_loop(*random_deployment(row)).tpot
    eager = jax.vmap(tpot)(draws)
    np.testing.assert_allclose(jax.jit(jax.vmap(tpot))(draws), eager, rtol=1e-10)
    np.testing.assert_allclose(eager[-1], tpot(draws[-1]), rtol=1e-10)
