"""The mechanism that every command runs on: options, forms of the answer, files, mistakes."""

import contextlib
import csv
import io
import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustermodel.catalog import ConfigError, InfeasibleError
from clustermodel.cli import _readers as read
from clustermodel.cli._command import command
from clustermodel.cli._options import Flag, Option
from clustermodel.cli._program import Program
from clustermodel.files import write_whole
from clustermodel.report.figures import figure, percent, usd
from clustermodel.report.rows import columns, flat, plain, rows

ANSWER = {
    "kind": "anything",
    "version": "1",
    "power_w": np.float64(612.5),
    "nothing": math.nan,
    "memory": {"kv_gb": 80.0, "tiers": [{"capacity_gb": 141.0}, {"capacity_gb": math.inf}]},
    "uncertainty": {"tpot_ms": [22.0, 31.0], "usd_per_mtok_total": [0.08, 0.12]},
    "sources": [{"key": "nvidia-h200", "title": "H200 data sheet", "url": "https://example.org"}],
}


def program(answer, *options):
    """A program of one command `ask` that answers with `answer(ask)`, beside an idle one."""
    app = typer.Typer(cls=Program, pretty_exceptions_enable=False)
    app.command("ask")(command(*options)(answer))
    app.command("idle")(lambda: None)
    return app


def ask(answer, *arguments, options=()):
    def body(asked):
        """What is asked."""
        return answer(asked)

    return CliRunner().invoke(program(body, *options), ["ask", *map(str, arguments)])


def failing(error):
    def answer(asked):
        raise error

    return answer


def test_json_is_strict_and_says_null_where_nothing_is_defined():
    result = ask(lambda _: ANSWER, "--format", "json")
    answer = json.loads(result.stdout, parse_constant=pytest.fail)
    assert result.exit_code == 0
    assert answer["power_w"] == 612.5
    assert answer["nothing"] is None
    assert answer["memory"]["tiers"][1]["capacity_gb"] is None
    assert answer["sources"][0]["key"] == "nvidia-h200"


def test_csv_has_one_column_for_each_nested_value_with_its_unit():
    table = list(csv.DictReader(io.StringIO(ask(lambda _: ANSWER, "--format", "csv").stdout)))
    assert len(table) == 1
    assert table[0]["power_w"] == "612.5"
    assert table[0]["memory.tiers.0.capacity_gb"] == "141.0"
    assert table[0]["uncertainty.tpot_ms.p90"] == "31.0"
    assert table[0]["nothing"] == ""


def test_a_table_of_points_is_one_csv_row_each_and_missing_cells_are_empty():
    answer = {"kind": "x", "points": [{"a_ms": 1.0}, {"a_ms": 2.0, "reason": "does not fit"}]}
    table = list(csv.DictReader(io.StringIO(ask(lambda _: answer, "--format", "csv").stdout)))
    assert [row["a_ms"] for row in table] == ["1.0", "2.0"]
    assert [row["reason"] for row in table] == ["", "does not fit"]


def test_a_table_names_its_sources_and_uses_no_colours_off_a_terminal():
    text = ask(lambda _: ANSWER).stdout
    assert "nvidia-h200" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ConfigError("no system named 'x'"), 2, "error: no system named 'x'\n"),
        (InfeasibleError("weights do not fit"), 3, "no answer: weights do not fit\n"),
        (OSError(28, "No space left on device", "/full"), 2, "error: /full: No space left on device\n"),
        (MemoryError(), 2, "error: not enough memory on this machine; ask for fewer points at a time\n"),
    ],
)
def test_mistakes_are_a_sentence_on_stderr_and_an_exit_code(error, code, kind):
    result = ask(failing(error))
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", kind)


def test_an_error_of_our_own_is_not_hidden():
    result = ask(failing(ValueError("a bug")))
    assert isinstance(result.exception, ValueError)


def test_an_interrupt_ends_with_130():
    assert ask(failing(KeyboardInterrupt())).exit_code == 130


@pytest.mark.parametrize(
    "arguments",
    [["--bogus"], ["--format", "xml"], ["--out", ""], ["--configs", ""], ["surplus"], ["--set", "\n"]],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments):
    result = ask(lambda _: ANSWER, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_the_suffix_of_the_file_chooses_the_form_and_stdout_stays_empty(tmp_path):
    for name, start in (("a.json", "{"), ("a.csv", "kind,"), ("a.txt", "power w")):
        result = ask(lambda _: ANSWER, "--out", tmp_path / name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert (tmp_path / name).read_text().startswith(start)
        assert result.stderr == f"wrote {tmp_path / name}\n"


def test_a_suffix_in_capitals_is_the_same_suffix(tmp_path):
    assert ask(lambda _: ANSWER, "--out", tmp_path / "a.JSON").exit_code == 0
    assert json.loads((tmp_path / "a.JSON").read_text())["power_w"] == 612.5


@pytest.mark.parametrize("name", ["a.md", "a.xlsx", "a.jsn"])
def test_a_suffix_of_no_form_is_refused_before_anything_is_computed_unless_a_form_is_named(tmp_path, name):
    refused = ask(failing(AssertionError("computed")), "--out", tmp_path / name)
    assert refused.exit_code == 2
    assert "is no form of this answer; name it .json, .csv, .txt, or choose with --format" in refused.stderr
    assert ask(lambda _: ANSWER, "--out", tmp_path / name, "--format", "csv").exit_code == 0


def test_format_wins_over_the_suffix_and_quiet_says_nothing(tmp_path):
    result = ask(lambda _: ANSWER, "--out", tmp_path / "a.csv", "--format", "json", "--quiet")
    assert json.loads((tmp_path / "a.csv").read_text())["power_w"] == 612.5
    assert result.stderr == ""


def test_a_failed_answer_leaves_the_old_file_alone(tmp_path):
    kept = tmp_path / "a.json"
    kept.write_text("old")
    assert ask(failing(InfeasibleError("no")), "--out", kept).exit_code == 3
    assert kept.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("place", [".", "absent/a.json", "x" * 300])
def test_an_unwritable_place_is_refused_before_anything_is_computed(tmp_path, place):
    result = ask(failing(AssertionError("computed")), "--out", f"{tmp_path}/{place}")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_takes_no_files_is_found_out_before_anything_is_computed():
    result = ask(failing(AssertionError("computed")), "--out", "/proc/a.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "/proc/a.json cannot be written" in result.stderr


def test_writing_keeps_the_mode_of_a_file_and_follows_links(tmp_path):
    target, link = tmp_path / "a.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_device_is_written_to_and_not_replaced():
    write_whole(Path(os.devnull), "text")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_write_that_breaks_leaves_nothing_behind(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    result = ask(lambda _: ANSWER, "--out", tmp_path / "a.json")
    assert (result.exit_code, os.listdir(tmp_path)) == (2, [])


@given(st.text())
def test_no_text_breaks_a_reader(text):
    for reader in (
        read.name,
        read.names,
        read.path,
        read.number,
        read.whole,
        read.counts,
        read.date,
        read.one_of("a"),
    ):
        with contextlib.suppress(typer.BadParameter):
            assert reader(text) not in (None, "", [])


@given(st.floats(), st.integers())
def test_readers_read_what_python_writes(real, whole):
    if math.isfinite(real):
        assert read.number(repr(real)) == pytest.approx(real, rel=0)
    else:
        with pytest.raises(typer.BadParameter):
            read.number(repr(real))
    assert read.whole(str(whole % 2**53)) == whole % 2**53


@pytest.mark.parametrize(("text", "expected"), [("2026-04", "2026-04"), ("2026-4-3", "2026-04-03")])
def test_dates_are_days_or_months(text, expected):
    assert read.date(text) == expected


def test_named_records_are_csv_rows_with_their_name():
    answer = {"kind": "x", "seed": 1, "metrics": {"npv_usd": {"mean": 2.0}, "irr": {"mean": 0.1}}}
    table = list(csv.DictReader(io.StringIO(ask(lambda _: answer, "--format", "csv").stdout)))
    assert [(row["metric"], row["mean"]) for row in table] == [("npv_usd", "2.0"), ("irr", "0.1")]


def test_a_flag_is_there_only_when_given():
    for words in ([], ["--list"]):
        result = ask(
            lambda asked: asked.answer("x"), *words, "--format", "json", options=(Flag("list", "all"),)
        )
        assert json.loads(result.stdout)["inputs"] == ({"list": True} if words else {})


def test_details_go_to_the_file_and_the_summary_to_stdout(tmp_path):
    def body(asked):
        """What is asked."""
        return {"kind": "score", "n": 2, "rows": [{"id": "a"}, {"id": "b"}]}

    app = typer.Typer(cls=Program)
    app.command("ask")(command(detail="rows")(body))
    app.command("idle")(lambda: None)
    result = CliRunner().invoke(app, ["ask", "--format", "json", "--out", str(tmp_path / "rows.csv")])
    assert json.loads(result.stdout) == {"kind": "score", "n": 2}
    assert (tmp_path / "rows.csv").read_text() == "id\na\nb\n"


def test_options_not_given_are_not_passed_on():
    speed = Option("max_tpot_ms", read.number, "MS", "time", "none")
    result = ask(
        lambda asked: {"kind": "x", "given": sorted(asked.options)}, "--format", "json", options=(speed,)
    )
    assert json.loads(result.stdout)["given"] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1662.4, "1,662"),
        (26.0, "26.0"),
        (0.035612, "0.0356"),
        (9.999e-8, "1.00e-07"),
        (0.9999, "1.00"),
        (-3.21, "-3.21"),
        (7, "7"),
        (0.0, "0"),
        (None, "-"),
        (math.nan, "-"),
        ("tp", "tp"),
    ],
)
def test_figures_have_three_digits(value, text):
    assert figure(value) == text


def test_dollars_and_shares():
    assert (usd(0.4123), usd(None), percent(0.456), percent(None)) == ("$0.412", "-", "46 %", "-")


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), nested))
def test_any_answer_is_strict_json_and_flat_rows(answer):
    json.dumps(plain(answer), allow_nan=False)
    table = rows(answer)
    assert all(not isinstance(cell, dict | list) for row in table for cell in row.values())
    assert set(columns(table)) == {name for row in table for name in row}


def test_flat_keeps_every_leaf_under_its_path():
    assert flat({"a": {"b": [1, {"c": 2}]}, "d": None}) == {"a.b.0": 1, "a.b.1.c": 2, "d": None}


def run(*arguments, **more):
    command = [sys.executable, "-m", "clustermodel", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize(
    "arguments", [[], ["cost"], ["compare"], ["frontier"], ["catalog"], ["catalog", "list"]]
)
def test_help_needs_no_jax(arguments):
    code = (
        "import sys\n"
        "from clustermodel.cli.main import run\n"
        f"sys.argv = ['clustermodel', *{[*arguments, '--help']!r}]\n"
        "try:\n    run()\n"
        "except SystemExit as stop:\n    assert stop.code == 0, stop\n"
        "slow = {'jax', 'numpy', 'pandas', 'equinox'} & sys.modules.keys()\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: clustermodel" in done.stdout
