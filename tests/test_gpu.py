"""An accelerator computes what a processor computes; without one, what another compilation computes.

The comparison is the same in both cases (`agreement.py`), so it is proven before an accelerator is at hand.
"""

import agreement
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.bench.decoder import Shape, parts, random_decoder
from clustermodel.bench.serve import Serving, Sweep

ROUNDING = 2.0**-8  # relative, of one bfloat16 number
DENSE = Shape(2, 0, d_model=64, heads=8, kv_heads=2, head_dim=16, ffn_dim=96, vocab=80)
MIXTURE = Shape(1, 2, 64, 8, 2, 16, 96, 80, n_experts=4, top_k=2, expert_dim=32)


@pytest.fixture(scope="module")
def elsewhere():
    return agreement.elsewhere()


@pytest.fixture(scope="module")
def here():
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("case", agreement.CASES)
def test_answers_are_those_of_a_processor_that_compiled_them_apart(case, elsewhere, here):
    here[case] = agreement.arrays(agreement.CASES[case].answers())
    assert agreement.apart(case, here[case], elsewhere[case]) <= agreement.CASES[case].tolerance


@pytest.mark.slow
@pytest.mark.parametrize("case", agreement.CASES)
def test_the_two_programs_are_not_one_and_the_same(case, elsewhere, here):
    """Equal to the last bit everywhere would mean that nothing was compared."""
    if case != "sweep":  # a few prices and numbers of points
        assert agreement.apart(case, here[case], elsewhere[case]) > 0


@pytest.mark.slow
def test_a_difference_of_twice_the_tolerance_in_one_number_is_seen(elsewhere):
    for case, (_, tolerance) in agreement.CASES.items():
        for name, values in elsewhere[case].items():
            changed = np.array(values, dtype=float)
            finite = np.isfinite(changed) & (changed != 0)
            largest = np.argmax(np.where(finite, np.abs(changed), 0))
            changed.flat[largest] *= 1 + 2 * tolerance
            other = elsewhere[case] | {name: changed}
            assert agreement.apart(case, elsewhere[case], other) > tolerance, (case, name)


def test_a_number_against_none_is_infinitely_far_apart():
    some, none = np.array([1.0, 2.0]), np.array([1.0, np.nan])
    assert agreement.apart("risk", {"x": some}, {"x": none}) == np.inf
    assert agreement.apart("risk", {"x": none}, {"x": none}) == 0
    assert agreement.apart("risk", {"x": some}, {"x": some[:1]}) == np.inf
    assert agreement.apart("risk", {"x": -np.array([np.inf])}, {"x": np.array([np.inf])}) == np.inf


@pytest.mark.parametrize(("shape", "group"), [(DENSE, 1), (MIXTURE, None)])
def test_decoding_equals_the_full_forward_pass_in_the_numbers_that_are_served(shape, group):
    decoder = random_decoder(shape, jnp.bfloat16, group=group)
    serving = Serving(decoder, Sweep(), None)
    assert serving.disagreement() < shape.layers * 4 * ROUNDING  # a few roundings in every layer


@pytest.mark.gpu
def test_prompts_are_read_by_the_fused_kernel():
    head = jax.ShapeDtypeStruct((1, 256, 8, 128), jnp.bfloat16)
    program = jax.jit(parts.prefill_attention).lower(head, head, head).compile().as_text()
    assert "__cudnn$fmha" in program
