"""One iteration: analytic limits, bounds, monotony, gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from clustermodel.physics import transformer
from clustermodel.physics.deployment import Layout
from clustermodel.physics.step import iteration
from clustermodel.physics.work import Tokens, work


def tokens(decode=1.0, prefill=0.0, context=1e3, prefill_context=512.0):
    return Tokens(decode, prefill, context, prefill_context)


def step_time(deployment, asked):
    return iteration(deployment, asked)[0].total


def test_one_sequence_without_context_costs_reading_the_weights():
    perfect = worlds.deployment(layout=Layout(tp=1.0), coefficients=worlds.perfect())
    read = 70.55e9 - 128256 * 8192 * 2 + 128256 * 8192 * 2  # FP8 weights, one 16-bit vocabulary matrix
    arithmetic = 2 * 70.55e9 / 2e15  # two hundred times less: hidden behind the reading
    time = step_time(perfect, tokens(context=0.0))
    assert float(time) == pytest.approx(read / 4e12, rel=1e-3)
    assert arithmetic < 0.01 * read / 4e12


def test_a_long_context_costs_reading_the_cache():
    perfect = worlds.deployment(layout=Layout(tp=1.0), coefficients=worlds.perfect())
    short, long = (step_time(perfect, tokens(context=c)) for c in (100_000.0, 200_000.0))
    assert float(long - short) == pytest.approx(100_000 * 163840 / 4e12, rel=1e-3)  # arithmetic overlaps


def test_a_large_prefill_costs_its_arithmetic():
    perfect = worlds.deployment(layout=Layout(tp=1.0), coefficients=worlds.perfect())
    time = step_time(perfect, tokens(decode=0.0, prefill=1e6, prefill_context=0.0))
    weights = 70.55e9 - 2 * 128256 * 8192  # no vocabulary matrix before the first output
    assert float(time) == pytest.approx(2 * weights * 1e6 / 2e15, rel=1e-4)


def test_every_expert_is_read_once_many_tokens_are_routed():
    model = worlds.moe_model()
    one, many = (transformer.expert_coverage(model, worlds.scalar(n), worlds.scalar(1.0)) for n in (1.0, 1e4))
    assert float(one) == pytest.approx(8 / 256)
    assert float(many) == pytest.approx(1.0)


def test_weights_by_kind_sum_to_the_total():
    for model in (worlds.dense_model(), worlds.moe_model(), worlds.dense_model(tied_embeddings=1.0)):
        parts = jax.tree.leaves(transformer.weights(model))
        assert float(sum(parts)) == pytest.approx(float(model.total_params))


def test_sparse_attention_stores_everything_and_reads_a_part():
    model = worlds.moe_model(sparse_topk=2048.0, index_bytes=8052.0)
    stored, read = (
        part(model, worlds.scalar(100_000.0), worlds.scalar(1.0), worlds.scalar(4.0)).total
        for part in (transformer.stored_cache, transformer.read_cache)
    )
    assert float(stored) == pytest.approx(100_000 * (35136 + 8052))
    assert float(read) == pytest.approx(2048 * 35136 + 100_000 * 8052)


def test_a_sliding_window_stops_growing_when_it_is_full():
    model = worlds.dense_model(swa_kv_elems=1e6, sliding_window=128.0, kv_elems=0.0)
    fill = lambda context: float(
        transformer.stored_cache(model, worlds.scalar(context), worlds.scalar(2.0), worlds.scalar(4.0)).total
    )
    assert fill(64.0) == pytest.approx(1e6)
    assert fill(128.0) == fill(1e5) == pytest.approx(2e6)


LAYOUTS = st.sampled_from(
    [(1, 1, 1, 1), (8, 1, 1, 1), (1, 1, 8, 8), (2, 1, 4, 1), (4, 2, 1, 1), (1, 8, 1, 1)]
)


@settings(max_examples=60)
@given(
    shape=LAYOUTS,
    decode=st.floats(1, 4096),
    prefill=st.floats(0, 16384),
    context=st.floats(1, 1e6),
    moe=st.booleans(),
)
def test_no_iteration_is_faster_than_its_work_at_peak_rates(shape, decode, prefill, context, moe):
    model = worlds.moe_model() if moe else worlds.dense_model()
    deployment = worlds.deployment(model=model, layout=Layout(*map(float, shape)))
    step, need = iteration(deployment, tokens(decode, prefill, context, context / 2))
    assert float(step.total) >= float(need.total.bound)


@settings(max_examples=30)
@given(decode=st.floats(1, 4096), context=st.floats(1, 1e6), moe=st.booleans())
def test_more_bandwidth_never_hurts(decode, context, moe):
    model = worlds.moe_model() if moe else worlds.dense_model()
    slow, fast = (
        worlds.deployment(model=model, system=worlds.system(bandwidth=rate)) for rate in (4e12, 8e12)
    )
    asked = tokens(decode, 0.0, context)
    assert float(step_time(fast, asked)) <= float(step_time(slow, asked))


def test_doubling_every_rate_halves_the_time_of_a_perfect_engine():
    deployment = worlds.deployment(coefficients=worlds.perfect())
    faster = worlds.deployment(
        coefficients=worlds.perfect(),
        system=worlds.system(bandwidth=8e12, scaleup_bandwidth=800e9),
        formats=worlds.formats(rate=4e15, wide=2e15),
    )
    asked = tokens(decode=256.0, prefill=4096.0)
    assert float(step_time(faster, asked)) == pytest.approx(float(step_time(deployment, asked)) / 2, rel=1e-6)


def test_tensor_parallelism_alone_sends_nothing():
    step, _ = iteration(worlds.deployment(layout=Layout(tp=1.0)), tokens())
    assert float(step.communication.total) == 0.0


def test_cutting_experts_across_ranks_sends_more_than_expert_parallelism():
    whole, cut = (
        iteration(
            worlds.deployment(model=worlds.moe_model(), layout=Layout(1.0, 1.0, 32.0, ep)), tokens(2048.0)
        )
        for ep in (32.0, 1.0)
    )
    assert float(cut[0].communication.all_to_all) > float(whole[0].communication.all_to_all)


@pytest.mark.parametrize("model", [worlds.dense_model, worlds.moe_model])
def test_gradients_match_finite_differences(model):
    def time(scale):
        system = worlds.system(bandwidth=4e12 * scale)
        return step_time(worlds.deployment(model=model(), system=system), tokens(64.0, 512.0)) * 1e3

    check_grads(time, (jnp.asarray(1.0),), order=1, modes=("rev",), rtol=1e-4)


def test_vmap_equals_the_loop_and_jit_equals_eager():
    deployment = worlds.deployment(model=worlds.moe_model())
    time = lambda n: step_time(eqx.tree_at(lambda d: d.layout.tp, deployment, jnp.asarray(8.0)), tokens(n))
    batches = jnp.linspace(1.0, 4096.0, 16_400)  # beyond the rows that jax 0.10.2 gets wrong
    eager = jax.vmap(time)(batches)
    np.testing.assert_allclose(jax.jit(jax.vmap(time))(batches), eager, rtol=1e-12)
    looped = [float(time(n)) for n in batches[:: 16_399 // 3]]
    np.testing.assert_allclose(eager[:: 16_399 // 3], looped, rtol=1e-12)


def test_work_is_what_the_formula_counts_for_a_hand_made_model():
    need = work(worlds.deployment(layout=Layout(tp=2.0)), tokens(decode=10.0, context=1000.0))
    dense = 70.55e9 - 2 * 128256 * 8192
    assert float(need.dense.traffic) == pytest.approx(dense / 2 / 4e12)
    assert float(need.dense.arithmetic) == pytest.approx(2 * 10 * dense / 2 / 2e15)
    assert float(need.attention.traffic) == pytest.approx(10 * 1000 * 163840 / 2 / 4e12)
    assert float(need.attention.arithmetic) == pytest.approx(10 * 1000 * 80 * 64 / 2 * 4 * 128 / 1e15)


def test_heads_of_unequal_sizes_multiply_keys_of_one_and_values_of_the_other():
    assert (
        float(transformer.head_flops(worlds.dense_model(head_dim=192.0, v_head_dim=128.0)))
        == 2 * 192 + 2 * 128
    )
