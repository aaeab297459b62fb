"""The commands themselves: they ask the chain what the user asked, and no text breaks them."""

import csv
import dataclasses
import io
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustermodel.assembly.formats import BYTES
from clustermodel.catalog import CONFIGS, KINDS
from clustermodel.chain import Question
from clustermodel.chain.question import BASES
from clustermodel.cli import _options
from clustermodel.cli._options import QUESTION, SHARED, SYSTEM
from clustermodel.cli.main import app
from clustermodel.economics.allocation import ALLOCATIONS
from clustermodel.report.cost import WALLS

LLAMA = ("--model", "llama-3.1-70b", "--precision", "fp8", "--max-tpot-ms", "50")


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def answer(*arguments):
    result = invoke(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=pytest.fail)


def test_options_are_the_fields_of_a_question_with_their_defaults():
    options = {option.name: option for option in (SYSTEM, *QUESTION)}
    fields = {field.name: field for field in dataclasses.fields(Question)}
    assert options.keys() == fields.keys()
    for name, field in fields.items():
        assert options[name].required == (field.default is dataclasses.MISSING)
        if isinstance(field.default, str):
            assert options[name].default == field.default


def test_help_lists_the_choices_that_the_chain_knows():
    assert sorted(_options.PRECISIONS.split("|")) == sorted(BYTES)
    assert _options.COST_BASES.split("|") == list(BASES)
    assert sorted(_options.ALLOCATIONS.split("|")) == sorted(ALLOCATIONS)


def test_cost_echoes_its_inputs_and_sources_and_knows_its_wall():
    found = answer("cost", "--system", "hgx-h200", *LLAMA)
    assert found["kind"] == "cost"
    assert found["inputs"]["max_tpot_ms"] == 50
    assert found["inputs"]["isl"] == 1024
    assert found["tpot_ms"] <= 50
    assert found["binding_limit"] in WALLS
    assert all(source["title"] for source in found["sources"])


def test_a_layout_and_load_that_are_asked_for_are_used():
    found = answer("cost", "--system", "hgx-h100", *LLAMA[:4], "--tp", 4, "--pp", 2, "--concurrency", 16)
    assert (found["layout"]["tp"], found["layout"]["pp"], found["concurrency"]) == (4, 2, 16)


def test_compare_is_sorted_by_price_and_ends_with_what_has_no_answer():
    systems = "l40s,hgx-h100,hgx-h200"
    found = answer("compare", "--systems", systems, "--model", "deepseek-v3", "--n-accelerators", 8)["points"]
    assert [point["system"] for point in found] == ["hgx-h200", "l40s", "hgx-h100"]
    assert all("does not fit" in point["reason"] for point in found[1:])
    shown = invoke("compare", "--systems", systems, "--model", "deepseek-v3", "--n-accelerators", 8).stdout
    assert "no answer for l40s" in shown


def test_frontier_never_pays_more_to_be_slower():
    points = answer("frontier", "--systems", "hgx-b200", *LLAMA)["points"]
    speeds = [point["interactivity_tok_s_user"] for point in points]
    prices = [point["usd_per_mtok_total"] for point in points]
    assert len(points) > 5
    assert speeds == sorted(speeds, reverse=True)
    assert prices == sorted(prices, reverse=True)


def test_an_override_changes_the_answer_and_says_who_set_it():
    plain = answer("cost", "--system", "hgx-h200", *LLAMA)
    dear = answer("cost", "--system", "hgx-h200", *LLAMA, "--set", "system.price=600 kUSD")
    assert dear["usd_per_mtok_total"] > plain["usd_per_mtok_total"]
    assert "user" in {source["key"] for source in dear["sources"]}


@pytest.mark.parametrize(
    "command",
    [
        ("cost", "--system", "hgx-h200"),
        ("power", "--system", "hgx-h200"),
        ("compare", "--systems", "hgx-h200"),
        ("frontier", "--systems", "hgx-h200"),
    ],
)
@pytest.mark.parametrize("target", ["system/hgx-b200.price=1 USD", "contract.value=1 USD"])
def test_a_number_that_nothing_was_computed_from_is_refused(command, target):
    result = invoke(*command, *LLAMA, "--concurrency", 16, "--tp", 2, "--set", target)
    assert result.exit_code == 2
    unused = target.rpartition(".")[0]
    assert f"--set {target}: this question uses no {unused}, so nothing would change" in result.stderr
    assert result.stdout == ""


def test_a_number_of_one_system_in_a_comparison_is_used():
    found = answer(
        "compare",
        "--systems",
        "hgx-h200,hgx-b200",
        *LLAMA,
        "--concurrency",
        16,
        "--set",
        "system/hgx-b200.price=1 USD",
    )
    assert found["points"][0]["system"] == "hgx-b200"


def test_own_entries_come_before_the_shipped_ones(tmp_path):
    folder = tmp_path / "sites"
    folder.mkdir()
    text = (CONFIGS / "sites" / "us-average.toml").read_text()
    (folder / "us-average.toml").write_text(text.replace('name = "', 'name = "My ', 1))
    shipped = answer("catalog", "show", "sites/us-average")
    found = answer("catalog", "show", "sites/us-average", "--configs", tmp_path)
    assert found["name"] == f"My {shipped['name']}"
    assert found["fields"] == shipped["fields"]


@pytest.mark.parametrize("kind", [*KINDS, "quotes", "sources"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_every_kind_can_be_listed_in_every_form(kind, form):
    result = invoke("catalog", "list", kind, "--format", form)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 100 or form != "table"


@pytest.mark.parametrize("command", ["cost --system", "compare --systems", "frontier --systems"])
@pytest.mark.parametrize("model", ["deepseek-v3", "qwen3-next-80b-a3b", "gpt-oss-120b"])
def test_tables_fit_a_hundred_columns(command, model):
    shown = invoke(*command.split(), "gb200-nvl72", "--model", model, "--ep", 4).stdout
    assert shown
    assert max(map(len, shown.splitlines())) <= 100


def test_csv_of_a_comparison_has_one_row_a_system():
    text = invoke("compare", "--systems", "hgx-h100,hgx-h200", *LLAMA, "--format", "csv").stdout
    table = list(csv.DictReader(io.StringIO(text)))
    assert {row["system"] for row in table} == {"hgx-h100", "hgx-h200"}
    assert float(table[0]["usd_per_mtok_total"]) <= float(table[1]["usd_per_mtok_total"])
    assert float(table[0]["memory.weights_gb"]) > 0


def test_validate_scores_a_table_and_writes_its_rows_apart(tmp_path):
    shipped = (CONFIGS / "measurements" / "serving.csv").read_text().splitlines()
    data, rows = tmp_path / "mine.csv", tmp_path / "rows.csv"
    data.write_text("\n".join(shipped[:9]))
    result = invoke("validate", "--data", data, "--out", rows, "--format", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    lines = list(csv.DictReader(io.StringIO(rows.read_text())))
    assert "rows" not in found
    assert list(lines[0]) == ["id", "metric", "mode", "measured", "predicted", "bound", "seen", "flagged"]
    for group in (each for each in found["groups"] if each["by"] == "all"):
        kept = [row for row in lines if row["metric"] == group["metric"] and row["flagged"] == "0"]
        assert len(kept) == group["n"]


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["--system", "hgx-h2000"], 2, "did you mean hgx-h200?"),
        (["--model", "lama-3.1-70b"], 2, "did you mean llama-3.1-70b?"),
        (["--model", "/absent/config.json"], 2, "/absent/config.json"),
        (["--isl", "nan"], 2, "--isl"),
        (["--isl", "0"], 2, "--isl"),
        (["--osl", "-5"], 2, "--osl"),
        (["--isl", "1e9"], 2, "context"),
        (["--prefix-hit-rate", "1"], 2, "--prefix-hit-rate"),
        (["--tp", "2.5"], 2, "--tp"),
        (["--tp", "7"], 2, "--tp"),
        (["--precision", "fp7"], 2, "fp7"),
        (["--cost-basis", "guess"], 2, "--cost-basis"),
        (["--price-date", "yesterday"], 2, "--price-date"),
        (["--calibration", "/absent.toml"], 2, "/absent.toml"),
        (["--configs", "/absent"], 2, "/absent"),
        (["--set", "system.price"], 2, "--set"),
        (["--set", "system.price=3 GB"], 2, "USD"),
        (["--set", "system.price=-3 USD"], 2, "price"),
        (["--set", "system.prize=3 USD"], 2, "did you mean price?"),
        (["--max-tpot-ms", "0.01"], 3, "nearest feasible"),
        (["--model", "deepseek-v3", "--n-accelerators", "1"], 3, "does not fit"),
    ],
)
def test_a_wrong_or_unanswerable_question_is_one_sentence(arguments, code, hint):
    asked = (
        {"--system": "hgx-h100", "--model": "llama-3.1-70b"} | dict([arguments[-2:]]) | dict([arguments[:2]])
    )
    result = invoke("cost", *(word for pair in asked.items() for word in pair))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


def _words(option):
    plausible = st.sampled_from(
        ["0", "1", "8", "0.5", "-1", "1e300", "nan", "fp8", "vllm", "2026-04", "h100", "total"]
    )
    return st.tuples(st.just(option), plausible | st.text(max_size=12))


FLAGS = [option.flag or f"--{option.name.replace('_', '-')}" for option in (*QUESTION, *SHARED)]
NEVER = ("--out", "--configs", "--model")


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(
    command=st.sampled_from(["cost --system", "compare --systems", "frontier --systems"]),
    system=st.sampled_from(["hgx-h100", "dgx-spark"]) | st.text(max_size=12),
    model=st.sampled_from(["llama-3.1-8b", "gpt-oss-20b"]) | st.text(max_size=12),
    more=st.lists(st.one_of([_words(flag) for flag in FLAGS if flag not in NEVER]), max_size=3),
)
def test_no_text_in_any_option_ends_in_a_traceback(command, system, model, more):
    words = [*command.split(), system, "--model", model, *(word for pair in more for word in pair)]
    _ends_well(invoke(*words))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    command=st.sampled_from(["list", "show", "check"]),
    text=st.text(max_size=12) | st.sampled_from(["systems/", "/", "models/gpt-oss-20b", ".", "~"]),
    change=st.text(max_size=12).map("accelerator/h100-sxm.{}".format) | st.text(max_size=12),
)
def test_no_text_breaks_the_catalogue_commands(command, text, change):
    _ends_well(invoke("catalog", command, text, "--set", change))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=12))
def test_any_file_name_is_written_whole_or_refused(tmp_path, name):
    before = set(os.listdir(tmp_path))
    result = invoke("catalog", "list", "--format", "json", "--out", f"{tmp_path}/{name}")
    _ends_well(result)
    for new in set(os.listdir(tmp_path)) - before:
        assert result.exit_code == 0
        assert json.loads((tmp_path / new).read_text())["kind"] == "catalog_list"


def _ends_well(result):
    assert result.exit_code in (0, 2, 3), result.exc_info
    assert (result.exit_code == 0) == bool(result.stdout or "wrote" in result.stderr)
    assert result.exit_code == 0 or result.stderr.startswith(("error: ", "no answer: "))


@pytest.mark.parametrize("option", ["--paths", "--seed", "--method"])
@pytest.mark.parametrize("more", [(), ("--list",)])
def test_an_option_of_a_run_without_a_scenario_is_refused_and_not_dropped(option, more):
    result = invoke("risk", option, "quasi" if option == "--method" else 100, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{option} needs a scenario to run: add --scenario NAME" in result.stderr


def test_scenarios_are_listed_with_options_of_output_alone():
    assert answer("risk")["scenarios"] == answer("risk", "--list")["scenarios"]
