"""What adapters, a narrow cache, prefix hits, drafts and chunked prefill do to an answer: direction and limit."""

import dataclasses

import pytest
import worlds

from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.chain import Question, cost
from clustermodel.physics.work import Tokens, adapter_reads

CATALOG = load_catalog()
LLAMA = Question("hgx-h200", "llama-3.1-70b", precision="fp8", concurrency=64, tp=2, pp=1, dp=1)


def answer(catalog=CATALOG, **fields):
    return cost(catalog, dataclasses.replace(LLAMA, **fields))


@pytest.fixture(scope="module")
def plain():
    return answer()


def test_adapters_take_memory_and_reads(plain):
    loaded = answer(adapters=100, adapter_mb=200)
    kept, room = (loaded["memory"][k] - plain["memory"][k] for k in ("weights_gb", "kv_room_gb"))
    assert kept == pytest.approx(100 * 0.2 / 2)  # two tensor-parallel ranks share each adapter
    assert room < 0
    assert plain["tpot_ms"] < answer(adapters=100, adapter_mb=200, adapter_share=0.1)["tpot_ms"]
    assert answer(adapters=100, adapter_mb=200, adapter_share=0.1)["tpot_ms"] < loaded["tpot_ms"]
    assert loaded["usd_per_mtok_total"] > plain["usd_per_mtok_total"]


def test_adapters_that_nobody_uses_only_take_memory(plain):
    idle = answer(adapters=10, adapter_mb=200, adapter_share=0.0)
    assert idle["breakdown"]["step_ms"]["dense"] == pytest.approx(
        plain["breakdown"]["step_ms"]["dense"], rel=1e-3
    )
    assert idle["memory"]["kv_room_gb"] < plain["memory"]["kv_room_gb"]
    assert answer(adapters=0)["tpot_ms"] == pytest.approx(plain["tpot_ms"])


def test_a_step_reads_each_distinct_adapter_once():
    def read(sequences, adapters):
        tokens = Tokens(sequences, 0.0, 1e3, 1e3, adapters=adapters, adapter_bytes=1.0)
        return float(adapter_reads(worlds.deployment(), tokens))

    assert read(1.0, 50.0) == pytest.approx(1.0)
    assert read(1e4, 50.0) == pytest.approx(50.0)
    assert read(64.0, 1.0) == pytest.approx(1.0)
    assert read(64.0, 0.0) == 0.0
    assert read(50.0, 100.0) == pytest.approx(100 * (1 - 0.99**50))


def test_a_cache_of_half_the_bytes_holds_twice_the_sequences_and_reads_faster(plain):
    wide = answer(kv_precision="bf16")
    ratio = plain["memory"]["sequences_that_fit"] / wide["memory"]["sequences_that_fit"]
    assert ratio == pytest.approx(2.0)
    traffic = [a["breakdown"]["step_ms"]["attention"] for a in (plain, wide)]
    assert traffic[0] < traffic[1]
    assert plain["usd_per_mtok_total"] < wide["usd_per_mtok_total"]


def test_prefix_hits_make_answers_cheaper_down_to_their_reload(plain):
    cold, warm, hot = (answer(isl=8192, prefix_hit_rate=hit) for hit in (0.0, 0.5, 0.99))
    assert cold["usd_per_mtok_total"] > warm["usd_per_mtok_total"] > hot["usd_per_mtok_total"]
    assert cold["ttft_ms"] > warm["ttft_ms"] > hot["ttft_ms"]
    assert hot["breakdown"]["step_ms"]["prefill"] < 0.1 * cold["breakdown"]["step_ms"]["prefill"]
    assert hot["breakdown"]["step_ms"]["reload"] > 0


def test_smaller_chunks_take_more_iterations_until_a_prompt_fits_one():
    def at(chunk):
        catalog = load_catalog(overrides=[f"engine.chunk={chunk} token"])
        return answer(catalog, isl=8192, osl=256)

    small, usual, whole, more = (at(chunk) for chunk in (512, 2048, 8192, 16384))
    assert small["ttft_ms"] > usual["ttft_ms"] > whole["ttft_ms"]
    assert small["usd_per_mtok_total"] > whole["usd_per_mtok_total"]
    assert more["tpot_ms"] == pytest.approx(whole["tpot_ms"])
    assert more["ttft_ms"] == pytest.approx(whole["ttft_ms"])


def test_drafts_pay_when_they_are_accepted_and_cost_when_not(plain):
    sure, never = (answer(draft_tokens=1, acceptance=a) for a in (1.0, 0.0))
    assert sure["tpot_ms"] < plain["tpot_ms"] < never["tpot_ms"]
    assert sure["tpot_ms"] > plain["tpot_ms"] / 2  # drafting and verifying are not free


@pytest.mark.parametrize("fields", [{"adapters": 8}, {"adapters": -1}, {"adapter_share": 1.5, "adapters": 0}])
def test_a_wrong_adapter_is_a_sentence(fields):
    with pytest.raises(ConfigError, match="--adapter"):
        answer(**fields)
