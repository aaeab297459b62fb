"""The shipped catalogue: sound, sourced, and in agreement with what was published about its entries."""

import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.catalog import CONFIGS, KINDS, PRECISIONS, check, load_catalog, price_quote, quotes
from clustermodel.physics.chassis import it_power

REFERENCE = Path(__file__).parent / "reference"
CATALOG = load_catalog()
HAND_MADE = {"hypothetical", "clustermodel"}
"""Our own sources, without an address."""
NO_ADDRESS = {
    "amd-advancing-ai-2026",
    "crane-contract",
    "india-cost-note",
    "interconnection-times",
    "llm-garage",
    "nvidia-roadmap",
    "stanford-dam",
    "vendor-datasheets",
}
"""Sources that were seen in print or quoted by others; no address is better than a guessed one."""


def reference(name):
    return tomllib.loads((REFERENCE / name).read_text(encoding="utf-8"))


def rows(table, *sections):
    """(section, entry, value, tolerance) of every number in the named sections of a reference file."""
    return [
        (section, slug, value, table[section].get("tolerance", table.get("tolerance", 0.0)))
        for section in sections
        for slug, value in table[section].items()
        if slug != "tolerance"
    ]


# ---- soundness


def test_the_whole_catalogue_is_sound():
    assert check(CONFIGS) == []


def test_every_source_has_a_title_a_date_of_access_and_an_address():
    own = tomllib.loads((CONFIGS / "sources.toml").read_text(encoding="utf-8"))
    assert [key for key, source in own.items() if not source.get("title") or not source.get("accessed")] == []
    assert {key for key, source in own.items() if "url" not in source} <= HAND_MADE | NO_ADDRESS


@pytest.mark.parametrize("folder", KINDS)
def test_every_number_names_a_source_and_every_guess_has_a_range_or_says_so(folder):
    for slug in CATALOG.paths(folder):
        for path, number in CATALOG.entry(folder, slug).provenance.items():
            assert number.source in CATALOG.sources, f"{folder}/{slug}: {path}"
            if number.confidence == "assumption" and number.value is not None:
                assert number.low is not None, f"{folder}/{slug}: {path}"


def test_only_numbers_that_the_core_cannot_do_without_are_marked_unknown():
    allowed = {"tdp", "memory[0].capacity", "memory[0].bandwidth", "count"}
    for folder in ("accelerators", "systems"):
        for slug in CATALOG.paths(folder):
            unknown = {path.removeprefix("accelerator.") for path in CATALOG.entry(folder, slug).unknown}
            assert unknown <= allowed, slug


def test_every_accelerator_with_arithmetic_is_nowhere_faster_in_a_wider_format():
    exceptions = {"b300-sxm", "gb300", "rubin-r200"}  # their 8-bit integer arithmetic was cut down
    for slug in CATALOG.paths("accelerators"):
        part = CATALOG.entry("accelerators", slug).spec
        widening = [part.flops_fp4, part.flops_fp8, part.flops_bf16, part.flops_fp64]
        known = [float(rate) for rate in widening if float(rate) > 0]
        assert known == sorted(known, reverse=True), slug
        if float(part.flops_int8) and float(part.flops_fp16) and slug not in exceptions:
            assert float(part.flops_int8) >= float(part.flops_fp16), slug


def test_sites_lie_in_a_believable_range():
    for slug in CATALOG.paths("sites"):
        site = CATALOG.entry("sites", slug).spec
        assert 0.02 < float(site.electricity) * 3.6e6 < 0.3, slug  # USD/kWh
        assert 1.0 < float(site.pue) < 2.0, slug
        assert 5 < float(site.facility_capex) < 30, slug  # USD/W


def test_formats_of_models_are_formats_the_core_knows():
    for slug in CATALOG.paths("models"):
        words = CATALOG.entry("models", slug).words
        assert {*words["native"].values(), *words["four_bit"].values()} <= set(PRECISIONS), slug


# ---- names that the measurements use


@pytest.mark.parametrize(
    ("folder", "name", "slug"),
    [
        ("systems", "H100-SXM-80GB", "hgx-h100"),
        ("systems", "b200_sxm", "hgx-b200"),
        ("systems", "GB300-NVL72", "gb300-nvl72"),
        ("systems", "Virtualized H200-SXM-141GB", "hgx-h200"),
        ("systems", "MI355X", "mi355x"),
        ("systems", "DGX-Spark-GB10 (273 GB/s)", "dgx-spark"),
        ("systems", "2x Xeon Gold 6454S (8ch DDR5-4800/socket)", "xeon-6454s-2s"),
        ("systems", "prometheus", "prometheus-128tb"),
        ("models", "llama3_1-8b", "llama-3.1-8b"),
        ("models", "Llama-3.3-70B-Instruct", "llama-3.1-70b"),
        ("models", "deepseek-ai/DeepSeek-R1", "deepseek-v3"),
        ("models", "Qwen3-Coder-30B-A3B", "qwen3-30b-a3b"),
        ("models", "Qwen2.5-Coder-7B", "qwen2.5-7b"),
        ("engines", "TensorRT-LLM", "trtllm"),
        ("workloads", "1k1k", "chat-1k"),
        ("sites", "default", "us-average"),
    ],
)
def test_a_name_from_a_measurement_leads_to_its_entry(folder, name, slug):
    assert CATALOG.slug(folder, name) == slug


# ---- hardware against what was published

BALANCE = reference("balance.toml")


@pytest.mark.parametrize(
    ("quantity", "slug", "value", "tolerance"), rows(BALANCE, "gb_per_tb_per_s", "fp8_flop_per_byte")
)
def test_balance_of_an_accelerator(quantity, slug, value, tolerance):
    part = CATALOG.entry("accelerators", slug).spec
    of = {
        "gb_per_tb_per_s": part.hbm_capacity / part.hbm_bandwidth * 1e3,
        "fp8_flop_per_byte": part.flops_fp8 / part.hbm_bandwidth,
    }
    np.testing.assert_allclose(float(of[quantity]), value, rtol=tolerance)


@pytest.mark.parametrize(
    ("quantity", "slug", "value", "tolerance"),
    rows(BALANCE, "usd_per_gb", "usd_per_gb_per_s", "watt_per_tb_per_s"),
)
def test_balance_of_a_system(quantity, slug, value, tolerance):
    system = CATALOG.entry("systems", slug).spec
    capacity = system.count * system.accelerator.hbm_capacity
    bandwidth = system.count * system.accelerator.hbm_bandwidth
    of = {
        "usd_per_gb": system.price / capacity * 1e9,
        "usd_per_gb_per_s": system.price / bandwidth * 1e9,
        "watt_per_tb_per_s": system.max_power / bandwidth * 1e12,
    }
    np.testing.assert_allclose(float(of[quantity]), value, rtol=tolerance)


TOTALS = reference("system_totals.toml")
SECTIONS = ("memory_tb_per_s", "fp8_pflops", "fp4_pflops", "bf16_pflops", "scaleup_tb_per_s")


@pytest.mark.parametrize(("quantity", "slug", "value", "tolerance"), rows(TOTALS, *SECTIONS))
def test_a_system_adds_up_to_what_its_vendor_states(quantity, slug, value, tolerance):
    system = CATALOG.entry("systems", slug).spec
    part = system.accelerator
    of = {
        "memory_tb_per_s": part.hbm_bandwidth / 1e12,
        "fp8_pflops": part.flops_fp8 / 1e15,
        "fp4_pflops": part.flops_fp4 / 1e15,
        "bf16_pflops": part.flops_bf16 / 1e15,
        "scaleup_tb_per_s": part.scaleup_bandwidth / 1e12,
    }
    np.testing.assert_allclose(float(system.count * of[quantity]), value, rtol=tolerance)


@pytest.mark.parametrize(
    ("slug", "board_w", "inlet_w"),
    [
        ("hgx-h100", 140, 380),
        ("hgx-h200", 525, 802),
        ("hgx-h200", 700, 1000),
        ("hgx-b200", 500, 764),
        ("hgx-b200", 1000, 1324),
        ("hgx-b300", 1100, 1452),
        ("mi300x", 750, 988),
        ("mi325x", 1000, 1273),
        ("mi355x", 700, 930),
        ("mi355x", 1400, 1715),
    ],
)
def test_inlet_power_per_accelerator_is_that_of_the_published_evaluations(slug, board_w, inlet_w):
    chassis = CATALOG.entry("systems", slug).spec.chassis
    drawn = it_power(chassis, jnp.asarray(float(board_w)), chassis.accelerators).total
    np.testing.assert_allclose(
        float(drawn), inlet_w, atol=2.0
    )  # printed in W; supplies solved from the points


def test_prometheus_sweeps_its_pool_in_five_seconds_and_holds_what_25_racks_hold():
    prometheus = CATALOG.entry("systems", "prometheus-128tb").spec
    part = prometheus.accelerator
    np.testing.assert_allclose(float(part.hbm_capacity / part.hbm_bandwidth), 5.0)
    rack = CATALOG.entry("systems", "vr200-nvl72").spec
    racks = 4 * prometheus.count * part.hbm_capacity / (rack.count * rack.accelerator.hbm_capacity)
    np.testing.assert_allclose(float(racks), 25, rtol=0.02)  # the vendor's round number


# ---- models against what was published

SHAPES = reference("model_shapes.toml")
NOMINAL_TOTALS = {"mistral-large-4": "1T is part of its name; the count follows class defaults"}
NOMINAL_ACTIVE = {"qwen3-next-80b-a3b": "A3B is part of its name; 3.6e9 are active"}


def models_with(field, exceptions):
    specs = {slug: CATALOG.entry("models", slug).spec for slug in CATALOG.paths("models")}
    return [slug for slug, model in specs.items() if float(getattr(model, field)) and slug not in exceptions]


@pytest.mark.parametrize("slug", models_with("published_params", NOMINAL_TOTALS))
def test_counted_parameters_agree_with_the_published_ones(slug):
    model = CATALOG.entry("models", slug).spec
    total, published = float(model.total_params), float(model.published_params)
    np.testing.assert_allclose(total, published, rtol=0.035)  # vision towers and rounded names


@pytest.mark.parametrize("slug", models_with("published_active_params", NOMINAL_ACTIVE))
def test_counted_active_parameters_agree_with_the_published_ones(slug):
    model = CATALOG.entry("models", slug).spec
    published = float(model.published_active_params)
    width = jnp.where(model.moe_latent_dim > 0, model.moe_latent_dim, model.d_model)
    idle = model.moe_layers * (model.n_experts - model.top_k) * model.ffn_matrices * width * model.moe_ffn_dim
    with_embedding = float(model.total_params - idle)
    without = with_embedding - float(model.vocab * model.d_model * (1 - model.tied_embeddings))
    error = min(abs(with_embedding / published - 1), abs(without / published - 1))
    assert error < 0.12  # authors count the input embedding or not


@pytest.mark.parametrize(("section", "slug", "value", "_"), rows(SHAPES, "kilo_elements_per_token"))
def test_cache_elements_per_token(section, slug, value, _):
    elements = float(CATALOG.entry("models", slug).spec.kv_elems)
    np.testing.assert_allclose(elements / 1e3, value, rtol=0.01)  # two or three digits printed


@pytest.mark.parametrize(("section", "slug", "value", "_"), rows(SHAPES, "bytes_at_128k"))
def test_cache_bytes_of_a_long_sequence(section, slug, value, _):
    model, tokens = CATALOG.entry("models", slug).spec, 131072
    growing = tokens * (model.kv_elems + model.index_bytes)
    np.testing.assert_allclose(
        float(growing + model.swa_kv_elems + 4 * model.linear_state_elems), value, rtol=1e-9
    )


def test_gpt_oss_weighs_what_its_checkpoint_weighs():
    model, published = CATALOG.entry("models", "gpt-oss-120b").spec, SHAPES["gpt_oss_120b_checkpoint"]
    experts = model.moe_layers * model.n_experts * model.ffn_matrices * model.d_model * model.moe_ffn_dim
    stored = experts * 4.25 / 8 + (model.total_params - experts) * 2
    np.testing.assert_allclose(float(stored), published["bytes"], rtol=published["tolerance"])


# ---- prices

NINE = {  # USD/h of 2026-04: hyperscaler, neocloud, three years' rent
    "h100-sxm": (1.30, 1.69, 1.30),
    "h200-sxm": (1.41, 1.74, 1.60),
    "b200-sxm": (1.95, 2.34, 2.90),
    "b300-sxm": (2.34, 2.808, 3.48),
    "gb200": (2.21, 2.75, 3.30),
    "gb300": (2.652, 3.30, 3.96),
    "mi300x": (1.12, 1.40, 1.55),
    "mi325x": (1.28, 1.59, 1.80),
    "mi355x": (1.48, 1.90, 2.10),
}


@pytest.mark.parametrize("slug", NINE)
def test_the_nine_accelerators_of_the_cost_table_have_their_three_prices(slug):
    bases = ("hyperscaler", "neocloud", "rental_3y")
    found = [price_quote(CATALOG, slug, basis, "2026-04").si * 3600 for basis in bases]
    np.testing.assert_allclose(found, NINE[slug])


def test_rents_of_2026_rose_as_the_surveys_say():
    """H100 +54 % and MI325X -11 % from the survey of August 2025 to the last one of 2026."""
    for slug, change in (("h100-sxm", 0.54), ("h200-sxm", 0.81), ("b200-sxm", 0.28), ("mi325x", -0.11)):
        before = price_quote(CATALOG, slug, "rental_3y", "2025-12").si
        after = price_quote(CATALOG, slug, "rental_3y", "2026-12").si
        np.testing.assert_allclose(after / before - 1, change, atol=0.01)


def test_every_quote_has_a_unit_and_a_known_source():
    for quote in quotes(CATALOG):
        assert quote.number.source in CATALOG.sources
        low, high = quote.range_si
        assert low <= quote.si <= high
