import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustermodel import specs
from clustermodel.catalog import (
    CONFIGS,
    KINDS,
    Catalog,
    ConfigError,
    Written,
    catalog_rows,
    check,
    entry_rows,
    load,
    load_catalog,
    parse_override,
    price_quote,
    quotes,
    required,
)

ACCELERATOR = """
name = "Test part"
aliases = ["TP-1", "tp one"]
tdp = { value = "700 W", source = "mine", confidence = "published" }
flops_fp8 = { value = "2 PFLOP/s", source = "mine", confidence = "estimate", low = "1.8 PFLOP/s", high = "2.1 PFLOP/s" }
[[memory]]
kind = "HBM"
capacity = { value = "100 GB", source = "mine", confidence = "published" }
bandwidth = { value = "4 TB/s", source = "mine", confidence = "published" }
"""
SYSTEM = """
name = "Test server"
accelerator = "part"
count = { value = 8, source = "mine", confidence = "published" }
[[memory]]
kind = "DRAM"
capacity = { value = "2 TB", source = "mine", confidence = "published" }
bandwidth = { value = "512 GB/s", source = "mine", confidence = "derived" }
"""
SOURCES = '[mine]\ntitle = "Test bench"\n'


@pytest.fixture
def folder(tmp_path):
    """A user's configs folder with one part and one server."""
    write(tmp_path, "accelerators/part.toml", ACCELERATOR)
    write(tmp_path, "systems/server.toml", SYSTEM)
    write(tmp_path, "sources.toml", SOURCES)
    return tmp_path


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def problems_of(root, name):
    with pytest.raises(ConfigError) as error:
        load_catalog([root]).find(name)
    return str(error.value)


def sentence_of(call, *args):
    """What a call is refused with; empty if it answers."""
    try:
        call(*args)
    except ConfigError as error:
        return str(error)
    return ""


# ---- reading


def test_numbers_are_read_in_si_and_keep_what_was_written(folder):
    entry = load_catalog([folder]).entry("accelerators", "part")
    np.testing.assert_allclose(float(entry.spec.flops_fp8), 2e15)
    np.testing.assert_allclose(entry.spec.memory.capacity[:2], [100e9, 0])
    written = entry.provenance["flops_fp8"]
    assert (written.value, written.source, written.confidence) == ("2 PFLOP/s", "mine", "estimate")
    np.testing.assert_allclose(written.range_si("FLOP/s"), [1.8e15, 2.1e15])


def test_every_mistake_of_a_file_is_said_at_once_with_its_field_and_a_hint(tmp_path):
    text = """
name = "Bad"
tpd = { value = "700 W", source = "mine", confidence = "published" }
flops_fp8 = { value = "2 PFLOPS", source = "mine", confidence = "published" }
flops_bf16 = { value = "1 PFLOP/s", source = "mien", confidence = "publishd" }
price = { value = "30 kUSD", source = "mine", confidence = "assumption" }
sram = { value = "50 W", source = "mine", confidence = "published" }
idle_power = { value = "-1 W", source = "mine", confidence = "estimate", low = "2 W" }
year = "2024"
[[memory]]
capacity = { value = "100 GB", source = "mine" }
bandwith = 4
"""
    write(tmp_path, "accelerators/bad.toml", text)
    write(tmp_path, "sources.toml", SOURCES)
    said = problems_of(tmp_path, "accelerators/bad")
    for sentence in (
        "bad.toml",
        "tpd: not a field of Accelerator; did you mean tdp?",
        "tdp: missing; expected a quantity in 'W'",
        "flops_fp8: unknown unit 'PFLOPS'",
        "flops_bf16: confidence 'publishd' is none of published, measured",
        "flops_bf16: source 'mien' is not in sources.toml; did you mean mine?",
        "price: an assumption needs low and high",
        "sram: expected a quantity in 'B', got '50 W'",
        "idle_power: value '-1 W' is below 0",
        "idle_power: low <= value <= high does not hold",
        "year: expected a year, got '2024'",
        "memory[0].capacity: confidence missing",
        "memory[0].bandwidth: missing",
        "memory[0].bandwith: not a field of MemoryTier; did you mean bandwidth?",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            'native = { attention = "bf16", ffn = "bf16", experts = "fp5" }',
            "native: experts 'fp5' is none of bf16",
        ),
        ('native = { attention = "bf16", ffn = "bf16" }', "native: experts missing; write one of"),
        ('four_bit = "fp4"', "four_bit: expected { attention, ffn, experts }, got 'fp4'"),
        (
            "shape = { recurrent = { kind = 'mamba3' } }",
            "shape.recurrent: kind 'mamba3' is none of gated-delta",
        ),
        ("shape = { gate = true }", "shape.gate: not a fact of a shape; did you mean gated?"),
        ("aliases = 'one'", "aliases: expected a list"),
    ],
)
def test_words_of_a_model_are_checked_like_numbers(tmp_path, words, sentence):
    write(tmp_path, "models/mine.toml", f'name = "Mine"\n{words}\n')
    assert sentence in problems_of(tmp_path, "models/mine")


def test_a_broken_file_is_named_and_spoils_no_other(folder):
    write(folder, "accelerators/broken.toml", "name = [1,")
    catalog = load_catalog([folder])
    assert catalog.entry("accelerators", "TP-1").slug == "part"
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML"):
        catalog.entry("accelerators", "broken")


# ---- names


@pytest.mark.parametrize("name", ["part", "Test part", "TP-1", "tp-1", "TP ONE"])
def test_slug_display_name_and_alias_all_lead_to_the_entry(folder, name):
    assert load_catalog([folder]).slug("accelerators", name) == "part"


def test_aliases_over_several_lines_are_found(folder):
    write(folder, "accelerators/long.toml", 'name = "Long"\naliases = [\n  "far away",\n]\n')
    assert load_catalog([folder]).slug("accelerators", "far away") == "long"


def test_an_unknown_name_is_answered_with_the_nearest_and_the_command_that_lists_all():
    with pytest.raises(ConfigError, match=r"no system named 'hgx-h20O'; did you mean hgx-h20"):
        load_catalog().entry("systems", "hgx-h20O")


def test_the_users_entry_comes_before_the_shipped_one(tmp_path):
    write(tmp_path, "accelerators/h200-sxm.toml", ACCELERATOR)
    write(tmp_path, "sources.toml", SOURCES)
    system = load_catalog([tmp_path]).entry("systems", "hgx-h200")
    np.testing.assert_allclose(float(system.spec.accelerator.hbm_capacity), 100e9)


def test_a_bare_name_is_found_in_any_kind_and_an_ambiguous_one_asks_back():
    assert load("systems/hgx-h200").slug == load("hgx-h200").slug == "hgx-h200"
    assert load("deepseek-r1").slug == "deepseek-v3"
    with pytest.raises(ConfigError, match=r"write accelerators/gb200 or systems/gb200-nvl72"):
        load("gb200")
    with pytest.raises(ConfigError, match=r"nothing in the catalogue is named 'hgx-h2000'; did you mean"):
        load("hgx-h2000")
    with pytest.raises(ConfigError, match=r"no kind of entry named 'sistems'; did you mean systems"):
        load("sistems/hgx-h200")


def test_a_missing_configs_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        load_catalog([tmp_path / "nowhere"])


# ---- systems


def test_a_systems_own_memory_is_shared_out_behind_that_of_its_accelerators(folder):
    system = load_catalog([folder]).entry("systems", "server")
    memory = system.spec.accelerator.memory
    np.testing.assert_allclose(memory.capacity, [100e9, 2e12 / 8, 0, 0])
    np.testing.assert_allclose(memory.bandwidth[:2], [4e12, 512e9 / 8])
    assert system.words["tiers"] == ("HBM", "DRAM")
    assert {"count", "memory[0].capacity", "accelerator.memory[0].capacity"} <= system.provenance.keys()


def test_a_pool_without_memory_of_the_accelerators_own_becomes_their_nearest_tier():
    prometheus = load("systems/prometheus-128tb")
    np.testing.assert_allclose(float(prometheus.spec.accelerator.hbm_capacity) * 12, 128e12)
    np.testing.assert_allclose(float(prometheus.spec.accelerator.hbm_bandwidth) * 12, 25.6e12)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('name = "S"\naccelerator = "prat"', "accelerator: no accelerator named 'prat'; did you mean part?"),
        ('name = "S"', "accelerator: missing; write the slug"),
        ('name = "S"\naccelerator = "none"', "memory: missing; neither the system nor its accelerator"),
    ],
)
def test_a_system_that_cannot_be_put_together_says_why(folder, text, sentence):
    write(folder, "accelerators/none.toml", ACCELERATOR.split("[[memory]]")[0] + "memory = []\n")
    count = '\ncount = { value = 8, source = "mine", confidence = "published" }'
    write(folder, "systems/odd.toml", text + count)
    assert sentence in problems_of(folder, "systems/odd")


def test_systems_of_unlike_hierarchies_stack_and_vectorise():
    names = ("hgx-h200", "gb200-nvl72", "prometheus-128tb", "cs-3")
    systems = specs.stack([load(f"systems/{name}").spec for name in names])
    total = jax.vmap(lambda s: s.accelerator.hbm_bandwidth * s.count)(systems)
    np.testing.assert_allclose(total, [38.4e12, 576e12, 25.6e12, 21e15])


# ---- unknown numbers


def test_an_unknown_number_is_nan_and_computing_with_it_is_refused_with_the_cure():
    system = load("systems/tpu-8t")
    assert np.isnan(float(system.spec.accelerator.tdp))
    assert system.unknown == ("accelerator.tdp",)
    with pytest.raises(ConfigError, match=r"--set accelerator/tpu-8t\.tdp='VALUE W'"):
        required(system)


def test_the_cure_that_is_named_works():
    cured = load("systems/tpu-8t", overrides=["accelerator/tpu-8t.tdp=1100 W"])
    required(cured)
    np.testing.assert_allclose(float(cured.spec.accelerator.tdp), 1100)


# ---- overrides


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accelerator.hbm_bandwidth=6 TB/s", 6e12),
        ("accelerator/h200-sxm.hbm_bandwidth=6000 GB/s", 6e12),
        ("accelerator/H200-SXM-141GB.memory[0].bandwidth=6 TB/s", 6e12),
        ("accelerator/b200-sxm.hbm_bandwidth=6 TB/s", 4.8e12),
    ],
)
def test_an_override_reaches_the_entries_it_names_and_no_others(text, value):
    system = load("systems/hgx-h200", overrides=[text])
    np.testing.assert_allclose(float(system.spec.accelerator.hbm_bandwidth), value)


def test_an_overridden_number_is_marked_as_the_users_assumption():
    number = load("systems/hgx-h200", overrides=["system.price=0.3 MUSD"]).provenance["price"]
    assert number == Written("0.3 MUSD", "user", "assumption", "0.3 MUSD", "0.3 MUSD", "set by the user")


def test_overrides_reach_nested_tables_and_add_a_tier_behind_the_last():
    texts = [
        "system.chassis.fixed_power=2 kW",
        "system.memory[1].capacity=16 TB",
        "system.memory[1].bandwidth=1 TB/s",
    ]
    system = load("systems/hgx-h200", overrides=texts)
    np.testing.assert_allclose(float(system.spec.chassis.fixed_power), 2000)
    np.testing.assert_allclose(system.spec.accelerator.memory.capacity[2], 2e12)


def test_the_memory_of_a_pool_is_a_number_like_any_other():
    system = load("systems/prometheus-128tb", overrides=["system.memory[0].capacity=48 TB"])
    np.testing.assert_allclose(float(system.spec.accelerator.hbm_capacity) * 12, 48e12)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tdp=700 W", "write KIND/SLUG.FIELD=VALUE"),
        ("accelerator.tdp", "write KIND/SLUG.FIELD=VALUE"),
        ("accelerator/.tdp=1 W", "write KIND/SLUG.FIELD=VALUE"),
        ("accelerators.tdp=700 W", "no kind 'accelerators'; did you mean accelerator?"),
        ("accelerator.tpd=700 W", "Accelerator has no such field; did you mean tdp?"),
        ("accelerator.tdp=700 GB", "expected a quantity in 'W', got '700 GB'"),
        ("accelerator.tdp=-7 W", "'-7 W' is below 0"),
        ("price.life=0 year", "'0 year' is below 1 s"),
        ("system.hbm_bandwidth=6 TB/s", "System has no such field"),
        ("system.chassis.fan=6 W", "Chassis has no such field; did you mean fan_power?"),
        ("accelerator.memory[0].price=6 USD", "expected a quantity in 'USD/B'"),
        ("accelerator/h2000-sxm.tdp=700 W", "no accelerator named 'h2000-sxm'; did you mean h200-sxm?"),
    ],
)
def test_a_wrong_override_says_what_is_wrong_with_it_before_anything_is_computed(text, sentence):
    with pytest.raises(ConfigError) as error:
        load_catalog(overrides=[text])
    assert sentence in str(error.value)


def test_an_override_of_a_tier_that_is_not_there_names_the_owner_of_the_memory():
    with pytest.raises(ConfigError, match="its memory belongs to the system"):
        load("accelerators/aiu-base", overrides=["accelerator.hbm_bandwidth=6 TB/s"])
    with pytest.raises(ConfigError, match="there is no tier 3 in H200"):
        load("accelerators/h200-sxm", overrides=["accelerator.memory[3].bandwidth=6 TB/s"])


@given(st.text(max_size=40))
def test_any_override_text_is_understood_or_refused_with_a_sentence(text):
    said = sentence_of(parse_override, text)
    assert said == "" or said.startswith("--set")


def test_a_source_that_is_not_listed_is_told_where_to_go_and_guessed_at_only_when_it_is_close(tmp_path):
    write(tmp_path, "accelerators/x.toml", ACCELERATOR.replace('source = "mine"', 'source = "hf-config"'))
    (close,) = {each.split(": ", 2)[2] for each in check(tmp_path)}
    assert close.startswith("source 'hf-config' is not in sources.toml; did you mean hf-configs?; add it")
    write(tmp_path, "accelerators/x.toml", ACCELERATOR)
    (far,) = {each.split(": ", 2)[2] for each in check(tmp_path)}
    assert far == (
        "source 'mine' is not in sources.toml; add it to CONFIGS/sources.toml, or write source = 'user'"
    )
    write(tmp_path, "accelerators/x.toml", ACCELERATOR.replace('"mine"', '"user"'))
    assert check(tmp_path) == []


# ---- quotes


def test_the_latest_quote_not_after_the_date_wins_and_dates_are_inclusive():
    catalog = load_catalog()
    for until, date, usd_per_hour in (
        ("2025-12", "2025-08", 1.30),
        ("2026-04", "2026-04", 1.30),
        ("2026-07", "2026-07", 1.17),
        ("9999-12", "2026-07", 1.17),
    ):
        quote = price_quote(catalog, "h100-sxm", "hyperscaler", until)
        assert quote.date == date
        np.testing.assert_allclose(quote.si * 3600, usd_per_hour)
        assert (quote.accelerator, quote.unit) == ("h100-sxm", "USD/h")


def test_of_many_quotes_of_a_day_the_median_is_taken():
    offers = [1.87, 2.0, 2.5, 2.69, 2.99, 3.44, 3.67, 3.78, 3.93, 4.1, 6.15]  # eleven clouds, 2026-03
    quote = price_quote(load_catalog(), "H100-SXM5-80GB", "on_demand", "2026-04")
    np.testing.assert_allclose(quote.si * 3600, np.median(offers))


def test_one_newer_guess_does_not_displace_the_published_prices_of_the_same_market():
    """A note of 2026-05 that three sources disagree made an H100 dearer than an H200."""
    found = price_quote(load_catalog(), "h100-sxm", "on_demand", "2026-12")
    assert found.number.confidence == "published"
    np.testing.assert_allclose(found.si * 3600, 3.44)
    np.testing.assert_allclose(np.multiply(found.range_si, 3600), (1.87, 6.15))
    assert "median of 11 quotes" in found.number.note
    newer = price_quote(load_catalog(), "h200-sxm", "on_demand", "2026-12")
    np.testing.assert_allclose(newer.si * 3600, np.median([2.3, 3.3, 3.59, 6.31]))
    assert newer.si > found.si


def quoted(*rows):
    head = 'accelerator = "aiu-base"\n'
    row = """[[quotes]]
item = "{}"
basis = "on_demand"
date = "{}"
value = {{ value = "{} USD/h", source = "mine", confidence = "{}", low = "0 USD/h", high = "99 USD/h" }}
"""
    return head + "".join(row.format(*each) for each in rows)


@pytest.mark.parametrize(
    ("rows", "usd_per_hour"),
    [
        ([("a", "2026-03", 2, "published"), ("b", "2026-06", 9, "estimate")], 2),
        (
            [("a", "2026-02", 2, "published"), ("b", "2026-06", 9, "estimate")],
            9,
        ),  # four months: another market
        ([("a", "2026-05", 2, "published"), ("b", "2026-05", 9, "measured")], 9),  # what was paid, not asked
        ([("a", "2026-04", 2, "published"), ("a", "2026-06", 9, "published")], 9),  # the seller's new price
        (
            [
                ("a", "2025-12", 1, "published"),
                ("b", "2026-02", 3, "published"),
                ("c", "2026-02", 2, "published"),
            ],
            2,
        ),
    ],
)
def test_a_price_is_the_median_of_the_most_trustworthy_quotes_of_the_newest_market(
    tmp_path, rows, usd_per_hour
):
    write(tmp_path, "sources.toml", SOURCES)
    write(tmp_path, "prices/made-up.toml", quoted(*rows))
    found = price_quote(load_catalog([tmp_path]), "aiu-base", "on_demand", "2026-12")
    np.testing.assert_allclose(found.si * 3600, usd_per_hour)


def test_a_missing_basis_or_date_says_which_there_are():
    catalog = load_catalog()
    with pytest.raises(
        ConfigError, match=r"no neocloud price of jalapeno is known; it has all_in_power, hyperscaler"
    ):
        price_quote(catalog, "jalapeno", "neocloud", "2026-12")
    with pytest.raises(ConfigError, match=r"aiu-base is known; it has no quotes; bottom_up needs none"):
        price_quote(catalog, "aiu-base", "hyperscaler", "2026-12")
    with pytest.raises(ConfigError, match=r"on or before 2025-01; the first is of 2025-08"):
        price_quote(catalog, "h100-sxm", "hyperscaler", "2025-01")
    with pytest.raises(ConfigError, match="write a date such as 2026-07"):
        price_quote(catalog, "h100-sxm", "hyperscaler", "July 2026")


def test_a_users_quote_joins_the_shipped_ones_and_a_broken_one_is_explained(tmp_path):
    text = """
accelerator = "h200-sxm"
[[quotes]]
item = "our contract"
basis = "rental_3y"
date = "2026-11-02"
value = { value = "2.1 USD/h", source = "mine", confidence = "measured" }
"""
    write(tmp_path, "sources.toml", SOURCES)
    write(tmp_path, "prices/our-h200.toml", text)
    catalog = load_catalog([tmp_path])
    assert price_quote(catalog, "h200-sxm", "rental_3y", "2026-11").item == "our contract"
    assert "our-h200" not in catalog.names("prices")
    write(
        tmp_path, "prices/our-h200.toml", text.replace("2026-11-02", "Nov").replace("2.1 USD/h", "2.1 USD/hr")
    )
    with pytest.raises(ConfigError) as error:
        quotes(load_catalog([tmp_path]))
    assert "quotes[0].date: expected YYYY-MM or YYYY-MM-DD, got 'Nov'" in str(error.value)
    assert "quotes[0].value: unknown unit 'hr'" in str(error.value)


# ---- rows and checks


@pytest.mark.parametrize("folder", [*KINDS, "quotes"])
def test_a_list_has_one_row_per_entry_with_the_same_columns(folder):
    catalog = load_catalog()
    rows = catalog_rows(catalog, folder)
    if folder != "quotes":
        assert [row["slug"] for row in rows] == list(catalog.paths(folder))
    assert len({tuple(row) for row in rows}) <= 1


def test_a_list_shows_human_units_and_leaves_unknown_numbers_out():
    rows = {row["slug"]: row for row in catalog_rows(load_catalog(), "systems")}
    assert rows["gb200-nvl72"]["memory_tb"] == pytest.approx(14.305, rel=1e-3)
    assert rows["prometheus-64tb"]["memory_tb"] == pytest.approx(64)
    assert rows["ai200"]["count"] is None


def test_rows_of_an_entry_hold_every_number_with_its_source_and_meaning():
    entry = load("systems/hgx-h200")
    rows = {row["field"]: row for row in entry_rows(entry)}
    assert rows.keys() == entry.provenance.keys()
    bandwidth = rows["accelerator.memory[0].bandwidth"]
    assert (bandwidth["value"], bandwidth["unit"]) == (4.8, "TB/s")
    assert bandwidth["meaning"] == "peak read bandwidth"
    assert rows["chassis.fan_power"]["meaning"] == "fan power at full speed"


def test_a_clean_folder_passes_the_check_and_a_dirty_one_gets_a_sentence_per_mistake(folder):
    assert check(folder) == []
    write(folder, "acelerators/x.toml", "")
    write(folder, "accelerators/twin.toml", ACCELERATOR.replace("700 W", "700 V"))
    write(folder, "sources.toml", SOURCES + '[other]\nurl = "https://example.org"\n')
    said = check(folder)
    for sentence in (
        "acelerators/: no kind of entry; did you mean accelerators?; nothing in it is read",
        "sources.toml: other: title missing; write what it is",
        "accelerators/twin.toml: tdp: unknown unit 'V'",
        "accelerators/twin.toml: aliases: 'TP-1' also names part; keep it in one of them",
    ):
        assert sentence in said
    assert check(folder / "accelerators" / "part.toml") == []
    assert check(folder / "accelerators" / "twin.toml") == ["accelerators/twin.toml: tdp: unknown unit 'V'"]


def test_a_model_whose_total_does_not_follow_from_its_shapes_fails_the_check(tmp_path):
    text = (CONFIGS / "models" / "llama-3.1-8b.toml").read_text(encoding="utf-8")
    write(tmp_path, "models/mine.toml", text.replace("value = 8029", "value = 9029").replace("aliases", "#"))
    [said] = check(tmp_path / "models")
    assert said.startswith("models/mine.toml: total_params: 9.03e+09 is given, 8.03e+09 follows")


def test_checking_what_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="no such file or folder"):
        check(tmp_path / "nowhere")


# ---- whatever is in a file

WORDS = st.sampled_from(
    ["name", "tdp", "memory", "value", "source", "confidence", "unknown", "low", "aliases", "mine"]
)
LEAVES = st.one_of(
    st.text(max_size=8),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.sampled_from(["700 W", "1 TB/s"]),
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4)
)


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
    return repr(value).replace("inf", "1e999") if isinstance(value, float) else repr(value)


@settings(max_examples=60)
@given(table=st.dictionaries(WORDS, TREES, max_size=5), folder=st.sampled_from([*KINDS]))
def test_any_table_is_read_or_refused_with_sentences(tmp_path_factory, table, folder):
    root = tmp_path_factory.mktemp("fuzz")
    write(root, f"{folder}/x.toml", "\n".join(f"{key} = {toml(value)}" for key, value in table.items()))
    answer(root, folder)


@settings(max_examples=60)
@given(text=st.text(max_size=200) | st.sampled_from(["[" * 5000, "x = " + "9" * 5000, "name = 1979-05-27"]))
def test_any_text_is_read_or_refused_with_sentences(tmp_path_factory, text):
    root = tmp_path_factory.mktemp("fuzz")
    write(root, "accelerators/x.toml", text)
    answer(root, "accelerators")


def answer(root, folder):
    catalog = Catalog((root,))
    assert "x" in catalog.names(folder)
    for call in (catalog.entry, lambda kind, _: catalog_rows(catalog, kind)):
        said = sentence_of(call, folder, "x")
        assert said == "" or "x.toml" in said
    assert all(isinstance(sentence, str) for sentence in check(root))
