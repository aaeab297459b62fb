"""Placement over memory tiers: against linear programs, in limits, and through the chain on every kind of system."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.optimize import linprog

from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog
from clustermodel.chain import Question, cost
from clustermodel.physics.power import executed_work
from clustermodel.physics.tiers import (
    densest_first,
    most_reads,
    overlapped_time,
    read_rate,
    serial_time,
    swept_time,
)
from clustermodel.physics.work import Tokens
from clustermodel.serving.memory import memory_use
from clustermodel.serving.placement import KINDS, in_tiers, placed, running, stored_bytes, touched_share
from clustermodel.serving.resources import resources
from clustermodel.serving.steady import closed_loop
from clustermodel.specs import MemoryTier, tiers

CATALOG = load_catalog()
TIERS = 4


def a_hierarchy(seed, kinds=5):
    """Kinds that fit, tiers fastest first; now and then a tier without room and a kind without bytes."""
    rng = np.random.default_rng(seed)
    stored = rng.uniform(0, 100, kinds) * (rng.random(kinds) > 0.2)
    density = np.round(rng.uniform(0, 1, kinds), 1)  # ties are likely
    capacity = rng.uniform(0, 1, TIERS) * (rng.random(TIERS) > 0.3) + np.array([1e-3, 0, 0, 0])
    capacity *= stored.sum() * rng.uniform(1.001, 3) / capacity.sum()
    rate = np.sort(rng.uniform(1, 100, TIERS))[::-1].copy()
    return tuple(map(jnp.asarray, (stored, density, capacity, rate)))


SEEDS = range(24)
serial = jax.jit(lambda s, d, c, b: serial_time(jnp.sum(densest_first(s, d, c) * d[:, None], axis=0), b))
overlapped = jax.jit(overlapped_time)
swept = jax.jit(swept_time)


def transport(stored, capacity):
    """Constraints of a division x[kind, tier]: every byte somewhere, no tier overfull."""
    kinds = len(stored)
    everywhere = np.kron(np.eye(kinds), np.ones(TIERS))
    within = np.kron(np.ones(kinds), np.eye(TIERS))
    return everywhere, np.asarray(stored), within, np.asarray(capacity)


def least_serial(stored, density, capacity, rate):
    a_eq, b_eq, a_ub, b_ub = transport(stored, capacity)
    price = np.outer(density, 1 / np.asarray(rate)).ravel()
    return linprog(price, A_ub=a_ub, b_ub=b_ub, A_eq=a_eq, b_eq=b_eq, method="highs").fun


def least_overlapped(stored, density, capacity, rate):
    a_eq, b_eq, a_ub, b_ub = transport(stored, capacity)
    reads = np.kron(np.asarray(density), np.eye(TIERS)) / np.asarray(rate)[:, None]
    rows = np.block([[a_ub, np.zeros((TIERS, 1))], [reads, -np.ones((TIERS, 1))]])
    price = np.append(np.zeros(a_eq.shape[1]), 1.0)
    a_eq = np.hstack([a_eq, np.zeros((len(a_eq), 1))])
    found = linprog(price, rows, np.append(b_ub, np.zeros(TIERS)), a_eq, b_eq, method="highs")
    return found.fun


def test_densest_first_is_the_optimum_of_the_linear_program_when_reads_follow_each_other():
    for seed in SEEDS:
        case = a_hierarchy(seed)
        assert serial(*case) == pytest.approx(least_serial(*case), rel=1e-6)  # HiGHS: feasible to 1e-7


def test_a_placement_holds_every_byte_once_and_overfills_no_tier():
    stored, density, capacity, _ = a_hierarchy(5)
    placed_bytes = densest_first(stored, density, capacity)
    assert placed_bytes.sum(axis=1) == pytest.approx(np.asarray(stored), rel=1e-12, abs=1e-9)
    assert np.all(np.asarray(placed_bytes.sum(axis=0)) <= np.asarray(capacity) * (1 + 1e-12))


def test_the_closed_form_is_the_optimum_of_the_linear_program_when_reads_overlap():
    for seed in SEEDS:
        case = a_hierarchy(seed)
        assert overlapped(*case) == pytest.approx(least_overlapped(*case), rel=1e-6, abs=1e-9)


@given(st.integers(0, 10_000))
def test_overlap_helps_and_never_beats_all_bandwidths_together(seed):
    stored, density, capacity, rate = a_hierarchy(seed)
    apart, beside = (f(stored, density, capacity, rate) for f in (serial, overlapped))
    together = jnp.sum(jnp.where(capacity > 0, rate, 0.0))
    assert jnp.sum(stored * density) / together <= beside * (1 + 1e-12)
    assert beside <= apart * (1 + 1e-12)


@given(st.integers(0, 10_000))
def test_more_room_in_a_near_tier_never_slows_a_step(seed):
    stored, density, capacity, rate = a_hierarchy(seed)
    memory = MemoryTier(capacity=capacity, bandwidth=rate, overlap=jnp.zeros(TIERS))
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (TIERS,)), memory)
    before = swept(stored, density, capacity, memory, jnp.asarray(10.0))
    after = swept(stored, density, capacity.at[0].add(5.0), memory, jnp.asarray(10.0))
    assert after <= before * (1 + 1e-12)


def test_most_reads_is_the_integral_of_the_density_curve():
    stored, density = jnp.asarray([10.0, 20.0, 30.0]), jnp.asarray([0.1, 1.0, 0.5])
    at = lambda room: float(most_reads(stored, density, jnp.asarray(room)))
    assert [at(0.0), at(20.0), at(40.0), at(60.0), at(1e3)] == pytest.approx([0, 20, 30, 36, 36])


def test_latency_is_waited_for_once_a_layer_in_every_far_tier_that_is_read():
    memory = tiers(
        [
            MemoryTier(capacity=10.0, bandwidth=10.0),
            MemoryTier(capacity=90.0, bandwidth=1.0, latency=0.25),
            MemoryTier(capacity=90.0, bandwidth=0.5, latency=7.0),
        ]
    )
    stored, density = jnp.asarray([10.0, 20.0]), jnp.asarray([1.0, 0.5])
    found = swept_time(stored, density, memory.capacity, memory, jnp.asarray(4.0))
    assert found == pytest.approx(10 / 10 + 20 * 0.5 / 1 + 4 * 0.25)


def test_the_time_of_a_sweep_has_exact_gradients_in_densities_and_bandwidths():
    stored, density, capacity, rate = a_hierarchy(3)

    def time(density, rate):
        reads = jnp.sum(densest_first(stored, density, capacity) * density[:, None], axis=0)
        return serial_time(reads, rate) + overlapped_time(stored, density, capacity, rate)

    spread = density + jnp.linspace(0, 0.01, len(density))  # no ties, where the order changes
    check_grads(jax.jit(time), (spread, rate), order=1, modes=("fwd", "rev"), rtol=1e-5)


def test_compiled_batches_of_placements_equal_single_ones():
    n = 16_400
    draws = [a_hierarchy(seed) for seed in range(4)]
    batch = tuple(
        jnp.asarray(np.resize(np.stack([d[j] for d in draws]), (n, len(draws[0][j])))) for j in range(4)
    )
    many = jax.jit(jax.vmap(overlapped_time))(*batch)
    single = [float(overlapped_time(*draw)) for draw in draws[:4]]
    assert np.asarray(many) == pytest.approx(np.resize(single, n), rel=1e-12, abs=1e-12)


def two_tiers(near=100e9, far=1e12, **far_fields):
    """The test accelerator with a directly addressed far tier of a tenth of the bandwidth."""
    memory = tiers(
        [
            MemoryTier(capacity=near, bandwidth=4e12),
            MemoryTier(capacity=far, bandwidth=0.4e12, direct=1.0, **far_fields),
        ]
    )
    system = eqx.tree_at(lambda s: s.accelerator.memory, worlds.system(), memory)
    return worlds.deployment(system=system, layout=worlds.Layout(tp=1.0))


def test_a_model_that_fits_the_nearest_tier_is_served_as_if_there_were_no_other():
    replica, load = two_tiers(), worlds.load()
    alone, free = closed_loop(replica, load), closed_loop(placed(in_tiers(replica), load), load)
    for name in ("ttft", "tpot", "batch", "output_rate"):
        assert float(getattr(alone, name)) == float(getattr(free, name)), name


def test_what_the_nearest_tier_cannot_hold_is_read_at_the_far_tiers_rate():
    load = worlds.load(concurrency=1.0, isl=128.0, osl=128.0)
    replica = placed(in_tiers(two_tiers(near=50e9)), load)
    use = memory_use(replica, load)
    assert use.fits == 1
    assert use.placement.stored[1] == pytest.approx(
        float(use.weights) + float(use.per_sequence) - 43.5e9, rel=1e-9
    )
    expected = use.placement.read[0] / 4e12 + use.placement.read[1] / 0.4e12
    seconds = sum(
        share * stored / getattr(use.placement, kind).rate
        for kind, stored, share in zip(
            KINDS,
            stored_bytes(replica, load, jnp.ones(())),
            touched_share(replica, load, jnp.ones(())),
            strict=True,
        )
        if kind != "embedding"
    )
    assert float(seconds) == pytest.approx(float(expected), rel=1e-4)  # all but the embedding's single row


@pytest.mark.parametrize("near", [50e9, 500e9])
def test_a_board_works_for_the_reads_of_its_nearest_tier_alone(near):
    load = worlds.load(concurrency=1.0, isl=128.0, osl=128.0)
    replica = placed(in_tiers(two_tiers(near=near)), load)
    zero = jnp.zeros(())
    tokens = Tokens(jnp.ones(()), zero, load.context, load.prefill_context)
    traffic = executed_work(replica, tokens, zero).traffic
    read = replica.placement.read
    assert (float(read[1]) > float(read[0]) / 10) == (near < 100e9)
    assert float(traffic) == pytest.approx(
        float(read[0]) / 4e12, rel=1e-4
    )  # all but the embedding's single row


def test_experts_lie_farther_than_what_every_token_reads():
    load = worlds.load(concurrency=1.0)
    replica = placed(in_tiers(two_tiers(far=2e12)), load)
    replica = eqx.tree_at(lambda d: d.model, replica, worlds.moe_model())
    replica = placed(replica, load)
    assert replica.placement.dense.far == 0
    assert replica.placement.experts.far > 0.9


def test_dense_weights_keep_the_near_tier_while_coverage_is_low():
    few, many = (
        touched_share(two_tiers_moe(), worlds.load(), jnp.asarray(n))[KINDS.index("experts")]
        for n in (1.0, 4096.0)
    )
    assert few < 0.05
    assert many > 0.99


def two_tiers_moe():
    return eqx.tree_at(lambda d: d.model, two_tiers(far=2e12), worlds.moe_model())


def test_overlap_and_bandwidth_of_the_far_tier_shorten_a_step_and_the_bound_holds():
    load = worlds.load(concurrency=8.0, isl=128.0, osl=128.0)
    times = []
    for overlap in (0.0, 0.5, 1.0):
        replica = placed(in_tiers(two_tiers(near=50e9, overlap=overlap)), load)
        point = closed_loop(replica, load)
        assert point.tpot >= point.bounds.tpot
        times.append(float(point.tpot))
    assert times[0] > times[1] > times[2]


def test_reads_of_far_tiers_are_owed_to_tier_bandwidth_and_all_resources_sum_to_the_step():
    load = worlds.load(concurrency=4.0, isl=128.0, osl=128.0)
    point = closed_loop(placed(in_tiers(two_tiers(near=50e9)), load), load)
    owed = resources(point)
    parts = {f.name: float(getattr(owed, f.name)) for f in dataclasses.fields(owed)}
    assert sum(parts.values()) == pytest.approx(float(point.time.total))
    assert max(parts, key=parts.get) == "tier_bandwidth"


def test_running_never_exceeds_what_fits_or_what_is_asked():
    replica, load = two_tiers(), worlds.load(concurrency=1e6)
    use = memory_use(replica, load)
    assert running(replica, load, use) <= use.sequences
    assert running(replica, worlds.load(concurrency=3.0), use) == 3


def test_read_rates_are_peaks_times_what_hardware_delivers():
    memory = tiers([MemoryTier(capacity=1.0, bandwidth=8.0, efficiency=0.5)])
    assert read_rate(memory)[0] == 4.0


ANSWERS = (
    "prometheus-8tb prometheus-32tb prometheus-64tb prometheus-128tb prometheus-128tb-low prometheus-128tb-high "
    "gb200-nvl72 gb300-nvl72 gh200 gh200-96gb mi300x mi355x hgx-h20 xeon-6980p-2s epyc-9965-2s hpe-scaleup-32tb "
    "dgx-spark sn40l cs-3 tpu-v7 trn3-ultraserver mi450-helios vr200-nvl72"
).split()
UNPUBLISHED = {
    "prometheus-published": "accelerator.tdp",
    "prometheus-rack": "accelerator.tdp",
    "ai200": "number of accelerators has not been published",
    "positron-atlas": "accelerator.tdp",
    "positron-titan": "flops_bf16",
    "groq3-lpx": "accelerator.tdp",
    "sn50": "accelerator.tdp",
}


@pytest.mark.parametrize("system", ANSWERS)
def test_every_large_memory_system_answers_with_cost_power_and_its_tiers(system):
    answer = cost(CATALOG, Question(system, "llama-3.1-70b", precision="fp8", max_tpot_ms=5e3))
    assert answer["usd_per_mtok_total"] > 0
    assert answer["facility_w_per_accelerator"] > answer["power_w_per_accelerator"] > 0
    assert answer["tpot_ms"] >= answer["bounds"]["tpot_ms"]
    assert answer["memory"]["tiers"]


@pytest.mark.parametrize("system", sorted(UNPUBLISHED))
def test_a_system_without_a_published_number_says_which(system):
    with pytest.raises(ConfigError, match=UNPUBLISHED[system]) as refusal:
        cost(CATALOG, Question(system, "llama-3.1-70b", precision="fp8"))
    assert "--set" in str(refusal.value)


def test_sram_only_systems_hold_small_models_and_say_what_large_ones_would_take():
    answer = cost(CATALOG, Question("groqrack", "llama-3.1-8b", precision="int8", isl=512, osl=128))
    assert answer["n_accelerators"] > 32
    with pytest.raises(InfeasibleError, match="does not fit"):
        cost(CATALOG, Question("groqrack", "llama-3.1-405b", precision="int8"))


def test_a_model_beyond_hbm_runs_from_grace_memory_and_is_limited_by_it():
    answer = cost(
        CATALOG, Question("gh200", "deepseek-v3", precision="fp8", n_accelerators=2, isl=512, osl=128)
    )
    near, far = answer["memory"]["tiers"]
    assert far["running_gb"] > near["running_gb"] * 0.9
    assert near["touched_fraction"] > far["touched_fraction"]
    assert answer["binding_limit"] == "tier_bandwidth"


def test_offloading_by_choice_keeps_more_sequences_than_the_nearest_tier_holds():
    asked = dict(precision="fp8", n_accelerators=1, isl=8192, osl=1024, concurrency=400)
    near = cost(CATALOG, Question("gb200-nvl72", "llama-3.1-70b", **asked))
    every = load_catalog(overrides=["engine.offload=1"])
    far = cost(every, Question("gb200-nvl72", "llama-3.1-70b", **asked))
    assert far["memory"]["sequences_that_fit"] > 1.5 * near["memory"]["sequences_that_fit"]
    assert far["batch"] > near["batch"]
