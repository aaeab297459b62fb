"""Programs compiled for an accelerator that is not at hand: how their text is read, and what was found in it."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "compiled-nvidia-h200.json"

# A loop of three rounds over layers; each round slices a matrix out of a stack, multiplies, and writes a row in place.
TEXT = """HloModule jit_steps, is_scheduled=true

%sliced (p: f32[3,4,8], i: s32[]) -> f32[1,4,8] {
  %p = f32[3,4,8]{2,1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  %below = pred[] compare(%i, %zero), direction=LT
  ROOT %one = f32[1,4,8]{2,1,0} dynamic-slice(%p, %i, %zero, %zero), dynamic_slice_sizes={1,4,8}
}

%written (p: bf16[3,8], x: bf16[1,8], i: s32[]) -> bf16[3,8] {
  %p = bf16[3,8]{1,0} parameter(0)
  %x = bf16[1,8]{1,0} parameter(1)
  %i = s32[] parameter(2)
  ROOT %all = bf16[3,8]{1,0} dynamic-update-slice(%p, %x, %i, %i)
}

%product (x: f32[1,4,8], y: f32[4]) -> bf16[1,8] {
  %x = f32[1,4,8]{2,1,0} parameter(0)
  %y = f32[4]{0} parameter(1)
  %all = f32[1,8]{1,0} dot(%x, %y), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %short = bf16[1,8]{1,0} convert(%all)
}

%body (t: (s32[], f32[3,4,8], bf16[3,8])) -> (s32[], f32[3,4,8], bf16[3,8]) {
  %t = (s32[], f32[3,4,8]{2,1,0}, bf16[3,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %a = f32[1,4,8]{2,1,0} fusion(%t, %i), kind=kLoop, calls=%sliced
  %b = bf16[1,8]{1,0} fusion(%a, %t), kind=kCustom, calls=%product
  %c = bf16[3,8]{1,0} fusion(%t, %b, %i), kind=kLoop, calls=%written
  ROOT %out = (s32[], f32[3,4,8]{2,1,0}, bf16[3,8]{1,0}) tuple(%i, %t, %c)
}

%condition (t: (s32[], f32[3,4,8], bf16[3,8])) -> pred[] {
  %t = (s32[], f32[3,4,8]{2,1,0}, bf16[3,8]{1,0}) parameter(0)
  ROOT %more = pred[] custom-call(%t), custom_call_target="more"
}

ENTRY %main (w: f32[3,4,8], h: bf16[3,8]) -> bf16[3,8] {
  %w = f32[3,4,8]{2,1,0} parameter(0)
  %h = bf16[3,8]{1,0} parameter(1)
  %start = s32[] copy(%h)
  %all = (s32[], f32[3,4,8]{2,1,0}, /*index=2*/bf16[3,8]{1,0}) while(%start), condition=%condition, body=%body, TRIPS
  ROOT %last = bf16[3,8]{1,0} get-tuple-element(%all), index=2
}
"""
THREE = 'backend_config={"known_trip_count":{"n":"3"}}'


@pytest.fixture
def kernels(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "elsewhere"))
    return importlib.import_module("kernels")


def test_a_loop_counts_as_often_as_it_runs_and_only_copies_count_as_moved(kernels):
    """One copy before it; in each round three kernels and the condition; 128 bytes sliced out, a scalar copied."""
    found = kernels.work(TEXT.replace("TRIPS", THREE))
    assert found == kernels.Work(launches=1 + 3 * 4, moved=4 + 3 * 128, unknown_loops=0)


def test_a_loop_that_stops_by_itself_counts_once_and_is_named(kernels):
    found = kernels.work(TEXT.replace("TRIPS", ""))
    assert found == kernels.Work(launches=1 + 4, moved=4 + 128, unknown_loops=1)


def test_types_are_those_that_products_multiply_in_fusions_and_in_the_library(kernels):
    assert kernels.multiplied(TEXT) == ["f32"]
    library = TEXT.replace(
        "dot(%x, %y), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
        'custom-call(%i, %j, %x), custom_call_target="__cublas$lt$matmul$f8"',
    ).replace(
        "  %y = f32[4]", "  %i = f8e4m3fn[4]{0} parameter(2)\n  %j = bf16[4]{0} parameter(3)\n  %y = f32[4]"
    )
    assert kernels.multiplied(library) == ["bf16", "f8e4m3fn"]
    assert kernels.multiplied(TEXT.replace(" dot(", " add(")) == []


def test_the_worst_kernel_is_told(kernels):
    said = (
        "ptxas info    : 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 255 registers, used 0 barriers\n"
        "    864 bytes stack frame, 1156 bytes spill stores, 1304 bytes spill loads\n"
        "ptxas info    : Used 40 registers, used 1 barriers\n"
    )
    assert kernels.registers(said) == (255, 1156)
    assert kernels.registers("") == (0, 0)


@pytest.fixture(scope="module")
def programs():
    return {row["name"]: row for row in json.loads(RESULTS.read_text())["programs"]}


def test_one_body_for_all_layers_copies_the_weights_and_a_body_a_layer_does_not(programs):
    """Why `bench serve` measures which is faster, and why it will not be the shared one on this accelerator."""
    shared, apart = (
        programs[f"decode: llama-3.1-8b, {how}, 1 sequences"] for how in ("one body", "a body a layer")
    )
    layers_gb = shared["weights_gb"] - 2 * 2 * 128_256 * 4096 / 1e9  # without both vocabularies, in 2 bytes
    assert shared["moved_gb"] / shared["steps"] == pytest.approx(layers_gb + shared["cache_gb"], rel=0.05)
    assert apart["moved_gb"] / apart["steps"] < 1e-3 * layers_gb


def test_chosen_experts_are_read_where_they_lie(programs):
    row = programs["decode: mixtral-8x7b, a body a layer, 1 sequences"]
    assert row["moved_gb"] / row["steps"] < 1e-3 * row["weights_gb"]


def test_eight_bits_are_multiplied_as_such_in_one_of_the_ways_that_are_timed(programs):
    """By themselves, the compiler's own kernels would make fp8 look no faster than fp16."""
    for name, kind in (("fp8", "f8e4m3fn"), ("int8", "s8")):
        row = programs[f"device: {name}, 4096 rows, by the library"]
        assert row["multiplied"] == [kind]
        assert (row["launches"], row["moved_gb"]) == (1, 0)  # no matrix is turned over first
    assert programs["device: fp8, 4096 rows"]["multiplied"] == ["f16"]


def test_a_configuration_of_the_chain_is_one_kernel_and_needs_no_memory(programs):
    for kind in ("dense", "moe"):
        for dtype in ("float64", "float32"):
            row = programs[f"chain: {kind} {dtype}"]
            assert row["launches"] <= 3
            assert row["working_memory_gb"] < 1e-3
            assert dtype == "float64" or row["most_spilled_bytes"] == 0


def test_working_memory_of_every_program_is_far_below_the_accelerators(programs):
    assert all(row["working_memory_gb"] < 0.1 * 141 for row in programs.values())
