"""Charts show the numbers of their answer, with units and names; pages carry everything, escaped, and load nothing."""

import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import clustermodel as cm
from clustermodel.cli.main import app
from clustermodel.report.charts import charts, theme
from clustermodel.report.charts.data import Bars, Curves, Field, Spans, Waterfall
from clustermodel.report.charts.market import capex
from clustermodel.report.document import section, table
from clustermodel.report.kinds import KINDS
from clustermodel.report.rows import plain, rows
from clustermodel.report.validation import beside_peer

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

LLAMA = ("--model", "llama-3.1-70b", "--precision", "fp8", "--max-tpot-ms", "50")
HOSTILE = "<script>alert('x')</script> $m$ & \"q\" | `c`"


@pytest.fixture(scope="module")
def compared():
    systems = ["hgx-b200", "hgx-h200", "prometheus-128tb"]
    return plain(cm.compare(systems, "llama-3.1-70b", precision="fp8", max_tpot_ms=50))


@pytest.fixture(scope="module")
def traced():
    return plain(cm.frontier(["hgx-b200", "hgx-h200"], "llama-3.1-70b", precision="fp8"))


def asked(*words):
    done = CliRunner().invoke(app, [*words, "--format", "json", "--quiet"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def risky():
    return asked("risk", "--scenario", "anchor-defaults", "--paths", "256")


@pytest.fixture(scope="module")
def planned():
    return asked("fleet", "melange")


def row(name, low, high, elasticity, confidence="published"):
    return {
        "entry": "prices/ownership",
        "field": name,
        "value": 1.0,
        "confidence": confidence,
        "elasticity": elasticity,
        "low": low,
        "high": high,
    }


SENSITIVE = {
    "kind": "design_sensitivity",
    "inputs": {"system": "a", "model": "b", "output": "usd_per_mtok_total"},
    "layout": {"tp": 8, "pp": 1, "dp": 1, "ep": 1},
    "concurrency": 64.0,
    "elasticities": [
        row("life", 0.8, 1.3, -0.7, "assumption"),
        row("wacc", 0.9, 1.1, 0.2),
        row("tdp", 1.0, 1.0, -0.9),
    ],
}
SCORES = [
    {
        "by": by,
        "key": key,
        "metric": "tpot_ms",
        "n": 9,
        "median_abs_pct": 6.0,
        "p90_abs_pct": 20.0,
        "bias_pct": 1.0,
    }
    for by, key in (("mode", "aggregated"), ("all", "all"))
]
SCORED = [
    {"metric": "tpot_ms", "mode": "aggregated", "measured": 10.0, "predicted": 11.0},
    {"metric": "tpot_ms", "mode": "offline", "measured": 100.0, "predicted": 150.0},
]
VALIDATED = {"kind": "validate", "groups": SCORES, "skipped": [], "rows": SCORED}
MAPPED = {
    "kind": "design_map",
    "inputs": {"candidate": "a", "reference": "b", "model": "c", "over": "bandwidth-touched"},
    "units": {"bandwidth": "B/s", "touched": ""},
    "cells": [
        {
            "bandwidth": b,
            "touched": t,
            "price_usd": None if b < 2e12 else b * 1e-6 / t,
            "reference_usd_per_mtok": 1.0,
        }
        for t in (1.0, 0.1)
        for b in (1e12, 2e12, 4e12)
    ],
}
DEALS = {
    "kind": "catalog_list",
    "entries": [
        {"name": "big", "value_usd": 200e9, "power_mw": 5000.0, "term_years": 5.0},
        {"name": "small", "value_usd": 3e9, "power_mw": 750.0, "term_years": 3.0},
        {"name": "unknown power", "value_usd": 1e9, "power_mw": None, "term_years": 3.0},
    ],
}


def by_key(answer):
    found = charts(answer)
    assert len({chart.key for chart in found}) == len(found)
    return {chart.key: chart for chart in found}


@pytest.fixture(scope="module")
def broken_even(compared):
    return {
        "kind": "design_breakeven",
        "price_usd": {"value": 2e5, "low": 1e5, "high": 4e5},
        "catalogue_price_usd": 3.3e6,
        "usd_per_mtok": 0.07,
        "candidate": compared["points"][-1],
        "reference": compared["points"][0],
    }


@pytest.fixture(scope="module")
def powered():
    return asked("power", "--system", "hgx-b200", *LLAMA)


@pytest.fixture(scope="module")
def everything(compared, traced, risky, planned, broken_even, powered):
    real = [compared["points"][0], compared, traced, risky, planned]
    return [*real, SENSITIVE, broken_even, powered, VALIDATED, MAPPED, DEALS]


def test_a_frontier_shows_every_point_at_its_price_and_tokens_per_megawatt(traced):
    found, own = by_key(traced), [p for p in traced["points"] if p["system"] == "hgx-h200"]
    for key, field in (("price-speed", "usd_per_mtok_total"), ("power-speed", "tok_s_per_mw")):
        curve = next(curve for curve in found[key].curves if curve.name == "hgx-h200")
        assert sorted(curve.y) == sorted(point[field] for point in own)
        assert list(curve.x) == sorted(point["interactivity_tok_s_user"] for point in own)
    assert found["price-speed"].y.log
    assert found["price-speed"].y.unit == "USD per million"


def test_parts_of_time_money_and_price_sum_to_what_the_answer_says(compared):
    point = compared["points"][0]
    found = by_key(point)
    assert found["time"].totals[0] == pytest.approx(point["tpot_ms"])
    assert found["money"].totals[0] == pytest.approx(point["usd_per_accelerator_hour"])
    assert found["tco"].total == pytest.approx(point["usd_per_mtok_total"])
    assert dict(found["tco"].steps)["capital"] > 0.3 * found["tco"].total


def test_every_tier_is_full_or_free_to_the_last_per_cent(compared):
    memory = by_key(compared)["memory"]
    assert memory.totals == pytest.approx([100.0] * len(memory.names))
    held = {
        part.name: part.values[memory.names.index(name)] for name in memory.names[:1] for part in memory.parts
    }
    first = compared["points"][0]["memory"]
    assert held["weights"] == pytest.approx(100 * first["weights_gb"] / first["capacity_gb"])


def test_no_operating_point_lies_above_its_roof(compared):
    chart = by_key(compared)["roofline"]
    roofs = {c.name.removeprefix("roof of "): c for c in chart.curves if c.form == "line"}
    for dots in (c for c in chart.curves if c.form == "points"):
        assert len(dots.x) >= 1
        for x, y in zip(dots.x, dots.y, strict=True):
            roof = np.exp(np.interp(np.log(x), np.log(roofs[dots.name].x), np.log(roofs[dots.name].y)))
            assert y <= roof * (1 + 1e-9)


def test_prices_of_apis_stand_beside_systems_and_have_no_other_charts(compared):
    api = {"system": "some-api", "provider": "p", "usd_per_mtok_total": 9.0}
    found = by_key(
        compared | {"points": [*compared["points"], api, {"system": "tiny", "reason": "does not fit"}]}
    )
    assert found["price"].names[-1] == "some-api"
    assert "some-api" not in found["time"].names
    assert section(compared | {"points": [api, *compared["points"]]}).headline.answer.startswith("some-api")


def test_a_tornado_is_ranked_and_marks_guesses():
    found = by_key(SENSITIVE)
    assert [(span.name, span.guessed) for span in found["tornado"].spans] == [
        ("prices: life", True),
        ("prices: wacc", False),
    ]
    assert [span.low + span.high for span in found["elasticities"].spans] == [-0.9, -0.7, 0.2]


def test_a_fan_holds_its_median_between_its_quantiles(risky):
    fans = [chart for key, chart in by_key(risky).items() if key.startswith("fan-")]
    assert fans
    for chart in fans:
        (curve,) = chart.curves
        assert all(low <= y <= high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))
    assert by_key(risky)["buyers"].totals[0] == pytest.approx(39.76)  # billion USD, the anchor's contract


def test_a_fleet_shows_what_is_ordered_and_that_all_work_is_served(planned):
    found = by_key(planned)
    assert sum(found["orders"].totals) == pytest.approx(sum(row["systems"] for row in planned["purchases"]))
    shares = [share for line in found["unmet"].values for share in line if share is not None]
    assert shares == pytest.approx([100.0] * len(planned["unmet"]))
    assert sum(found["served"].totals) == pytest.approx(sum(row["demand"] for row in planned["unmet"]))


def test_shadow_prices_are_shown_by_unit_over_the_periods():
    rows = [
        {
            "constraint": "power",
            "site": "x",
            "system": "",
            "period": p,
            "value": v,
            "unit": "USD/kW",
            "basis": "lp",
        }
        for p, v in (("2026", 3.0), ("2027", 0.0), ("2028", 5.0))
    ]
    (chart,) = charts({"kind": "fleet", "shadow_prices": rows})
    (curve,) = chart.curves
    assert (curve.name, curve.x, curve.y) == ("power x", (1.0, 2.0, 3.0), (3.0, 0.0, 5.0))
    assert (chart.x.names, chart.y.unit) == (("2026", "2027", "2028"), "USD/kW")
    assert not charts({"kind": "fleet", "shadow_prices": rows[:1]})  # one number is no course


def test_deals_are_ranked_by_billions_a_gigawatt_year():
    (chart,) = charts(DEALS)
    assert dict(zip(chart.names, chart.totals, strict=True)) == pytest.approx({"big": 8.0, "small": 4 / 3})


def test_capex_is_stacked_by_company_in_every_period():
    rows = [("A", "2025", 10e9), ("B", "2025", 20e9), ("A", "2026", 40e9)]
    chart = capex([dict(zip(("company", "period", "usd"), each, strict=True)) for each in rows])
    assert chart.names == ("2025", "2026")
    assert chart.totals == (30.0, 40.0)


@pytest.fixture(scope="module")
def spent():
    return asked("catalog", "list", "capex")


def test_every_amount_of_capital_spending_names_a_source_and_tells_reports_from_guides(spent):
    known = {source["key"] for source in spent["sources"]}
    assert all(row["source"] in known and row["date"] for row in spent["rows"])
    assert {row["basis"] for row in spent["rows"]} == {"actual", "guide"}
    four = ("Alphabet", "Amazon", "Meta", "Microsoft")
    own = [row for row in spent["rows"] if row["company"] in four and row["period"] == "2026"]
    guided = sum(row["usd"] for row in own if row["basis"] == "guide")
    assert guided == pytest.approx(710e9)  # the middles of the guides; 725 is the sum of their tops


def test_a_guide_is_never_added_to_a_report_nor_a_sum_to_its_parts(spent):
    found = by_key(spent)
    yearly = dict(zip(found["capex-year"].names, found["capex-year"].totals, strict=True))
    assert yearly["Alphabet 2025"] == pytest.approx(91.5)  # reported; the guide of 92 stands aside
    assert yearly["Amazon 2026"] == pytest.approx(200)
    reported, guided = (part.values for part in found["capex-year"].parts)
    assert not any(one and other for one, other in zip(reported, guided, strict=True))
    assert not any("+" in name for name in (*found["capex-year"].names, *found["capex-quarter"].names))


def test_a_wrong_table_of_capital_spending_is_refused_line_by_line(tmp_path):
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements/capex.csv").write_text(
        "company,period,usd,basis,low,high,source,confidence,date,note\nA,2025,much,hope,,,nobody,published,,\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(app, ["catalog", "list", "capex", "--configs", str(tmp_path)])
    assert done.exit_code == 2
    for sentence in (
        "capex.csv:2: usd: write a finite number",
        "basis: write one of actual, guide",
        "source 'nobody'",
    ):
        assert sentence in done.output


def test_validation_counts_what_is_within_the_band():
    chart = by_key(VALIDATED)["scatter-tpot-ms"]
    assert chart.says == "50 % of the rows (2) are within 20 %."
    assert {curve.name for curve in chart.curves[1:]} == {"aggregated", "offline"}
    assert by_key(VALIDATED)["errors-tpot-ms"].totals == (20.0,)


def test_validation_tells_rows_seen_from_rows_left_out_beside_a_peer():
    sizes = {"beside_peer_median_abs_pct": 6.0, "beside_peer_p90_abs_pct": 18.0}
    sizes |= {"peer_median_abs_pct": 9.4, "peer_p90_abs_pct": 29.4, "peer_n": 7}
    unseen = {"left_out": "model", "source": "all", "mode": "aggregated", "metric": "tpot_ms", **sizes}
    answer = {"peer": "a peer 1.0", "groups": [group | sizes for group in SCORES]}
    answer |= {"cross_validation": {"errors": [unseen, unseen | {"mode": "offline"}]}}
    screen = Console(file=io.StringIO(), width=100)
    screen.print(*beside_peer(answer))
    lines = screen.file.getvalue().splitlines()
    assert [line.split()[:2] for line in lines if "tpot_ms" in line] == [["seen", "by"], ["model", "left"]]
    assert "a peer 1.0" in lines[1]
    assert all("6.0 / 18" in line and "9.4 / 29" in line for line in lines if "tpot_ms" in line)
    assert not list(beside_peer(answer | {"peer": ""}))


def test_a_map_keeps_its_holes_and_its_units():
    (chart,) = charts(MAPPED)
    assert isinstance(chart, Field)
    assert (chart.xs, chart.x.unit) == ((1.0, 2.0, 4.0), "TB/s")
    assert chart.values[1] == (None, 2.0, 4.0)  # touched 1.0, millions of dollars


def test_the_price_that_matches_stands_between_its_ends_and_beside_the_catalogue(broken_even):
    chart = by_key(broken_even)["breakeven"]
    assert dict(zip(chart.names, chart.totals, strict=True)) == pytest.approx(
        {
            "in the catalogue": 3.3,
            "that matches": 0.2,
            "that matches, at the least": 0.1,
            "that matches, at the most": 0.4,
        }
    )
    certain = broken_even | {"price_usd": {"value": 2e5, "low": 2e5, "high": 2e5}}
    assert by_key(certain)["breakeven"].names == ("in the catalogue", "that matches")


def test_every_chart_names_its_axes_units_and_parts_and_says_what_to_see(everything):
    kinds = set()
    for answer in everything:
        for chart in charts(answer):
            kinds.add(type(chart))
            axes = [chart.x, chart.y] if isinstance(chart, Curves | Field) else [chart.value]
            axes += [chart.z] if isinstance(chart, Field) else []
            assert all(axis.label for axis in axes)
            assert any(axis.unit for axis in axes), chart.key
            assert chart.title
            assert chart.says.endswith(".")
            assert chart.rows()
            names = {Curves: "curves", Bars: "parts", Spans: "spans", Waterfall: "steps", Field: "xs"}
            assert getattr(chart, names[type(chart)])
    assert kinds == {Curves, Bars, Spans, Waterfall, Field}


def test_every_chart_is_drawn_with_its_title_units_and_legend_as_text(everything):
    from clustermodel.report.charts.draw import svg

    drawn = {chart.key: chart for answer in everything for chart in charts(answer)}
    for key, chart in drawn.items():
        element = ET.fromstring(svg(chart, "1-"))
        text = " ".join("".join(node.itertext()) for node in element.iter())
        axis = chart.y if isinstance(chart, Curves | Field) else chart.value
        assert axis.title in text, key
        if isinstance(chart, Curves) and len(chart.curves) > 1:
            assert all((curve.of or curve.name) in text for curve in chart.curves)
        ids = [node.get("id") for node in element.iter() if node.get("id")]
        assert all(name.startswith("1-") for name in ids)


def test_a_picture_is_the_same_every_time_and_follows_the_theme(compared):
    from clustermodel.report.charts.draw import svg

    chart = charts(compared["points"][0])[0]
    assert svg(chart) == svg(chart)
    assert "var(--series1)" in svg(chart)
    assert "#0072b2" not in svg(chart)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK])
def test_colours_stand_out_from_the_ground(palette):
    ground = palette["ground"]
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert all(theme.contrast(palette[name], ground) >= 3 for name in palette if name.startswith("series"))
    assert all(theme.contrast(palette[name], ground) >= 7 for name in ("ink", "soft"))
    assert theme.contrast(palette["link"], ground) >= 4.5
    assert theme.contrast(palette["ink"], palette["fill"]) >= 7  # what is written in a field
    bars = [palette[name] for name in palette if name.startswith("series")]
    assert all(theme.contrast(ground, bar) >= 4.5 for bar in bars)  # numbers in bars


@pytest.fixture(scope="module")
def page(everything):
    from clustermodel.report.page import html

    return html([section(answer) for answer in everything])


def test_a_page_has_one_id_once_and_loads_nothing(page):
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert not re.findall(r'\s(?:src|data|action)="', page)
    assert "default-src 'none'" in page
    assert all(
        url.startswith(("https://", "http://", "#", "data:,"))
        for url in re.findall(r'\shref="([^"]*)"', page)
    )


def test_a_page_tells_the_answer_then_inputs_guesses_and_dated_sources(compared):
    from clustermodel.report.page import html, markdown

    point = compared["points"][0]
    for made in (html, markdown):
        text = made([section(point)])
        order = [
            text.index(part)
            for part in ("per million tokens", "Where the time goes", "Every number behind it")
        ]
        assert order == sorted(order)
        assert "~ price" in text
        assert f"clustermodel {cm.__version__}" in text
        for source in point["sources"]:
            assert source["key"] in text
            assert not source.get("url") or source["url"].replace("&", "&amp;") in text


def test_every_picture_has_a_text_alternative_and_a_table(page, everything):
    total = sum(len(charts(answer)) for answer in everything)
    assert len(re.findall(r'role="img" aria-label="[^"]{20,}"', page)) == total
    assert page.count("<figcaption>") == page.count("<svg ") == total


def test_hostile_names_stay_text_in_pages_and_pictures(compared):
    from clustermodel.report.page import html, markdown

    source = {"key": "k", "title": HOSTILE, "url": "javascript:alert(1)"}
    point = compared["points"][0] | {"model": HOSTILE, "system": HOSTILE, "sources": [source]}
    page, text = html([section(point)]), markdown([section(point)])
    for made in (page, text):
        assert "<script>alert" not in made
        assert "javascript:" not in made
    assert "&lt;script&gt;alert" in page
    assert page.count("<script>") == 1  # ours, whose digest the page's policy names


def test_the_version_and_the_seed_are_at_the_end(risky):
    assert section(risky).made_by == f"clustermodel {cm.__version__}, answer form 1, seed 0"


def test_rows_of_power_are_its_caps(powered):
    assert len(powered["oversubscription"]) > 1
    assert [row["cap_w"] for row in rows(powered)] == [cap["cap_w"] for cap in powered["caps"]]


def test_few_things_of_which_much_is_known_stand_beside_each_other():
    made = table("points", [{"name": n, **{f"field_{i}": i for i in range(20)}} for n in ("a", "b")])
    assert made.headings == ("name", "a", "b")
    assert [cell.text for cell in made.rows[3]] == ["field 3", "3", "3"]
    assert table("points", [{"name": "a", "field": 1}]).headings == ("name", "field")


def test_a_long_table_says_how_long_it_is():
    shown = table("many", [{"n": i} for i in range(1000)])
    assert (len(shown.rows), shown.total) == (200, 1000)


def test_the_command_writes_a_page_markdown_and_pictures(compared, tmp_path):
    answer, page, folder = tmp_path / "a.json", tmp_path / "r.html", tmp_path / "figures"
    answer.write_text(json.dumps(compared["points"][0]), encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(answer), "--out", str(page), "--figures", str(folder)])
    assert done.exit_code == 0
    assert done.output.endswith(f"wrote {page}\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    names = {path.name for path in folder.iterdir()}
    assert {"1-time.svg", "1-time.png", "1-roofline.svg"} <= names
    assert (
        CliRunner()
        .invoke(app, ["report", str(answer), "--format", "md"])
        .output.startswith("# llama-3.1-70b")
    )


def test_rows_of_validate_become_charts(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "id,metric,mode,measured,predicted\na,tpot_ms,offline,10,11\nb,tpot_ms,static,20,\n", encoding="utf-8"
    )
    done = CliRunner().invoke(app, ["report", str(rows), "--format", "md"])
    assert done.exit_code == 0
    assert "100 % of the rows (1) are within 20 %" in done.output  # the row that has a prediction


def test_a_table_of_capital_spending_becomes_a_chart(tmp_path):
    rows = tmp_path / "capex.csv"
    rows.write_text("company,period,usd\nA,2025,10e9\nB,2025,\nA,2026,40e9\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(rows), "--format", "md"])
    assert done.exit_code == 0
    assert "40.0 billion USD in 2026, after 10.0 in 2025" in done.output


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "no json"),
        ("a.json", "[1]"),
        ("a.json", '{"kind": "cost"}'),
        ("a.json", '{"kind": "compare", "points": []}'),
        ("a.json", "[" * 100_000),
        ("a.json", '{"kind": "cost", "inputs": ' + '{"a": ' * 100_000),
        ("a.json", '{"kind": "capex", "rows": [{"usd": NaN}]}'),
        ("a.csv", "a,b\n1,2\n"),
        ("a.csv", ""),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_answer_is_refused_in_one_sentence(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 2
    assert done.output.startswith(f"error: {path}: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"kind": "costs"}',
            "'costs' is no kind of answer; did you mean cost?; a report shows cost, compare,",
        ),
        ('{"kind": "recipe"}', "'recipe' is no kind of answer; a report shows cost, compare, frontier"),
        (
            '{"kind": "cost", "schema": 99}',
            "an answer of form 99, of which this version reads 1; make it anew",
        ),
    ],
)
def test_an_answer_of_an_unknown_kind_or_form_is_no_empty_page(tmp_path, text, sentence):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 2
    assert sentence in done.output


def test_every_kind_of_answer_that_is_made_can_be_shown():
    """Those of commands and of functions; shapes of recurrent layers have kinds of their own."""
    sources = [path for path in Path(cm.__file__).parent.rglob("*.py") if path.parent.name != "catalog"]
    made = "".join(path.read_text(encoding="utf-8") for path in sources)
    kinds = {*re.findall(r'"kind": "([a-z_-]+)"', made), *re.findall(r'\.answer\(\s*"([a-z_-]+)"', made)}
    assert {"cost", "design_map", "bench-model", "catalog_entry", "fleet"} <= kinds
    assert kinds - {"explore", "report"} <= set(KINDS)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "many"])
@pytest.mark.parametrize(
    ("head", "row", "column"),
    [
        ("company,period,usd", "A,2025,{}", "usd"),
        ("metric,mode,measured,predicted", "tpot_ms,static,1,{}", "predicted"),
    ],
)
def test_a_number_that_cannot_be_drawn_is_refused_with_file_line_and_column(
    tmp_path, head, row, column, number
):
    path = tmp_path / "rows.csv"
    path.write_text(f"{head}\n{row.format(1)}\n{row.format(number)}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 2
    assert f"{path}:3: {column}: write a finite number, got '{number}'" in done.output


def test_a_report_never_takes_the_place_of_its_answer(compared, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(compared["points"][0]), encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    link = tmp_path / "link.html"
    link.symlink_to(path)
    for out in (["--format", "html", "--out", str(path)], ["--out", str(link)]):
        done = CliRunner().invoke(app, ["report", str(path), *out])
        assert done.exit_code == 2
        assert "the page would take the place of the answer; name another file" in done.output
    assert path.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("option", [("--set", "site.electricity=1 USD/kWh"), ("--configs", "/nonexistent")])
def test_a_report_refuses_changes_that_it_cannot_compute(compared, tmp_path, option):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(compared["points"][0]), encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(path), *option])
    assert done.exit_code == 2
    assert f"{' '.join(option)}: a report shows answers as they are" in done.output
