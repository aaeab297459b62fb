"""The README tells the truth: its commands run, its outputs are current, every command is in it.

After a change of the model or of the catalogue, `make readme` writes the outputs anew.
"""

import re
import runpy

import pytest
import readme
import tiny_bench
import typer
from typer.testing import CliRunner

import clustermodel as cm
from clustermodel.cli.main import app

TEXT = readme.README.read_text(encoding="utf-8")
EXAMPLES = readme.examples(TEXT)
MAKEFILE = (readme.README.parent / "Makefile").read_text(encoding="utf-8")
ROUNDING = 0.02
"""Three digits are shown, and another jax may prefer a neighbouring number of requests in flight."""


def commands(group, path=("clustermodel",)):
    """Every command below a typer group with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
LONG = ("bench model", "bench serve", "design map", "design optimize", "design sensitivity", "risk")


def _example(words):
    (example,) = re.findall(r"Example: clustermodel (.+)$", COMMANDS[words].help, re.MULTILINE)
    return example


def _marks(words):
    return [pytest.mark.slow] * words.endswith(LONG)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command[:60])
def test_the_output_in_the_readme_is_what_the_command_prints(example):
    words, numbers = readme.words_and_numbers(example.output())
    shown_words, shown_numbers = readme.words_and_numbers(example.shown)
    assert words == shown_words
    assert numbers == pytest.approx(shown_numbers, rel=ROUNDING)


def test_the_readme_shows_the_worked_examples():
    shown = " ".join(example.command for example in EXAMPLES)
    for name in ("hgx-h100", "hgx-h200", "hgx-b200", "mi355x", "gb200-nvl72", "deepseek-v3", "gpt-oss-120b"):
        assert name in shown
    assert any("no answer: " in example.shown for example in EXAMPLES)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_in_the_readme_and_its_help_has_an_example(words):
    assert words in TEXT
    assert f"clustermodel {_example(words)}".startswith(words)


@pytest.mark.parametrize("words", [pytest.param(each, marks=_marks(each)) for each in COMMANDS])
def test_the_example_of_a_command_runs(words, monkeypatch):
    example = _example(words)
    if "bench" in words:
        tiny_bench.shrink(monkeypatch)
    shown = {example.command for example in EXAMPLES}  # which the first test runs
    if "my-" not in example and f"clustermodel {example}" not in shown:  # my-: a file of the reader's own
        assert CliRunner().invoke(app, example.split()).exit_code == 0


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_says_what_it_is(words):
    for parameter in COMMANDS[words].params:
        assert parameter.help, parameter.name


def test_the_reference_holds_every_command_and_every_public_name():
    path = readme.README.parent / "docs" / "reference.py"
    text = runpy.run_path(str(path))["reference"]()
    assert all(f"## {words}\n" in text for words in COMMANDS)
    assert all(f"## cm.{name}\n" in text for name in cm.__all__ if callable(getattr(cm, name)))


def test_the_readme_and_make_agree_on_the_two_commands():
    for target in re.findall(r"^make (\w+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def recipe(target):
    """The words of the commands of ours that `make` runs for a target."""
    text = MAKEFILE.replace("\\\n", " ")
    for name, value in re.findall(r"^(QUESTION|SYSTEMS) := (.*)$", text, re.MULTILINE):
        text = text.replace(f"$({name})", value)
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return [line.split()[1:] for line in lines.splitlines() if "/clustermodel " in line]


def test_the_demo_runs_and_ends_by_naming_the_report_that_it_wrote(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    demo = recipe("demo")
    assert [words[0] for words in demo] == ["cost", "compare", "compare", "frontier", "report"]
    assert demo[1][demo[1].index("--systems") + 1].count(",") >= 5
    for words in demo:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0
    assert done.output == "wrote demo/report.html\n"
    assert "<svg" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs(capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {})
    price, limit = capsys.readouterr().out.split()
    assert 0 < float(price) < 1
    assert limit == "slo_tpot"
