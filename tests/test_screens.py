"""What a terminal shows: an answer first, in words, and no more than a page."""

import json
import re

import pytest
from typer.testing import CliRunner

from clustermodel.catalog import load_catalog
from clustermodel.chain import Question
from clustermodel.cli.main import app
from clustermodel.design import breakeven
from clustermodel.report.figures import figure
from clustermodel.report.headlines import headline

LLAMA = ("--model", "llama-3.1-70b", "--precision", "fp8", "--max-tpot-ms", "50")
PAIR = ("--candidate", "mi355x", "--reference", "hgx-b200")
OWN = ("--system", "hgx-h200")
QUESTIONS = {
    "power": ("power", *OWN, *LLAMA),
    "pools": ("power", *OWN, *LLAMA, "--allocation", "disaggregated"),
    "breakeven": ("design", "breakeven", *PAIR, *LLAMA),
    "map": ("design", "map", *PAIR, *LLAMA, "--over", "price-utilisation"),
    "memory": ("design", "memory", *OWN, *LLAMA),
    "sensitivity": ("design", "sensitivity", *OWN, *LLAMA),
    "optimize": ("design", "optimize", *OWN, *LLAMA, "--vary", "memory"),
    "claims": ("design", "claims", "--candidate", "prometheus-128tb", "--reference", "vr200-nvl72", *LLAMA),
}
PAGE = 90
"""Lines, with the guesses and sources at the end."""
_NO_WORDS = re.compile(r"\w_\w|\bNone\b|\bnan\b|[{}]|\b(units|layout|inputs)\.")


LONG = ("optimize", "sensitivity")
PARAMS = [pytest.param(each, marks=[pytest.mark.slow] * (each in LONG)) for each in QUESTIONS]


@pytest.fixture(scope="module", params=PARAMS)
def asked(request):
    """The answer as an object, and the lines of the table."""
    words = QUESTIONS[request.param]
    done = [CliRunner().invoke(app, [*words, "--format", form]) for form in ("json", "table")]
    assert [each.exit_code for each in done] == [0, 0], done[0].output
    return json.loads(done[0].stdout), done[1].stdout.splitlines()


def test_an_answer_is_a_page_and_says_its_answer_first(asked):
    answer, lines = asked
    top = headline(answer)
    assert len(lines) <= PAGE
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(top.title[:60])
    assert top.answer in lines[2]
    assert top.sentence.endswith(".")


def test_names_of_fields_are_no_words_for_a_reader(asked):
    _, lines = asked
    answered = "\n".join(lines).partition("~ estimates")[0]
    assert not _NO_WORDS.search(answered)


def test_a_listed_price_is_said_beside_the_one_that_matches():
    question = Question(system="mi355x", model="llama-3.1-70b", precision="fp8")
    answer = breakeven(load_catalog(), question, "mi355x", "hgx-b200")
    price, listed = answer["price_usd"]["value"], answer["catalogue_price_usd"]
    assert price > listed
    assert f"{figure(100 * (1 - listed / price))} % less" in headline(answer).sentence
    far = answer | {"catalogue_price_usd": 40 * price}
    assert "40.0 times as much" in headline(far).sentence
    unknown = answer | {"catalogue_price_usd": None}
    assert "listed" not in headline(unknown).sentence


def test_a_cell_without_an_answer_is_a_dash_and_says_why():
    words = ("design", "map", "--candidate", "prometheus-128tb", "--reference", "hgx-b200", *LLAMA)
    shown = CliRunner().invoke(app, words).stdout
    cells = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).stdout)["cells"]
    missing = sum(cell["price_usd"] is None for cell in cells)
    assert 0 < missing < len(cells)
    rows = [line for line in shown.splitlines() if "$" in line or " - " in line]
    assert sum(line.split().count("-") for line in rows) == missing
    assert "-: it does not fit there, meets no target, or no price above 0 would match" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(9.9996, "10.0"), (99.96, "100"), (0.099996, "0.100"), (-9.9996, "-10.0"), (9.99, "9.99")],
)
def test_a_rounded_number_has_three_digits(value, shown):
    assert figure(value) == shown


@pytest.mark.slow
def test_a_frontier_names_what_its_points_differ_in_and_nothing_else():
    words = ("frontier", "--exhaustive", "--systems", "hgx-h200", "--model", "llama-3.1-8b", "--quiet")
    both, one = (
        CliRunner().invoke(app, [*words, "--isls", lengths, "--precisions", "bf16,fp8"]).stdout
        for lengths in ("64,8192", "64")
    )
    heads = [" ".join(shown.partition("layout")[::2]).partition("───")[0] for shown in (both, one)]
    assert all("format" in head for head in heads)
    assert ["tokens  " in head for head in heads] == [True, False]


@pytest.mark.slow
def test_a_calibration_says_what_it_learnt(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "system,model,engine,isl,osl,concurrency,tp,tpot_ms\n"
        "hgx-h200,llama-3.1-70b,vllm,1024,1024,16,8,14\nhgx-h200,llama-3.1-70b,vllm,1024,1024,64,8,20\n"
    )
    words = ("calibrate", "--data", str(table), "--out", str(tmp_path / "mine.toml"), "--quiet")
    shown = CliRunner().invoke(app, words).stdout
    assert "median error of the time per output token of points left out, by the others" in shown
    assert "launch scale" in shown
    assert "expert read" not in shown  # a dense model has no experts to learn about


def test_a_table_of_which_no_row_can_be_predicted_says_what_its_rows_lack(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "system,model,engine,isl,osl,concurrency,tp,tpot_ms\nhgx-h200,llama-3.1-8b,vllm,1024,1024,,1,14\n"
    )
    done = CliRunner().invoke(app, ("validate", "--data", str(table), "--quiet"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "mine.csv: no row can be predicted: batch or concurrency not stated (1)" in done.stderr


@pytest.mark.slow
def test_a_design_that_a_limit_makes_dearer_says_so():
    words = (
        "design",
        "optimize",
        *OWN,
        "--model",
        "llama-3.1-8b",
        "--vary",
        "concurrency",
        "--max-tpot-ms",
        "20",
    )
    answer = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).stdout)
    dearer = answer | {"usd_per_mtok_start": answer["usd_per_mtok_total"] / 1.25}
    assert "so 25.0 % more, for a limit" in headline(dearer).sentence


POWER = "system,model,n_accelerators,tp,isl,osl,batch,output_tok_s,power_w,flag\n"


def test_a_table_of_power_is_judged_or_refused(tmp_path):
    data = tmp_path / "mine.csv"
    data.write_text(f"{POWER}hgx-h100,llama-3.1-8b,1,1,1000,500,64,4000,600,short-run\n")
    done = CliRunner().invoke(app, ["validate", "--data", str(data)])
    assert "Nine tenths of the rows (1, all of them flagged as unfit to judge by) are" in done.stdout
    assert "flagged 1" in done.stdout
    data.write_text(f"{POWER}hgx-h100,llama-3.1-8b,1,1,1000,500,64,4000,,\n")
    done = CliRunner().invoke(app, ["validate", "--data", str(data)])
    assert done.exit_code == 2
    assert "mine.csv: no row can be predicted: power not stated (1)" in done.stderr
