import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.bench.decoder import (
    Shape,
    decode_steps,
    empty_cache,
    forward,
    parts,
    prefill,
    random_decoder,
    scaled,
    shape_of,
    spec_of,
    step,
)
from clustermodel.bench.decoder.routing import by_blocks, by_experts, by_rows, gated
from clustermodel.bench.decoder.weights import Experts, Gated
from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.physics.transformer import weights

CATALOG = load_catalog()
DENSE = Shape(2, 0, d_model=32, heads=4, kv_heads=2, head_dim=8, ffn_dim=48, vocab=40)
MIXTURE = Shape(1, 2, 32, 4, 1, 8, 48, 40, n_experts=6, top_k=2, expert_dim=16, shared_dim=24, tied=True)
PROMPT, LENGTH = 5, 9
ROUNDING = 2e-5  # float32 sums in another order, over two or three layers


def _tokens(shape, batch=2, length=LENGTH):
    return jnp.asarray(np.random.default_rng(0).integers(0, shape.vocab, (batch, length)), jnp.int32)


def _cache(decoder, batch=2, slots=12, page=0):
    groups = tuple(group.qkv.shape[0] for group in decoder.groups)
    return empty_cache(groups, decoder.shape, (batch, slots), decoder.dtype, page)


@pytest.mark.parametrize(("shape", "page", "group"), [(DENSE, 4, 1), (MIXTURE, 0, None)])
def test_decoding_token_by_token_equals_the_full_forward_pass(shape, page, group):
    decoder, tokens = random_decoder(shape, jnp.float32, group=group), _tokens(shape)
    expected = jax.jit(forward)(decoder, tokens)
    first, cache = prefill(decoder, tokens[:, :PROMPT], _cache(decoder, page=page))
    np.testing.assert_array_equal(first, jnp.argmax(expected[:, PROMPT - 1], axis=-1))
    one = jax.jit(step)
    for i in range(PROMPT, LENGTH):
        logits, cache = one(decoder, tokens[:, i], cache)
        np.testing.assert_allclose(logits, expected[:, i], atol=ROUNDING)


def test_decoded_tokens_are_the_likeliest_and_each_call_takes_the_cache_over():
    decoder, tokens = random_decoder(DENSE, jnp.float32), _tokens(DENSE, length=PROMPT)
    empty = _cache(decoder)
    first, filled = prefill(decoder, tokens, empty)
    found, _ = decode_steps(decoder, first, filled, 3)
    whole = jnp.concatenate([tokens, first[:, None], found.T], axis=1)
    likeliest = jnp.argmax(jax.jit(forward)(decoder, whole), axis=-1)
    np.testing.assert_array_equal(whole[:, PROMPT:], likeliest[:, PROMPT - 1 : -1])
    for given_up in (empty, filled):
        assert all(stack.is_deleted() for stack in (*given_up.keys, *given_up.values))


@pytest.mark.parametrize("group", [None, 1])
def test_a_cache_is_filled_and_continued_in_its_place(group):
    decoder = random_decoder(DENSE, jnp.float32, group=group)
    cache = _cache(decoder, batch=3, slots=52)
    prompt, token = _tokens(DENSE, 3, PROMPT), jnp.zeros(3, jnp.int32)
    stack = re.escape(str(list(cache.keys[0].shape)).replace(" ", ""))
    for program in (decode_steps.lower(decoder, token, cache, 4), prefill.lower(decoder, prompt, cache)):
        compiled = program.compile()
        assert re.search(stack, compiled.as_text())
        assert not re.search(rf"= f32{stack}\S* copy\(", compiled.as_text())
        assert compiled.memory_analysis().alias_size_in_bytes >= cache.bytes


def test_scores_of_too_many_sequences_are_written_one_sequence_at_a_time(monkeypatch):
    heads = jax.random.normal(jax.random.key(2), (3, 6, 8, 16))
    query, key, value = heads, heads[:, :, :2], heads[:, :, 2:4]
    whole = parts.prefill_attention(query, key, value)
    monkeypatch.setattr(parts, "_SCORES", 0)
    np.testing.assert_allclose(parts.prefill_attention(query, key, value), whole, rtol=1e-6)


@pytest.mark.parametrize("way", [by_rows, by_experts, by_blocks])
@pytest.mark.parametrize("rows", [1, 7, 300])  # fewer and more than a block
def test_routing_gives_every_row_to_its_experts_and_drops_none(rows, way):
    keys = jax.random.split(jax.random.key(1), 4)
    width, hidden, n_experts, top_k = 8, 12, 5, 2
    layer = Experts(
        router=jax.random.normal(keys[0], (width, n_experts)),
        experts=Gated(
            jax.random.normal(keys[1], (n_experts, width, 2 * hidden)),
            jax.random.normal(keys[2], (n_experts, hidden, width)),
        ),
    )
    x = jax.random.normal(keys[3], (rows, width))
    best, choice = jax.lax.top_k(x @ layer.router, top_k)
    found = jax.jit(way)(x, layer, choice, jax.nn.softmax(best, axis=-1))
    scores = np.asarray(x @ layer.router)
    for row in range(0, rows, max(rows // 7, 1)):
        chosen = np.argsort(-scores[row])[:top_k]
        share = np.exp(scores[row, chosen]) / np.exp(scores[row, chosen]).sum()
        parts_of_row = [gated(x[row], jax.tree.map(lambda w, e=e: w[e], layer.experts)) for e in chosen]
        expected = sum(s * np.asarray(p) for s, p in zip(share, parts_of_row, strict=True))
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)  # shares are float32


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "qwen3-30b-a3b", "glm-4.5"]
)
def test_shapes_are_those_of_the_catalogue(name):
    spec = CATALOG.entry("models", name).spec
    shape = shape_of(CATALOG.entry("models", name))
    assert shape.parameters == pytest.approx(float(spec.total_params), rel=1e-3)  # biases, norms
    assert shape.cache_elements == float(spec.kv_elems)
    again = spec_of(shape, context=100)
    for kind in ("ffn", "experts", "head", "embedding"):
        assert float(getattr(weights(again), kind)) == float(getattr(weights(spec), kind))


def test_a_decoder_has_the_parameters_that_its_shape_counts():
    for shape in (DENSE, MIXTURE, scaled(shape_of(CATALOG.entry("models", "mixtral-8x7b")), 32)):
        leaves = jax.tree.leaves(jax.eval_shape(lambda shape=shape: random_decoder(shape, jnp.bfloat16)))
        assert sum(leaf.size for leaf in leaves) == shape.parameters


def test_scaling_keeps_the_kind_of_a_model():
    shape = shape_of(CATALOG.entry("models", "qwen3-30b-a3b"))
    small = scaled(shape, 8)
    assert (small.n_experts, small.top_k, small.head_dim) == (shape.n_experts, shape.top_k, shape.head_dim)
    assert small.heads // small.kv_heads == shape.heads // shape.kv_heads
    assert small.parameters < shape.parameters / 8**2
    assert scaled(shape, 1) == shape


@pytest.mark.parametrize(("name", "what"), [("deepseek-v3", "latent"), ("gpt-oss-120b", "sliding")])
def test_a_model_that_this_decoder_is_not_is_refused_in_words(name, what):
    with pytest.raises(ConfigError, match=what):
        shape_of(CATALOG.entry("models", name))


def test_the_last_position_of_a_rotation_depends_on_distance_only():
    x, y = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))
    turned = lambda v, i: parts.rotary(v, parts.rotation(jnp.asarray([[i]]), 8))
    product = lambda i, j: float(jnp.sum(turned(x, i) * turned(y, j)))
    assert product(7, 3) == pytest.approx(product(104, 100), rel=1e-4)  # angles are float32
