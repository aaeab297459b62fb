"""What other tools got wrong and this one keeps: one test for each claim; the tools are named beside it."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds

from clustermodel.assembly import candidates, resolve_formats
from clustermodel.calibration.effects import natural
from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.chain import Question, cost, frontier
from clustermodel.chain.setup import set_up
from clustermodel.physics import transformer
from clustermodel.physics.coefficients import Coefficients
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.physics.step import iteration
from clustermodel.physics.work import Tokens, work
from clustermodel.serving.first_token import prefill_alone
from clustermodel.serving.load import Load
from clustermodel.serving.memory import memory_use

CATALOG = load_catalog()
LLAMA = Question("hgx-h100", "llama-3.1-70b", precision="bf16", tp=4, pp=1, dp=1, concurrency=32)


def model(slug):
    return CATALOG.entry("models", slug).spec


def spec(slug):
    return CATALOG.entry("accelerators", slug).spec


@pytest.fixture(scope="module")
def llama():
    """Llama-3.1-70B in BF16 on four H100, the shipped coefficients."""
    setup = set_up(CATALOG, LLAMA)
    return setup.deployment(Layout(*map(worlds.scalar, (4.0, 1.0, 1.0, 1.0))))


def tokens(decode=0.0, prefill=0.0, context=1e3):
    return Tokens(decode, prefill, context, prefill / 2)


@pytest.mark.parametrize("isl", [1024.0, 4096.0, 8192.0])
def test_prefill_never_needs_more_than_the_peak_arithmetic(llama, isl):
    """BLIS (implied utilisation 159 to 405 %), vllm-sr-sim."""
    prefill = prefill_alone(llama, Load(1.0, isl, 16.0))
    flops = 2 * 68e9 * isl / 4  # without the vocabulary matrices
    assert flops / float(prefill.request) < float(llama.accelerator.flops_bf16)
    assert float(prefill.request) >= float(prefill.bound)


def test_room_for_the_cache_is_that_of_all_accelerators_of_a_replica(llama):
    """vllm-sr-sim counted one accelerator of four: 8,039 blocks of 16 tokens and not about 31,800."""
    use = memory_use(llama, Load(1.0, 1024.0, 16.0))
    blocks = 4 * float(use.cache_room) / 327680 / 16
    assert blocks == pytest.approx(31_800, rel=0.15)  # engines keep 85 to 95 % of what is free


def test_seventy_billion_parameters_weigh_141_gb_in_16_bits():
    """BLIS counted two matrices of a gated FFN, 27 % too few."""
    parts = jax.tree.leaves(transformer.weights(model("llama-3.1-70b")))
    assert 2 * float(sum(parts)) == pytest.approx(141.1e9, rel=1e-3)


def test_a_cache_keeps_key_value_heads_and_not_query_heads():
    """LLM-Viewer, LLMCompass."""
    assert 2 * float(model("llama-3.1-70b").kv_elems) == 327_680


def test_a_step_reads_the_cache_once(llama):
    """llm-analysis read it twice."""
    perfect = dataclasses.replace(llama, coefficients=worlds.perfect())
    slope = jax.grad(lambda context: iteration(perfect, tokens(8.0, 0.0, context))[1].attention.traffic)
    once = 8 * 327_680 / 4 / float(llama.accelerator.hbm_bandwidth)
    assert float(slope(jnp.asarray(1e4))) == pytest.approx(
        once, rel=0.05
    )  # less what the memory cannot deliver


def test_no_board_draws_more_than_its_limit():
    """GenZ took per cent for shares: 38.7 kW on a part of 700 W."""
    limit = float(spec("h100-sxm").tdp)
    for n in (1, 64, 512):
        assert cost(CATALOG, dataclasses.replace(LLAMA, concurrency=n))["power_w_per_accelerator"] <= limit


def test_peak_rates_are_dense_ones():
    """GenZ mixed sparse and dense rates."""
    for rate in ("flops_bf16", "flops_fp8"):
        assert float(getattr(spec("h200-sxm"), rate)) == float(getattr(spec("h100-sxm"), rate))
    assert float(spec("h100-sxm").flops_bf16) == pytest.approx(989e12, rel=1e-2)


def test_decoding_one_sequence_draws_a_good_part_of_the_limit_and_more_sequences_draw_more():
    """mlsysim derived power from arithmetic alone: 31 % of the limit."""
    drawn = [
        cost(CATALOG, dataclasses.replace(LLAMA, concurrency=n))["power_w_per_accelerator"]
        for n in (1, 8, 64)
    ]
    assert drawn[0] > 0.4 * float(spec("h100-sxm").tdp)
    assert drawn == sorted(drawn)


def test_a_missing_price_is_an_error_and_not_zero():
    """mlsysim answered $0."""
    free = load_catalog(overrides=["system.price=0 USD"])
    with pytest.raises(ConfigError, match="no price"):
        cost(free, LLAMA)


def test_layouts_that_fill_the_node_are_searched():
    """GenZ stopped short of the last accelerator."""
    found = candidates(CATALOG.entry("systems", "hgx-h100").spec, model("llama-3.1-70b"), None, {})
    assert {(8, 1, 1, 1), (4, 2, 1, 1)} <= set(found)


def test_the_output_head_multiplies_and_adds_for_every_sequence(llama):
    """LLM-Viewer left out the factor 2 and the batch."""
    need = work(llama, tokens(decode=64.0))
    shape = llama.model
    flops = 2 * 64 * float(shape.vocab) * float(shape.d_model) / 4
    assert float(need.head.arithmetic) == pytest.approx(flops / float(llama.formats.wide_rate))


def test_weights_and_cache_have_formats_of_their_own():
    """Erdil's study swapped bytes of weights and activations."""
    system, entry = CATALOG.entry("systems", "hgx-h100"), CATALOG.entry("models", "llama-3.1-70b")
    kinds = itertools.product(("bf16", "fp8"), repeat=2)
    bytes_of = {kind: resolve_formats(system, entry, *kind)[1] for kind in kinds}
    for (weights, cache), formats in bytes_of.items():
        assert float(formats.ffn_bytes) == (2.0 if weights == "bf16" else 1.0)
        assert float(formats.cache_bytes) == (2.0 if cache == "bf16" else 1.0)
        assert float(formats.activation_bytes) == 2.0


def test_few_tokens_read_few_experts_and_many_read_all():
    """mlsysim read all experts always, vllm-sr-sim those of a batch of 8."""
    touched = lambda n: float(
        transformer.expert_coverage(model("deepseek-v3"), worlds.scalar(n), worlds.scalar(1.0))
    )
    assert touched(1.0) == pytest.approx(8 / 256)
    assert touched(64.0) == pytest.approx(1 - (1 - 8 / 256) ** 64)
    assert touched(1e4) == pytest.approx(1.0)


def test_latent_attention_keeps_576_numbers_a_layer_and_token():
    """BLIS charged those of grouped queries, 21 times as many."""
    assert float(model("deepseek-v3").kv_elems) == 61 * 576


def test_no_fitted_efficiency_exceeds_one_whatever_the_effects():
    """BLIS fitted an arithmetic efficiency of 4."""
    shares = [f.name for f in dataclasses.fields(Coefficients) if f.metadata["link"] == "logit"]
    for size in (-30.0, 0.0, 30.0):
        found = natural(np.full(len(dataclasses.fields(Coefficients)), size))
        assert all(0 <= float(getattr(found, name)) <= 1 for name in shares)


def test_reads_of_a_sliding_window_end_at_the_window():
    """GenZ ignored it."""
    shape = worlds.dense_model(
        full_attn_layers=0.0,
        sliding_layers=80.0,
        sliding_window=1024.0,
        swa_kv_elems=163840.0 * 1024,
        kv_elems=0.0,
    )
    read = lambda context: float(
        transformer.read_cache(shape, worlds.scalar(context), worlds.scalar(1.0), worlds.scalar(4.0)).total
    )
    assert read(512.0) == pytest.approx(read(1024.0) / 2)
    assert read(1e5) == pytest.approx(read(1024.0))


def test_the_best_point_is_worth_what_the_answer_says():
    """LLMCompass reported the last design of its search as the best."""
    best = cost(CATALOG, Question("hgx-h100", "llama-3.1-70b", precision="fp8", max_tpot_ms=50))
    again = cost(
        CATALOG,
        Question(
            "hgx-h100", "llama-3.1-70b", precision="fp8", concurrency=best["concurrency"], **best["layout"]
        ),
    )
    assert again["usd_per_mtok_total"] == pytest.approx(best["usd_per_mtok_total"], rel=1e-9)
    speeds = frontier(CATALOG, Question("hgx-h100", "llama-3.1-70b", precision="fp8"), ["hgx-h100"])["points"]
    assert len({point["tpot_ms"] for point in speeds}) == len(speeds)


def test_what_is_called_measured_has_a_source_with_a_date():
    """llm-d-planner labelled simulated rows as benchmarked."""
    measured = [
        number
        for kind in ("accelerators", "systems", "workloads", "engines", "sites")
        for slug in CATALOG.paths(kind)
        for number in CATALOG.entry(kind, slug).provenance.values()
        if number.confidence == "measured"
    ]
    assert measured
    for number in measured:
        source = CATALOG.sources[number.source]
        assert number.date or source.get("published") or source.get("accessed")


def test_a_deployment_is_data_and_is_not_changed_by_being_asked(llama):
    """LLMCompass mutated the design that it was searching over."""
    before = jax.tree.map(np.asarray, llama)
    memory_use(llama, Load(1.0, 1024.0, 16.0))
    assert isinstance(llama, Deployment)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), before, llama))
