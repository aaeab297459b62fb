"""Shapes of a model changed by the user: what follows from them follows, and layers have to add up."""

import json
import tempfile
from pathlib import Path

import pytest

from clustermodel import specs
from clustermodel.catalog import ConfigError, load_catalog, parse_override, read_config
from clustermodel.catalog._counts import COUNTED
from clustermodel.catalog._kinds import KINDS
from clustermodel.chain import Question, cost

CONFIGS = sorted((Path(__file__).parent / "reference" / "huggingface").glob("*.json"))
SHAPES = {
    "vocab_size": "vocab",
    "num_key_value_heads": "kv_heads",
    "intermediate_size": "ffn_dim",
    "moe_intermediate_size": "moe_ffn_dim",
    "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank",
    "sliding_window": "sliding_window",
}
"""Shapes in a config.json that are one field of a model."""
LLAMA = "llama-3.1-70b"
ASKED = {"system": "hgx-h200", "model": LLAMA, "precision": "fp8", "concurrency": 64, "n_accelerators": 1}


def model(name, *overrides):
    return load_catalog(overrides=[f"model/{name}.{each}" for each in overrides]).entry("models", name)


def counted(entry):
    return {name: float(getattr(entry.spec, name)) for name in COUNTED}


def fields(entry):
    return {name: float(getattr(entry.spec, name)) for name in specs.fields(specs.Model)}


def moved(path, changed):
    """Which numbers of the model a changed config.json changes, those that follow apart; none if it is refused."""
    try:
        before, after = fields(read_config(path)), fields(read_config(changed))
    except ConfigError:
        return set()
    return {name for name in before.keys() - COUNTED.keys() if before[name] != after[name]}


def changes():
    """Every configuration with one of its shapes twice as large, where that is one number of the model."""
    with tempfile.TemporaryDirectory() as folder:
        for path in CONFIGS:
            facts, changed = json.loads(path.read_text()), Path(folder) / path.name
            for key, field in SHAPES.items():
                if isinstance(facts.get(key), int):
                    changed.write_text(json.dumps(facts | {key: 2 * facts[key]}))
                    if moved(path, changed) == {field}:
                        yield pytest.param(path, key, field, id=f"{path.stem}-{field}")


@pytest.mark.parametrize(("path", "key", "field"), list(changes()))
def test_what_follows_from_a_changed_shape_is_what_the_changed_config_says(path, key, field, tmp_path):
    facts = json.loads(path.read_text())
    changed = tmp_path / path.name
    changed.write_text(json.dumps(facts | {key: 2 * facts[key]}))
    expected = counted(read_config(changed))
    unit = specs.fields(specs.Model)[field].metadata["unit"]
    assert counted(model(path.stem, f"{field}={2 * facts[key]} {unit}")) == pytest.approx(expected, rel=1e-9)


def test_every_kind_of_shape_was_changed_in_some_model():
    assert {each.values[2] for each in changes()} == set(SHAPES.values())


def test_one_key_head_for_eight_stores_an_eighth_of_the_cache():
    full, one = (cost(load_catalog(overrides=more), Question(**ASKED)) for more in ((), ["model.kv_heads=1"]))
    assert one["memory"]["kv_gb"] * 8 == pytest.approx(
        full["memory"]["kv_gb"], rel=0.05
    )  # batches differ a little
    assert one["memory"]["weights_gb"] < full["memory"]["weights_gb"]
    assert one["usd_per_mtok_total"] < full["usd_per_mtok_total"]


def test_a_total_of_the_users_own_stands_and_the_others_follow():
    usual = counted(model(LLAMA))
    found = counted(model(LLAMA, "kv_heads=4", "total_params=5e10"))
    assert found == usual | {"total_params": 5e10, "kv_elems": usual["kv_elems"] / 2}


def test_a_number_that_is_no_shape_leaves_the_totals_exactly():
    assert counted(model("deepseek-v3", "context=200000 token")) == counted(model("deepseek-v3"))


def test_totals_that_follow_are_said_to():
    found = model(LLAMA, "kv_heads=4").provenance
    assert found["kv_elems"].note == "follows from shapes set by the user"
    assert found["kv_elems"].confidence == "derived"
    assert found["d_model"] == model(LLAMA).provenance["d_model"]


HALF = ["layers=40", "full_attn_layers=40", "dense_ffn_layers=40"]


def test_half_the_layers_are_half_of_all_but_the_vocabulary():
    usual, half = model(LLAMA).spec, model(LLAMA, *HALF).spec
    words = 2 * usual.vocab * usual.d_model
    assert float(half.total_params - words) == pytest.approx(float(usual.total_params - words) / 2)
    assert float(half.kv_elems) == float(usual.kv_elems) / 2


@pytest.mark.parametrize("changed", [HALF[:1], HALF[:2], ["moe_layers=80"], ["sliding_layers=10"]])
def test_kinds_of_layers_that_do_not_add_up_are_refused(changed):
    with pytest.raises(ConfigError, match=r"llama-3.1-70b.toml\n  layers: .* change them together"):
        model(LLAMA, *changed)


def test_layers_of_every_shipped_model_add_up():
    """So a change of anything else is never refused for its layers."""
    catalog = load_catalog(overrides=["model.context=4096 token"])
    assert all(catalog.entry("models", name).spec.context == 4096 for name in catalog.paths("models"))
    assert len(catalog.paths("models")) > 50


def test_a_model_of_ones_own_that_tells_no_kinds_of_layers_may_change_them(tmp_path):
    (tmp_path / "models").mkdir()
    numbers = dict(layers=10, d_model=512, heads=8, kv_heads=8, head_dim=64, v_head_dim=64, vocab=1000)
    rows = numbers | {"context": '"4096 token"', "total_params": 2e7, "kv_elems": '"10240 1/token"'}
    text = [
        f'{k} = {{ value = {v}, source = "clustermodel", confidence = "assumption", low = {v}, high = {v} }}'
        for k, v in rows.items()
    ]
    (tmp_path / "models" / "mine.toml").write_text('name = "mine"\n' + "\n".join(text))
    spec = load_catalog([tmp_path], ["model/mine.layers=5"]).entry("models", "mine").spec
    assert float(spec.kv_elems) == 5120
    layer, words = 4 * 512 * 512, 2 * 1000 * 512
    assert float(spec.total_params) == pytest.approx(2e7 * (5 * layer + words) / (10 * layer + words))


NOTED = [
    (kind.name, field)
    for kind in KINDS.values()
    for field, known in specs.fields(kind.spec).items()
    if known.metadata["noted"]
]


@pytest.mark.parametrize(("kind", "field"), NOTED)
def test_a_fact_that_no_formula_reads_cannot_be_changed(kind, field):
    with pytest.raises(ConfigError, match=f"{field} is noted in the catalogue, no formula reads it"):
        parse_override(f"{kind}.{field}=1")
