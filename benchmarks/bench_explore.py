"""From a slider's event to its number in a browser; writes results/explore-cpu.json. Needs playwright and Chromium.

`python benchmarks/bench_explore.py [MOVES]`, moves of each slider, 6 by default. The explorer runs in a process of its
own, as `clustermodel explore` starts it; a move is one step of a slider to a state that was not asked for before, made
when the page is at rest. Server time is the answer's alone, without the network and the browser.
"""

import contextlib
import datetime
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

from playwright.sync_api import Page, sync_playwright

from clustermodel.bench.machine import machine
from clustermodel.explore.state import SLIDERS

Move = dict[str, float | bool]

WATCH = """() => {
  const number = document.getElementById("part-price");
  let moved = 0;
  document.addEventListener("input", () => { moved = performance.now(); window.shown = null; }, true);
  new MutationObserver(() => { window.shown = performance.now() - moved; }).observe(number, { childList: true });
}"""
SERVER = """() => performance.getEntriesByType("resource").filter((each) => each.name.includes("/price?"))
  .at(-1).serverTiming[0].duration"""
AT_REST = "() => !document.getElementById('busy').textContent && !document.querySelector('[aria-busy=true]')"


@contextlib.contextmanager
def explorer():
    """The address of an explorer that is compiled and ready."""
    command = [sys.executable, "-m", "clustermodel", "explore", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stderr
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.wait()


def moved(page: Page, slider: str, times: int) -> list[Move]:
    """Steps of a slider in one direction."""
    at_its_end = page.eval_on_selector(f"#{slider}", "each => each.value == each.max")
    return [step(page, slider, "ArrowLeft" if at_its_end else "ArrowRight") for _ in range(times)]


def step(page: Page, slider: str, key: str) -> Move:
    """One step of a slider from rest."""
    page.wait_for_function(AT_REST)
    before = page.inner_text("#part-price")
    page.press(f"#{slider}", key)
    page.wait_for_function("() => window.shown > 0")
    spent = page.evaluate("window.shown")
    return {
        "ms": spent,
        "server_ms": page.evaluate(SERVER),
        "changed": page.inner_text("#part-price") != before,
    }


def summary(moves: list[Move]) -> dict[str, float]:
    """Median and 90th percentile, and how many moves changed the text of the answer."""
    spent, server = ([float(each[name]) for each in moves] for name in ("ms", "server_ms"))
    p90 = lambda values: statistics.quantiles(values, n=10, method="inclusive")[-1]
    return {
        "n": len(moves),
        "changed": sum(bool(each["changed"]) for each in moves),
        "median_ms": statistics.median(spent),
        "p90_ms": p90(spent),
        "server_median_ms": statistics.median(server),
        "server_p90_ms": p90(server),
    }


def measured(each: int) -> tuple[str, dict[str, list[Move]]]:
    """The browser's version, and the moves of every slider."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with explorer() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(address)
        page.wait_for_selector("#part-curves svg")
        page.evaluate(WATCH)
        moves = {slider.name: moved(page, slider.name, each) for slider in SLIDERS}
        version = browser.version
        browser.close()
    return version, moves


if __name__ == "__main__":
    version, moves = measured(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
    overall = summary([each for own in moves.values() for each in own])
    result = {
        "kind": "bench-explore",
        "date": datetime.date.today().isoformat(),
        **machine(),
        "browser": f"Chromium {version}, headless",
        **overall,
        "sliders": [{"slider": name, **summary(own)} for name, own in moves.items()],
    }
    out = pathlib.Path(__file__).parent / "results" / "explore-cpu.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, row in [*((each["slider"], each) for each in result["sliders"]), ("all", overall)]:
        print(
            f"{name:12} {row['n']:3} moves, {row['changed']:3} changed: median {row['median_ms']:.0f} ms, "
            f"p90 {row['p90_ms']:.0f} ms; server {row['server_median_ms']:.0f} ms"
        )
