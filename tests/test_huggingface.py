"""Models read from config.json: the same as the catalogue's own, and a sentence for whatever is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustermodel import specs
from clustermodel.catalog import ConfigError, check, load_catalog, read_config

CONFIGS = sorted((Path(__file__).parent / "reference" / "huggingface").glob("*.json"))
"""The shape facts of published config.json files, nothing else of them; one per family and kind of cache."""
CATALOG = load_catalog()
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
DEEPSEEK = {
    **LLAMA,
    "model_type": "deepseek_v3",
    "kv_lora_rank": 512,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
    "n_shared_experts": 2,
    "moe_intermediate_size": 1408,
    "first_k_dense_replace": 1,
}


@pytest.fixture
def model(tmp_path):
    """Read a config given as a table, with some fields changed or (None) taken out."""

    def read(facts, **changes):
        path = tmp_path / "mine.json"
        facts = {key: value for key, value in {**facts, **changes}.items() if value is not ...}
        path.write_text(json.dumps(facts), encoding="utf-8")
        return read_config(path)

    return read


def fields(entry):
    return {name: float(getattr(entry.spec, name)) for name in specs.fields(specs.Model)}


# ---- agreement with the catalogue


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shape_and_count_is_that_of_the_catalogue(path):
    found, known = fields(read_config(path)), fields(CATALOG.entry("models", path.stem))
    if not known["dense_ffn_layers"]:  # the width of a layer there is none of
        found.pop("ffn_dim"), known.pop("ffn_dim")
    for name in known.keys() - {"published_params", "published_active_params"}:
        np.testing.assert_allclose(found[name], known[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_formats_of_the_checkpoint_are_those_of_the_catalogue(path):
    found, known = read_config(path).words, CATALOG.entry("models", path.stem).words
    assert (found["native"], found["four_bit"]) == (known["native"], known["four_bit"])


def test_all_five_kinds_of_cache_occur_among_the_references():
    kinds = {"kv_lora_rank", "sliding_layers", "linear_layers", "index_bytes", "replicated_cache"}
    seen = {name for path in CONFIGS for name, value in fields(read_config(path)).items() if value}
    assert kinds <= seen
    assert any("compression" in read_config(path).words.get("shape", {}) for path in CONFIGS)


def test_what_is_read_and_what_is_counted_are_told_apart():
    entry = read_config(CONFIGS[0])
    assert entry.provenance["layers"].confidence == "published"
    assert entry.provenance["total_params"].confidence == "derived"
    assert {number.source for number in entry.provenance.values()} <= CATALOG.sources.keys()


# ---- hand counts


def test_a_dense_model_by_hand(model):
    entry = model(LLAMA)
    attention = 4096 * (32 + 2 * 8) * 128 + 32 * 128 * 4096
    by_hand = 32 * (attention + 3 * 4096 * 14336) + 2 * 128256 * 4096
    np.testing.assert_allclose(float(entry.spec.total_params), by_hand)
    np.testing.assert_allclose(float(entry.spec.kv_elems), 32 * 2 * 8 * 128)


def test_a_latent_attention_model_without_query_compression_by_hand(model):
    entry = model(DEEPSEEK)
    attention = 4096 * 32 * 192 + 4096 * 576 + 512 * 32 * 256 + 32 * 128 * 4096
    moe = 64 * 3 * 4096 * 1408 + 3 * 4096 * 2816 + 4096 * 64
    by_hand = 32 * attention + 3 * 4096 * 14336 + 31 * moe + 2 * 128256 * 4096
    np.testing.assert_allclose(float(entry.spec.total_params), by_hand)
    np.testing.assert_allclose(float(entry.spec.kv_elems), 32 * 576)
    np.testing.assert_allclose(float(entry.spec.head_dim), 192)


# ---- the many ways to say a thing


def test_tying_the_embeddings_takes_one_vocabulary_matrix_off(model):
    tied, untied = model(LLAMA, tie_word_embeddings=True), model(LLAMA)
    np.testing.assert_allclose(float(untied.spec.total_params - tied.spec.total_params), 128256 * 4096)


def test_families_that_tie_by_default_are_tied_when_the_config_is_silent(model):
    assert fields(model(LLAMA, model_type="gemma2", tie_word_embeddings=...))["tied_embeddings"] == 1
    assert fields(model(LLAMA, tie_word_embeddings=...))["tied_embeddings"] == 0


def test_a_nested_language_model_reads_like_a_flat_one(model):
    flat = fields(model(LLAMA))
    assert fields(model({"model_type": "vlm", "text_config": LLAMA})) == flat
    assert fields(model({"thinker_config": {"text_config": LLAMA}, "hidden_size": 7})) == flat


@pytest.mark.parametrize(
    ("changes", "full", "sliding"),
    [
        ({"sliding_window": 4096}, 32, 0),  # a Llama with a window field does not use it
        ({"model_type": "mistral", "sliding_window": 4096}, 0, 32),
        ({"model_type": "mistral", "sliding_window": None}, 32, 0),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, 32, 0),
        (
            {
                "model_type": "qwen2",
                "sliding_window": 4096,
                "use_sliding_window": True,
                "max_window_layers": 20,
            },
            20,
            12,
        ),
        ({"model_type": "gemma2", "sliding_window": 4096}, 16, 16),
        ({"model_type": "gemma3_text", "sliding_window": 1024}, 5, 27),
        ({"sliding_window": 512, "sliding_window_pattern": 4}, 8, 24),
        ({"sliding_window": 512, "layer_types": ["sliding_attention", "full_attention"] * 16}, 16, 16),
        ({"sliding_window": 128, "hybrid_layer_pattern": [0, 1, 1, 1] * 8}, 8, 24),
        ({"attention_chunk_size": 8192}, 8, 24),
    ],
)
def test_windows_are_found_however_a_family_writes_them(model, changes, full, sliding):
    spec = model(LLAMA, **changes).spec
    assert (float(spec.full_attn_layers), float(spec.sliding_layers)) == (full, sliding)
    window = next((v for k, v in changes.items() if k in ("sliding_window", "attention_chunk_size")), None)
    entries = sliding * window * 2 * 8 * 128 if sliding else 0
    np.testing.assert_allclose(float(spec.swa_kv_elems), entries)


@pytest.mark.parametrize(
    ("changes", "moe", "dense"),
    [
        ({}, 31, 1),
        ({"first_k_dense_replace": ...}, 32, 0),
        ({"moe_layer_freq": [0, 0] + [1] * 30}, 30, 2),
        ({"mlp_layer_types": ["dense"] * 3 + ["sparse"] * 29}, 29, 3),
        ({"first_k_dense_replace": ..., "interleave_moe_layer_step": 2}, 16, 16),
        ({"first_k_dense_replace": ..., "mlp_only_layers": [0, 5]}, 30, 2),
        ({"n_routed_experts": None}, 0, 32),
    ],
)
def test_expert_layers_are_found_however_a_family_writes_them(model, changes, moe, dense):
    spec = model(DEEPSEEK, **changes).spec
    assert (float(spec.moe_layers), float(spec.dense_ffn_layers)) == (moe, dense)


@pytest.mark.parametrize(
    ("quantization", "formats"),
    [
        (None, ("bf16", "bf16", "bf16")),
        ({"quant_method": "fp8"}, ("fp8", "fp8", "fp8")),
        ({"quant_method": "mxfp4"}, ("bf16", "bf16", "mxfp4")),
        ({"quant_method": "awq", "bits": 4}, ("int4", "int4", "int4")),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*.self_attn*"]},
            ("bf16", "nvfp4", "nvfp4"),
        ),
        ({"quant_method": "gptq", "bits": 8}, ("int8", "int8", "int8")),
        ({"quant_method": "fbgemm_fp8"}, ("fp8", "fp8", "fp8")),
        ({"quant_method": "bitsandbytes"}, ("bf16", "bf16", "bf16")),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ("int4", "int4", "int4")),
    ],
)
def test_formats_follow_the_quantization_of_the_checkpoint(model, quantization, formats):
    native = model(DEEPSEEK, quantization_config=quantization).words["native"]
    assert tuple(native[kind] for kind in ("attention", "ffn", "experts")) == formats


def test_a_folder_is_named_after_itself_and_a_file_after_its_stem(tmp_path):
    folder = tmp_path / "My Model 7B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    assert read_config(folder).slug == "my-model-7b"
    (tmp_path / "other.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    assert read_config(tmp_path / "other.json").name == "other"


# ---- what is wrong


def test_every_mistake_is_said_at_once(model):
    with pytest.raises(ConfigError) as error:
        model(
            LLAMA,
            num_hidden_layers=None,
            hidden_size="4096",
            vocab_size=True,
            num_key_value_heads=0,
            layer_types="x",
        )
    for sentence in (
        "mine.json",
        "num_hidden_layers (or n_layer, n_layers, num_layers): missing; expected a number",
        "hidden_size: expected a number, got '4096'",
        "vocab_size: expected a number, got True",
        "num_key_value_heads: 0 is below 1",
        "layer_types: expected a list, got 'x'",
    ):
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"layer_types": ["full_attention"] * 31 + ["hyena"]},
            "'hyena' is no kind of layer that can be counted",
        ),
        ({"num_local_experts": 8}, "num_experts_per_tok"),
        ({"num_local_experts": 8, "num_experts_per_tok": 9}, "9 of only 8 experts"),
        ({"kv_lora_rank": 512}, "qk_nope_head_dim: missing"),
        ({"quantization_config": "fp8"}, "quantization_config: expected a table"),
        ({"compress_ratios": ["a"]}, "compress_ratios: expected tokens per cache entry"),
        ({"compress_ratios": [10**400]}, "compress_ratios: expected tokens per cache entry"),
        (
            {"sparse_attention_config": {"sparse_topk_blocks": 1, "sparse_attention_freq": [10**400]}},
            "sparse_attention_freq: expected 0 or 1 for every layer",
        ),
        ({"hidden_size": 1e200, "vocab_size": 1e200}, "too large to be a model"),
        ({"text_config": None, "vocab_size": ...}, "vocab_size: missing"),
        (
            {"layer_types": ["full_attention"] * 16},
            "layer_types: 16 of 32 layers are listed; list every layer",
        ),
        ({"attn_type_list": [1] * 31}, "attn_type_list: 31 of 32 layers are listed"),
        (
            {"linear_attn_config": {"kda_layers": [1, 2, 3], "full_attn_layers": [4]}},
            "linear_attn_config: 3 kda_layers and 1 full_attn_layers of 32 layers; list every layer",
        ),
        (
            {"num_local_experts": 8, "num_experts_per_tok": 2, "mlp_layer_types": ["sparse"] * 8},
            "mlp_layer_types: 8 of 32 layers are listed",
        ),
        ({"num_hidden_layers": 32.5}, "num_hidden_layers: expected a whole number, got 32.5"),
        ({"num_attention_heads": 31.5}, "num_attention_heads: expected a whole number"),
        ({"num_key_value_heads": 64}, "num_key_value_heads: 32 query heads cannot share 64 key-value heads"),
        ({"num_key_value_heads": 12}, "write a divisor of num_attention_heads"),
        (
            {"quantization_config": {"quant_method": "hqq"}},
            "'hqq' is no way to store weights that is known here",
        ),
        ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, "'gptq of 3 bits' is no way to store"),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {}}},
            "take quantization_config out and name the format with --precision",
        ),
    ],
)
def test_a_malformed_field_gets_a_sentence(model, changes, sentence):
    with pytest.raises(ConfigError) as error:
        model(LLAMA, **changes)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected the table"),
        ("[" * 100000, "not valid JSON"),
        ("\ufeff{", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_config_is_the_users_mistake(tmp_path, text, sentence):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=sentence):
        read_config(path)


def test_a_mark_of_the_encoding_before_a_config_is_no_mistake(tmp_path, model):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(LLAMA).encode())
    assert fields(read_config(path)) == fields(model(LLAMA))


def test_a_missing_file_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_config(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"config\.json: no such file"):
        read_config(tmp_path)


def test_the_check_reads_a_config_too(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(LLAMA), encoding="utf-8")
    assert check(path) == []
    path.write_text(json.dumps({**LLAMA, "vocab_size": -1}), encoding="utf-8")
    assert check(path) == ["x.json: vocab_size: -1 is below 1"]


NAMES = sorted(
    {name for path in CONFIGS for name in json.loads(path.read_text(encoding="utf-8"))} | {*DEEPSEEK}
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**400) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
)


@settings(max_examples=150)
@given(changes=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_any_config_is_read_or_refused_with_sentences(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("fuzz") / "x.json"
    path.write_text(json.dumps({**DEEPSEEK, **changes}), encoding="utf-8")
    said = check(path)
    assert said or np.isfinite(float(read_config(path).spec.total_params))
