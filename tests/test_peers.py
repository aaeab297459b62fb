"""benchmarks/peers: the same rows for every tool, errors where all answer, and failures that are sentences."""

import json
import stat
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers"
sys.path.append(str(PEERS))

import adapter  # noqa: E402
import adapter_aiconfigurator  # noqa: E402
import adapter_vllm_sr_sim  # noqa: E402
import command  # noqa: E402
import compare  # noqa: E402
import environment  # noqa: E402
import measured  # noqa: E402
import ours  # noqa: E402
import recording  # noqa: E402
import scoring  # noqa: E402
import table  # noqa: E402

from clustermodel.calibration.observations import read_observations  # noqa: E402
from clustermodel.calibration.peers import METRICS, peer_predictions  # noqa: E402
from clustermodel.catalog import load_catalog  # noqa: E402

CATALOG = load_catalog()
ROW = {
    "id": "a",
    "system": "hgx-h200",
    "accelerator": "h200-sxm",
    "model": "llama-3.1-70b",
    "engine": "trtllm",
    "precision": "fp8",
    "kv_precision": "fp8",
    "isl": 921.6,
    "osl": 921.6,
    "concurrency": 64.0,
    "tp": 4.0,
    "pp": 1.0,
    "dp": 1.0,
    "ep": 1.0,
}
STAND_IN = f"""
import sys
sys.path.insert(0, {str(PEERS)!r})
from adapter import Peer, Unanswered, serve

def prepared(row):
    print("a library that talks on stdout")
    if row["model"] == "unknown":
        raise Unanswered("model not in its catalogue")
    return lambda: 1.0 / (row["concurrency"] - 1) * row["isl"]

serve(lambda: Peer("9.9", lambda row: row["model"], prepared, prepared, {{"ZeroDivisionError": "it divides"}}))
"""


@pytest.fixture(scope="module")
def rows():
    return measured.measured_rows(CATALOG)


@pytest.fixture
def pinned(tmp_path):
    """A peer whose adapter is the given text."""

    def make(text, **changes):
        path = tmp_path / "adapter_stand_in.py"
        path.write_text(text, encoding="utf-8")
        return environment.Pinned("stand-in", "9.9", (11, 99), "none", path)._replace(**changes)

    return make


def ask(peer, rows):
    return environment.asked(peer, sys.executable, rows, 0.0)


def sentence(text):
    assert len(text.strip().splitlines()) == 1
    assert "Traceback" not in text
    return text.strip()


def test_every_row_is_aggregated_unflagged_and_states_its_layout(rows):
    assert len(rows) > 2000
    assert rows["flag"].eq("").all()
    assert rows["disaggregated"].eq(0).all()
    assert rows["layout_assumed"].eq(0).all()
    assert rows[["tp", "pp", "dp", "ep", "isl", "osl", "concurrency", "tpot_ms"]].notna().all(axis=None)
    assert not rows["id"].duplicated().any()


def test_rows_by_lot_are_the_same_in_every_run(rows):
    drawn = measured.measured_rows(CATALOG, 7)
    assert drawn["id"].tolist() == measured.measured_rows(CATALOG, 7)["id"].tolist()
    assert set(drawn["id"]) < set(rows["id"])
    assert len(measured.measured_rows(CATALOG, 10**6)) == len(rows)


def test_no_tool_is_told_what_was_measured(rows):
    asked = json.loads(json.dumps(measured.questions(CATALOG, rows.head(3))))
    assert set(asked[0]) == {*measured.WORDS, *measured.NUMBERS}
    assert not any("ms" in name or "tok_s" in name for name in asked[0])
    assert asked[0]["accelerator"] == "b200-sxm"


def test_the_cache_has_the_format_of_the_row_or_the_one_that_our_prediction_assumes(rows):
    stated = read_observations(CATALOG, None, {}).loc[rows.index, "kv_precision"]
    told = rows["kv_precision"]
    assert (told[stated.ne("")] == stated[stated.ne("")]).all()
    hopper = rows["system"].isin(["hgx-h100", "hgx-h200"]) & stated.eq("")
    assert set(told[hopper & rows["engine"].eq("vllm") & rows["precision"].eq("fp8")]) == {"bf16"}
    assert set(told[hopper & rows["engine"].eq("trtllm") & rows["precision"].eq("fp8")]) == {"fp8"}


def test_a_row_becomes_a_point_in_the_words_of_aiconfigurator():
    found = adapter_aiconfigurator.point(ROW)
    assert (found.checkpoint, found.system) == ("nvidia/Llama-3.1-70B-Instruct-FP8", "h200_sxm")
    assert dict(found.formats) == {"kvcache_quant_mode": "fp8"}
    assert adapter_aiconfigurator.load(ROW) == {"batch_size": 64, "isl": 922, "osl": 922}


def test_experts_are_spread_over_the_accelerators_of_the_row():
    row = ROW | {"model": "deepseek-v3", "tp": 2.0, "dp": 4.0, "ep": 2.0}
    found = adapter_aiconfigurator.point(row)
    assert found.moe_tp * found.moe_ep == found.tp * found.dp
    assert adapter_aiconfigurator.load(row)["batch_size"] == 16  # of one attention rank


def test_a_16_bit_cache_has_the_name_that_aiconfigurator_gives_it():
    found = adapter_aiconfigurator.point(ROW | {"precision": "bf16", "kv_precision": "bf16"})
    assert dict(found.formats) == {"kvcache_quant_mode": "bfloat16"}


@pytest.mark.parametrize(
    ("ask", "changes", "why"),
    [
        (adapter_aiconfigurator.point, {"accelerator": "mi300x"}, "hardware"),
        (adapter_aiconfigurator.point, {"engine": "atom"}, "engine"),
        (adapter_aiconfigurator.point, {"precision": "int8"}, "precision"),
        (adapter_vllm_sr_sim.checked, {"accelerator": "b300-sxm"}, "hardware"),
        (adapter_vllm_sr_sim.checked, {"model": "gpt-oss-120b"}, "model"),
        (adapter_vllm_sr_sim.checked, {"dp": 8.0}, "parallelism"),
    ],
)
def test_a_row_that_a_peer_has_no_word_for_has_a_reason(ask, changes, why):
    with pytest.raises(adapter.Unanswered, match=why):
        ask(ROW | changes)


def test_an_adapter_answers_each_row_with_a_time_or_a_reason_whatever_its_peer_prints(pinned):
    asked = [ROW, ROW | {"id": "b", "model": "unknown"}, ROW | {"id": "c", "concurrency": 1.0}]
    found = ask(pinned(STAND_IN), asked)
    answers = {row.pop("id"): row for row in found["answers"]}
    assert answers["a"] == {"tpot_ms": pytest.approx(921.6 / 63)}
    assert answers["b"] == {"reason": "model not in its catalogue"}
    assert answers["c"] == {"reason": "it divides"}
    assert found["version"] == "9.9"
    assert found["setup_s"] > 0
    assert found["per_s"]["prepared"] > 0
    assert found["per_s"]["from_names"] > 0


def test_a_peer_that_answers_nothing_has_no_rate(pinned):
    found = ask(pinned(STAND_IN), [ROW | {"model": "unknown"}])
    assert found["per_s"] == {"from_names": None, "prepared": None}


def test_an_adapter_may_answer_with_more_times_than_one(pinned):
    more = STAND_IN.replace('"it divides"}', '"it divides"}, lambda ms: {"tpot_ms": ms, "ttft_ms": 2 * ms}')
    (answer,) = ask(pinned(more), [ROW])["answers"]
    assert answer["ttft_ms"] == pytest.approx(2 * answer["tpot_ms"])


def test_rates_count_whole_rounds_and_at_least_one():
    made = []
    found = adapter.counted([lambda: made.append(1), lambda: made.append(2)], 0.0)
    assert made == [1, 2]
    assert found.n == 2
    twice = adapter.together([adapter.Counted(2, 1.0), adapter.Counted(4, 2.0)])
    assert twice.per_s == pytest.approx(2.0)


def test_a_sample_is_spread_over_the_rows():
    assert adapter.spread(range(100), 4) == [0, 25, 50, 75]
    assert adapter.spread(range(3), 8) == [0, 1, 2]


def test_a_crash_of_an_adapter_is_a_sentence_with_its_last_words(pinned):
    with pytest.raises(environment.NoAnswer) as caught:
        ask(pinned("raise SystemError('tables are gone')"), [ROW])
    assert sentence(str(caught.value)) == "adapter_stand_in.py failed: SystemError: tables are gone"


def test_an_answer_that_is_not_json_is_a_sentence(pinned):
    with pytest.raises(environment.NoAnswer, match="not JSON"):
        ask(pinned("print('hello')"), [ROW])


def test_an_environment_is_made_once(pinned, tmp_path, monkeypatch):
    peer = pinned("")
    (tmp_path / environment.INSTALLED).write_text(peer.requirement, encoding="utf-8")
    monkeypatch.setattr(environment, "interpreter", lambda peer: pytest.fail("made again"))
    assert environment.environment(peer, tmp_path) == tmp_path / "bin" / "python"


def test_a_package_that_cannot_be_installed_is_named_in_a_sentence(pinned, tmp_path, monkeypatch, capsys):
    maker = tmp_path / "python"
    inner = "echo 'ERROR: No matching distribution found for stand-in' >&2; exit 1"
    maker.write_text(
        "#!/bin/sh\n"  # called as `-m venv HOME`, it makes an interpreter whose pip fails
        'mkdir -p "$3/bin"\n'
        f'printf \'%s\\n\' "#!/bin/sh" "{inner}" > "$3/bin/python"\n'
        'chmod +x "$3/bin/python"\n',
        encoding="utf-8",
    )
    maker.chmod(maker.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(environment, "interpreter", lambda peer: str(maker))
    home = tmp_path / "home"
    with pytest.raises(environment.NoAnswer) as caught:
        environment.environment(pinned(""), home)
    assert sentence(str(caught.value)).startswith(f"stand-in==9.9 could not be installed into {home} (")
    assert not (home / environment.INSTALLED).exists()
    assert "installing stand-in==9.9" in capsys.readouterr().err


def test_a_python_that_no_peer_installs_on_is_a_sentence(pinned, monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(environment.NoAnswer, match=r"needs Python 3\.98 to 3\.99"):
        environment.interpreter(pinned("", pythons=(98, 99)))


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--peers", "nobody"], "unknown peer 'nobody'"), (["--rows", "none"], "number of rows above 0")],
)
def test_a_wrong_question_ends_with_2_and_a_sentence(words, why, capsys):
    assert compare.main(words) == 2
    assert why in sentence(capsys.readouterr().err)


@pytest.mark.parametrize(("script", "asks"), [(compare, "compared"), (recording, "environment")])
def test_a_peer_without_an_answer_ends_with_3_and_a_sentence(script, asks, monkeypatch, capsys):
    def fails(*_):
        raise environment.NoAnswer("the network is down")

    monkeypatch.setattr(script, asks, fails)
    assert script.main([]) == 3
    assert sentence(capsys.readouterr().err) == "the network is down"


def test_errors_are_of_the_prediction_against_the_measurement():
    measured_ms, bound = pd.Series([10.0, 10.0, 10.0]), pd.Series([8.0, 8.0, 8.0])
    found = scoring.errors(pd.Series([11.0, 8.0, 7.0]), measured_ms, bound)
    assert found["n"] == 3
    assert found["median_abs_pct"] == pytest.approx(20.0)
    assert found["p90_abs_pct"] == pytest.approx(28.0)
    assert found["bias_pct"] == pytest.approx(-20.0)
    assert found["below_bound"] == 1  # 8.0 is at the bound


def test_tools_are_scored_on_the_rows_that_all_of_them_answer():
    answers = [{"id": "a", "tpot_ms": 9.0}, {"id": "b", "reason": "hardware"}, {"id": "c", "tpot_ms": 12.0}]
    rows = pd.DataFrame({"measured": 10.0, "bound": 1.0, "us": [10.0, 10.0, 10.0]}, index=["a", "b", "c"])
    rows["them"] = scoring.answers_by_id(answers)
    index = scoring.common(rows, ["us", "them"])
    assert index.tolist() == ["a", "c"]
    assert scoring.on_rows(rows, ["them"], index)["them"]["median_abs_pct"] == pytest.approx(15.0)


def test_reasons_are_counted_the_most_frequent_first():
    answers = [{"id": i, "reason": why} for i, why in enumerate(["a", "b", "b"])]
    assert list(scoring.reasons([*answers, {"id": 9, "tpot_ms": 1.0}]).items()) == [("b", 2), ("a", 1)]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The whole comparison on a few rows with a stand-in for the peers; our rates are not counted."""
    path = tmp_path_factory.mktemp("peers") / "adapter_stand_in.py"
    path.write_text(STAND_IN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        stand_in = environment.Pinned("stand-in", "9.9", (11, 99), "none", path)
        patched.setattr(compare, "PEERS", dict.fromkeys(environment.PEERS, stand_in))
        patched.setattr(compare, "environment", lambda peer: sys.executable)
        patched.setattr(compare, "BUDGET", 0.0)
        patched.setattr(ours, "speed", lambda *_: {"from_names": 1.0, "prepared": 2.0, "batched": 4e5})
        yield compare.compared(CATALOG, list(environment.PEERS), 5)


def test_all_tools_are_in_the_result_with_versions_errors_and_what_they_have_seen(result):
    assert set(result["tools"]) == {*ours.EFFECTS, *environment.PEERS}
    assert set(result["common"]["errors"]) == set(result["tools"])
    for tool in result["tools"].values():
        assert tool["version"]
        assert tool["has_seen"]
        assert tool["answers"] + sum(tool["reasons"].values()) == result["rows"]["n"]
    assert {each["left_out"] for each in result["left_out"]} >= {"curve", "model", "system"}


def test_our_rows_are_predicted_as_validate_does_and_never_below_the_bound(result):
    for name in ours.EFFECTS:
        assert result["common"]["errors"][name]["below_bound"] == 0
    assert result["tools"]["clustermodel"]["answers"] == 5


def test_the_table_names_every_tool_and_fits_a_hundred_columns(result):
    text = table.text(result)
    assert all(name in text for name in result["tools"])
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_result_is_written_whole(result, tmp_path):
    path = tmp_path / "peers.json"
    command.written(json.dumps(result), path)
    assert json.loads(path.read_text())["kind"] == "bench-peers"
    assert [each.name for each in tmp_path.iterdir()] == ["peers.json"]


def test_the_figures_that_ship_are_of_all_rows_and_of_the_pinned_versions(rows):
    found = json.loads((compare.RESULTS / "peers-cpu.json").read_text(encoding="utf-8"))
    assert found["rows"]["n"] == len(rows)
    for name, peer in environment.PEERS.items():
        assert found["tools"][name]["version"] == peer.version
    assert found["common"]["errors"]["clustermodel"]["below_bound"] == 0


def test_a_record_has_the_rows_that_are_answered_in_their_order():
    answers = [
        {"id": "b", "tpot_ms": 12.3456789, "ttft_ms": 100.0},
        {"id": "c", "reason": "hardware"},
        {"id": "a", "tpot_ms": 1.0, "ttft_ms": 2.0},
    ]
    found = recording.predictions({"version": "9.9", "answers": answers}, ["a", "b", "c"])
    assert found["id"].tolist() == ["a", "b"]
    assert found.loc[1].to_dict() == {
        "id": "b", "peer": recording.PEER, "version": "9.9", "tpot_ms": "12.3457", "ttft_ms": "100"
    }  # fmt: skip


def test_some_rows_are_recorded_on_the_screen_and_into_no_file(pinned, monkeypatch, capsys):
    more = STAND_IN.replace('"it divides"}', '"it divides"}, lambda ms: {"tpot_ms": ms, "ttft_ms": 2 * ms}')
    monkeypatch.setattr(recording, "PEERS", {recording.PEER: pinned(more)})
    monkeypatch.setattr(recording, "environment", lambda peer: sys.executable)
    monkeypatch.setattr(recording, "written", lambda *_: pytest.fail("written"))
    assert recording.main(["--rows", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "id,peer,version,tpot_ms,ttft_ms"
    assert len(lines) == 1 + 3


def test_the_predictions_that_ship_are_those_of_the_comparison_that_ships(rows):
    shipped = peer_predictions(CATALOG)
    found = json.loads((compare.RESULTS / "peers-cpu.json").read_text(encoding="utf-8"))
    errors = found["answered_by"][recording.PEER]["errors"][recording.PEER]
    assert set(shipped["peer"] + " " + shipped["version"]) == {
        f"{recording.PEER} {found['tools'][recording.PEER]['version']}"
    }
    assert set(shipped["id"]) <= set(rows["id"])
    assert not shipped["id"].duplicated().any()
    assert len(shipped) == errors["n"]
    assert shipped[list(METRICS)].gt(0).all(axis=None)
    measured_ms = rows.set_index("id")["tpot_ms"].loc[shipped["id"]].to_numpy()
    error = (shipped["tpot_ms"] / measured_ms - 1).abs() * 100
    assert error.median() == pytest.approx(errors["median_abs_pct"], abs=1e-3)  # six digits are written
