"""The explorer: its states, its pages over HTTP, its file of options, and the whole of it in a real browser."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import threading
import time
import tomllib
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.cli._command import Ask
from clustermodel.cli.main import app
from clustermodel.explore.answer import changed
from clustermodel.explore.state import SLIDERS, overrides, read_state, start_values
from clustermodel.report.charts import theme

pytest.importorskip("matplotlib")
uvicorn = pytest.importorskip("uvicorn")

INKS = """() => {
  const two = (number) => (+number).toString(16).padStart(2, "0");
  const hex = (color) => "#" + color.match(/[0-9]+/g).slice(0, 3).map(two).join("");
  const ground = (each) => {
    const own = getComputedStyle(each).backgroundColor;
    return own === "rgba(0, 0, 0, 0)" ? (each.parentElement ? ground(each.parentElement) : "rgb(255, 255, 255)") : own;
  };
  return [...document.body.querySelectorAll("*:not(svg *):not(script):not(style)")]
    .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((each) => [hex(getComputedStyle(each).color), hex(ground(each))]);
}"""
"""Colour and ground of every element with text of its own."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def catalog():
    return load_catalog()


@contextlib.contextmanager
def served(catalog):
    """The explorer on a free port until the end of the block."""
    from clustermodel.explore.app import application
    from clustermodel.explore.serve import listener

    listening = listener(0)
    server = uvicorn.Server(uvicorn.Config(application(catalog), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address(catalog):
    """The explorer, compiled, for all tests of the file."""
    from clustermodel.explore.serve import warm

    warm(catalog)
    with served(catalog) as name:
        yield name


def fetch(address, path, host="127.0.0.1"):
    connection = http.client.HTTPConnection(*address, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read().decode()


def written(state):
    """The state of a file as options of a command, for a JSON answer."""
    kept = tomllib.loads(state)
    sets = [word for target, value in kept.pop("set", {}).items() for word in ("--set", f"{target}={value}")]
    named = [word for name, value in kept.items() for word in (f"--{name}", str(value))]
    return [*named, *sets, "--format", "json", "--quiet"]


def price_in(text):
    return float(re.search(r"\$([\d.]+) per million tokens", text)[1])


def test_a_state_that_nobody_touched_changes_no_number_of_the_catalogue(catalog):
    untouched = {name: f"{value:g}" for name, value in start_values(catalog).items()}
    state = read_state(catalog, untouched)
    assert state == read_state(catalog, {})
    assert overrides(catalog, state) == {}
    assert state.query == "max_tpot_ms=50"


def test_a_rate_is_carried_by_whole_systems_on_the_page_and_in_the_file(catalog, address):
    state = read_state(catalog, {"rate": "40"})
    assert read_state(catalog, dict(part.split("=") for part in state.query.split("&"))) == state
    status, _, text = fetch(address, f"/price?{state.query}")
    assert status == 200
    assert "peaks and repairs included" in text
    _, _, file = fetch(address, f"/state.toml?{state.query}")
    assert tomllib.loads(file)["rate"] == 40
    answer = json.loads(CliRunner().invoke(app, ["cost", *written(file)]).stdout)
    assert answer["n_systems"] >= 1
    assert price_in(text) == pytest.approx(answer["usd_per_mtok_total"], rel=5e-3)


@given(st.sampled_from(SLIDERS), st.floats(0, 1))
@settings(max_examples=30)
def test_an_address_and_back_is_the_same_state(catalog, slider, share):
    value = float(f"{slider.low + share * (slider.high - slider.low):g}")
    state = read_state(catalog, {slider.name: f"{value:g}", "model": "deepseek-v3"})
    fields = dict(part.split("=") for part in state.query.split("&"))
    assert read_state(catalog, fields) == state


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"system": "hgx-h2000"}, "did you mean hgx-h200"),
        ({"system": "<script>"}, "no system named"),
        ({"wacc": "nan"}, "wacc 'nan': write a number from 0.02 to 0.25"),
        ({"price": "1e99"}, "write a number from 0.1 to 4"),
        ({"max_tpot_ms": "-1"}, "max_tpot_ms '-1': write a number"),
        ({"rate": "0"}, "rate '0': write a number"),
        ({"precision": "fp7"}, "precision 'fp7'"),
        ({"waac": "0.1"}, "no control 'waac'; did you mean wacc"),
        ({"model": ""}, "need a name each"),
    ],
)
def test_a_bad_parameter_is_one_sentence(catalog, fields, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        read_state(catalog, fields)


def test_the_first_systems_own_sliders_scale_its_own_numbers(catalog):
    pooled = overrides(catalog, read_state(catalog, {"system": "prometheus-128tb", "memory": "0.5"}))
    assert pooled == {"system/prometheus-128tb.memory[0].capacity": "6.4e+13 B"}
    near = overrides(catalog, read_state(catalog, {"system": "hgx-h200", "bandwidth": "2", "price": "0.5"}))
    assert near["accelerator/h200-sxm.memory[0].bandwidth"] == "9.6e+12 B/s"
    assert near["system/hgx-h200.price"] == "162000 USD"


def test_the_page_shows_the_answer_that_cost_gives(address, catalog, tmp_path):
    query = "system=hgx-h200&precision=fp8&wacc=0.12&electricity=0.1"
    status, _, page = fetch(address, f"/price?{query}")
    assert status == 200
    status, headers, text = fetch(address, f"/state.toml?{query}")
    assert status == 200
    assert headers["Content-Disposition"].startswith("attachment")
    assert tomllib.loads(text)["set"]["price.wacc"] == "0.12"
    path = tmp_path / "state.toml"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["cost", f"@{path}", "--format", "json", "--quiet"])
    assert done.exit_code == 0
    assert price_in(page) == pytest.approx(
        json.loads(done.stdout)["usd_per_mtok_total"], rel=5e-3
    )  # shown digits


def test_a_file_of_options_that_is_none_is_refused(tmp_path):
    path = tmp_path / "state.toml"
    for text in ("system = ", "system = true"):
        path.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(app, ["cost", f"@{path}"])
        assert done.exit_code == 2
        assert "state.toml" in done.output


def test_a_slider_changes_its_own_entry_and_leaves_what_others_have_read(catalog):
    model, wacc = (
        catalog.entry("models", "llama-3.1-70b"),
        float(catalog.entry("prices", "ownership").spec.wacc),
    )
    mine = changed(catalog, read_state(catalog, {"wacc": "0.125"}))
    assert mine.entry("models", "llama-3.1-70b") is model
    assert float(mine.entry("prices", "ownership").spec.wacc) == pytest.approx(0.125)
    assert float(catalog.entry("prices", "ownership").spec.wacc) == pytest.approx(wacc)
    faster = changed(catalog, read_state(catalog, {"bandwidth": "2"})).entry("systems", "hgx-b200").spec
    before = catalog.entry("systems", "hgx-b200").spec
    assert faster.accelerator.hbm_bandwidth == pytest.approx(2 * before.accelerator.hbm_bandwidth)


def test_the_chart_is_of_the_point_whose_price_is_shown(address):
    query = "wacc=0.2&price=2"
    hour = json.loads(
        CliRunner().invoke(app, ["cost", *written(fetch(address, f"/state.toml?{query}")[2])]).stdout
    )["usd_per_accelerator_hour"]
    status, _, text = fetch(address, f"/money?{query}")
    assert status == 200
    assert float(re.findall(r'data-number="([^"]+)"', text)[-1]) == pytest.approx(hour)


def test_the_first_page_holds_the_answer_before_any_script_runs(address):
    _, _, page = fetch(address, "/?utilisation=0.5")
    assert price_in(page) == pytest.approx(price_in(fetch(address, "/price?utilisation=0.5")[2]))
    assert page.index("per million tokens") < page.index("<svg ")


def test_a_hostile_name_of_an_own_model_stays_text(catalog, tmp_path):
    hostile = "<script>alert('x')<"
    (tmp_path / "models").mkdir()
    own = tmp_path / "models" / f"{hostile}.toml"
    own.write_text(catalog.paths("models")["llama-3.1-70b"].read_text(encoding="utf-8"), encoding="utf-8")
    with served(load_catalog([tmp_path])) as name:
        for part in ("/", "/price", "/money", "/curves", "/matching"):
            status, _, text = fetch(name, f"{part}?{urlencode({'model': hostile})}")
            assert status == 200
            assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in fetch(name, "/")[2]


def test_the_address_of_an_answer_is_its_state(address):
    _, headers, _ = fetch(address, "/price?utilisation=0.5&wacc=0.08")
    assert headers["Content-Location"] == "/?max_tpot_ms=50&utilisation=0.5"


def test_half_the_utilisation_doubles_the_price(address):
    prices = [price_in(fetch(address, f"/price?utilisation={share}")[2]) for share in (1, 0.5)]
    assert prices[1] == pytest.approx(2 * prices[0], rel=1e-2)


def test_an_impossible_target_is_an_answer_with_its_reason(address):
    status, _, text = fetch(address, "/price?max_tpot_ms=1")
    assert status == 200
    assert "No answer" in text
    assert "max-tpot-ms" in text


@pytest.mark.parametrize("part", ["/price", "/curves", "/matching", "/state.toml", "/"])
def test_bad_parameters_are_refused_everywhere_and_the_next_question_is_answered(address, part):
    status, headers, text = fetch(address, f"{part}?wacc=%3Cscript%3Ealert(1)%3C/script%3E")
    assert status == 422
    assert part == "/state.toml" or "<script>alert" not in text
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert fetch(address, f"{part}?{'x' * 5000}=1")[0] == 422
    assert fetch(address, "/price")[0] == 200


@pytest.mark.parametrize("part", ["/price", "/money", "/curves", "/matching", "/"])
def test_a_system_without_a_price_is_a_page_that_says_so(address, part):
    status, _, text = fetch(address, f"{part}?system=jalapeno")
    assert status == 422
    assert "jalapeno has no price in the catalogue" in text
    assert part != "/" or "<option selected>jalapeno" in text


def test_only_this_machine_is_served_under_its_own_name(address):
    assert address[0] == "127.0.0.1"
    assert fetch(address, "/price", host="evil.example")[0] == 400
    _, headers, page = fetch(address, "/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", page)


def test_a_port_that_cannot_be_had_is_refused():
    from clustermodel.explore.serve import listener

    with contextlib.closing(listener(0)) as taken:
        with pytest.raises(ConfigError, match="choose another"):
            listener(taken.getsockname()[1])
    with pytest.raises(ConfigError, match="from 0 to 65535"):
        listener(70_000)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the machine."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """A page that collects what a good page never has: console messages and requests to other places."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.troubles, opened.asked = [], []
    opened.on("console", lambda message: opened.troubles.append(message.text))
    opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    opened.close()


@pytest.mark.browser
def test_dragging_a_slider_changes_the_number_the_charts_and_the_address(page, address):
    home = f"http://127.0.0.1:{address[1]}/"
    page.goto(home)
    page.wait_for_selector("#part-curves svg")
    before, drawn = price_in(page.inner_text("#part-price")), page.inner_html("#part-money")
    for key in ["Home", *["ArrowRight"] * 4]:
        shown = page.inner_text("#part-price .answer")
        page.press("#utilisation", key)
        page.wait_for_function(
            "shown => document.querySelector('#part-price .answer').innerText != shown", arg=shown
        )
    page.wait_for_function("drawn => document.getElementById('part-money').innerHTML != drawn", arg=drawn)
    assert price_in(page.inner_text("#part-price")) > 5 * before
    assert page.inner_text("#value-utilisation") == "0.09"
    page.wait_for_url("**utilisation=0.09**")
    with page.expect_download() as download:
        page.click("#download")
    saved = tomllib.loads(download.value.path().read_text(encoding="utf-8"))
    assert saved["set"] == {"price.utilisation": "0.09"}
    assert page.troubles == []
    assert all(url.startswith(home) for url in page.asked)
    page.goto(page.url)  # the address alone brings the state back
    assert page.input_value("#utilisation") == "0.09"


@pytest.mark.browser
def test_every_control_has_a_name_and_works_from_the_keyboard(page, address):
    page.goto(f"http://127.0.0.1:{address[1]}/")
    unnamed = "[...document.querySelectorAll('input, select')].filter(each => !each.labels.length).length"
    assert page.evaluate(unnamed) == 0
    page.focus("#system")
    for _ in range(len(SLIDERS) + 7):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_the_address_is_said_once_it_answers_and_is_the_answer_when_it_stops(monkeypatch, tmp_path):
    from clustermodel.explore import serve

    def interrupted(server, sockets):
        sockets[0].close()
        raise KeyboardInterrupt

    said = []

    def say(ask, text):
        said.append(text)
        if found := re.search(r"http://127.0.0.1:(\d+)/", text):
            socket.create_connection(("127.0.0.1", int(found[1])), timeout=1).close()

    monkeypatch.setattr(serve, "warm", lambda catalog: None)
    monkeypatch.setattr(uvicorn.Server, "run", interrupted)
    monkeypatch.setattr(Ask, "say", say)
    path = tmp_path / "ex.json"
    done = CliRunner().invoke(app, ["explore", "--port", "0", "--out", str(path)])
    assert done.exit_code == 0, done.output
    assert f"open {json.loads(path.read_text())['address']} (Ctrl-C stops)" in said


def written_by(words, path):
    """The answer of a command in a file."""
    done = CliRunner().invoke(app, [*words, "--quiet", "--out", str(path)])
    assert done.exit_code == 0, done.output
    return str(path)


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory):
    """The report that `make demo` makes, on fewer systems."""
    folder = tmp_path_factory.mktemp("demo")
    question = ["--systems", "hgx-h200,hgx-b200", "--model", "llama-3.1-70b", "--precision", "fp8"]
    answers = [
        written_by([verb, *question, "--max-tpot-ms", "50"], folder / f"{verb}.json")
        for verb in ("compare", "frontier")
    ]
    written_by(["report", *answers], folder / "report.html")
    return folder / "report.html"


@pytest.mark.browser
def test_the_report_of_the_demonstration_says_nothing_to_the_console_and_asks_for_nothing(page, demonstrated):
    page.goto(demonstrated.as_uri())
    assert page.locator("svg").count() == page.locator("figure").count() >= 6
    assert "per million tokens" in page.inner_text(".answer >> nth=0")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.troubles == []
    assert page.asked == [demonstrated.as_uri()]


@pytest.mark.browser
def test_a_report_prints_dark_on_light_with_every_value(page, demonstrated):
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(demonstrated.as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("figure details table >> nth=0").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_both_pages_stands_out_from_its_ground(page, address, demonstrated, scheme):
    page.emulate_media(color_scheme=scheme)
    for url in (f"http://127.0.0.1:{address[1]}/", demonstrated.as_uri()):
        page.goto(url)
        for ink, ground in {tuple(pair) for pair in page.evaluate(INKS)}:
            assert theme.contrast(ink, ground) >= 4.5, (url, ink, ground)


@pytest.mark.browser
def test_the_keyboard_reaches_the_answer_first_and_then_what_can_be_opened(page, demonstrated):
    page.goto(demonstrated.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.locator("figure details table >> nth=0").is_visible()


@pytest.mark.browser
def test_a_report_opens_sorts_and_asks_for_nothing(page, tmp_path):
    from clustermodel.report.document import section
    from clustermodel.report.page import html

    names = ["gamma", "alpha", "beta"]
    answer = {
        "kind": "anything",
        "points": [{"name": n, "value": v} for n, v in zip(names, [3, 1, 20], strict=True)],
    }
    path = tmp_path / "report.html"
    path.write_text(html([section(answer)]), encoding="utf-8")
    page.goto(path.as_uri())
    cells = lambda: page.locator("tbody tr td:first-child").all_inner_texts()
    assert cells() == names
    page.click("th button >> text=name")
    assert cells() == sorted(names)
    page.focus("th button >> text=value")
    page.keyboard.press("Enter")
    assert cells() == ["alpha", "gamma", "beta"]  # as numbers, not as letters
    page.keyboard.press("Space")
    assert page.get_attribute("th >> nth=1", "aria-sort") == "descending"
    assert page.troubles == []
    assert page.asked == [path.as_uri()]
