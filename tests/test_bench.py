import contextlib
import dataclasses
import io
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from tiny_bench import NARROW, TINY
from typer.testing import CliRunner

import clustermodel as cm
from clustermodel.bench import device, driver, energy, layers, rates, serve
from clustermodel.bench.energy import BoardMeter, PackageMeter, measure
from clustermodel.bench.machine import machine
from clustermodel.bench.operations import operations
from clustermodel.bench.rates import Measured
from clustermodel.bench.self_calibration import coefficients, peaks
from clustermodel.bench.startup import Startup
from clustermodel.calibration.effects import LINKS, Level, load_table, natural
from clustermodel.catalog import ConfigError, load_catalog
from clustermodel.chain import Question, cost
from clustermodel.cli._output import Destination
from clustermodel.cli.main import app

CATALOG = load_catalog()
START = Startup(layer=3e-6, moe_layer=0.0, iteration=4e-5, sequence=1e-8)
FIGURES = [
    Measured("copy", "fp32", 1, 3.6e12, "B/s"),
    Measured("weight_read", "bf16", 1, 4.32e12, "B/s"),
    Measured("decode_attention", "bf16", 4096, 3.6e12, "B/s"),
    Measured("product", "bf16", 4096, 700e12, "FLOP/s"),
    Measured("product", "fp8", 4096, 1500e12, "FLOP/s"),
    Measured("prefill_attention", "bf16", 4096, 1200e12, "FLOP/s"),  # above the peak: a slip of the clock
]


def _table(answer):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        Destination("table", None).write(answer)
    return " ".join(text.getvalue().split())  # lines break where the name of the machine makes them


@pytest.fixture(scope="module")
def bench():
    return device.run(None, TINY, NARROW)


@pytest.fixture(scope="module")
def calibration(bench, tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "mine.toml"
    path.write_text(device.calibration_text(CATALOG, bench))
    return path


@pytest.mark.parametrize("kind", ["int8", "bfloat16"])
def test_a_gpu_gets_matrices_of_eight_bits_as_rows_of_outputs_and_its_library_as_another_way(
    kind, monkeypatch
):
    dtype, highest = jnp.dtype(kind), rates.precision(kind)
    a, b = jnp.arange(6).reshape(2, 3).astype(dtype), jnp.arange(9).reshape(3, 3).astype(dtype)
    here = rates.product(dtype, highest, {})(a, b)
    assert (here == a @ b).all()
    assert rates.ways(dtype) == ({},)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    there, eight_bits = rates.product(dtype, highest, {})(a, b), kind == "int8"
    assert (there == a @ (b.T if eight_bits else b)).all()
    assert len(rates.ways(dtype)) == 1 + eight_bits


def test_shares_are_of_the_catalogues_peaks_and_never_above_one():
    h200 = CATALOG.entry("accelerators", "h200-sxm")
    found = coefficients(FIGURES, START, peaks(FIGURES, h200), "bf16")
    assert found["weight_read"] == pytest.approx(4.32 / 4.8)
    assert found["cache_read"] == pytest.approx(3.6 / 4.8)
    assert found["dense_math"] == pytest.approx(700 / 989)
    assert 0.99 < found["attention_math"] < 1
    assert found["layer_launch"] == START.layer
    assert 0 < found["moe_launch"] < 1e-8  # a logarithm needs a number above 0


def test_what_whole_layers_reach_counts_before_an_operation_alone():
    within = [
        Measured("model_read", "bf16", 1, 2.4e12, "B/s"),
        Measured("layer_cache_read", "bf16", 4096, 1.2e12, "B/s"),
        Measured("layer_product", "bf16", 1024, 500e12, "FLOP/s"),
    ]
    h200 = CATALOG.entry("accelerators", "h200-sxm")
    found = coefficients(FIGURES + within, START, peaks(FIGURES, h200), "bf16")
    assert found["weight_read"] == pytest.approx(2.4 / 4.8)
    assert found["cache_read"] == pytest.approx(1.2 / 4.8)
    assert found["dense_math"] == pytest.approx(500 / 989)
    assert found["attention_math"] > 0.99  # no layer was measured: the operation alone


class TimedStack:
    """A stack of layers on a machine of known rates, beside a head and a host that take their own time."""

    BANDWIDTH, PRODUCTS, ATTENTION = 1e9, 1e10, 1e8
    COPIED = 1  # times that weights cross memory where layers share a body

    def __init__(self, shape, dtype, repeats, group=None):
        self.shape, self.copies = shape, 1 if group == 1 else self.COPIED
        zero = dataclasses.replace(shape, dense_layers=0)
        self.matrices = shape.parameters - zero.parameters

    def decode(self, batch, context):
        head = self.shape.vocab * self.shape.d_model
        traffic = 4 * (head + self.copies * self.matrices + self.shape.cache_elements * batch * context)
        return START.iteration + self.shape.layers * START.layer + traffic / self.BANDWIDTH

    def prefill(self, prompt):
        products = 2 * self.matrices * prompt / self.PRODUCTS
        width = 2 * self.shape.layers * self.shape.heads * self.shape.head_dim
        return (
            START.iteration + self.shape.layers * START.layer + products + width * prompt**2 / self.ATTENTION
        )


def test_rates_of_layers_are_found_beside_launches_head_and_host(monkeypatch):
    monkeypatch.setattr(layers, "Stack", TimedStack)
    found = {each.name: each.value for each in layers.layers(NARROW, TINY, jnp.dtype("float32"), START)}
    read = NARROW.parameters - NARROW.vocab * NARROW.d_model  # the embedding is looked up
    short = 32 * NARROW.cache_elements  # is read beside them
    assert found["model_read"] == pytest.approx(TimedStack.BANDWIDTH * read / (read + short), rel=0.01)
    assert found["layer_cache_read"] == pytest.approx(TimedStack.BANDWIDTH)
    assert found["layer_product"] == pytest.approx(TimedStack.PRODUCTS)
    assert found["layer_attention"] == pytest.approx(TimedStack.ATTENTION)


@pytest.mark.parametrize(("backend", "copied", "group"), [("gpu", 3, 1), ("gpu", 1, None), ("cpu", 3, None)])
def test_layers_have_bodies_of_their_own_where_an_accelerator_copies_what_it_slices(
    monkeypatch, backend, copied, group
):
    monkeypatch.setattr(layers, "Stack", TimedStack)
    monkeypatch.setattr(TimedStack, "COPIED", copied)
    monkeypatch.setattr(layers.jax, "default_backend", lambda: backend)
    assert layers.faster_group(NARROW, jnp.dtype("float32"), 1) == group


def test_layers_that_only_route_are_measured_as_wide_as_the_experts_of_one_token():
    mixture = dataclasses.replace(NARROW, dense_layers=0, moe_layers=2, top_k=2, expert_dim=8, n_experts=4)
    assert layers.dense(mixture, 3).ffn_dim == 16
    assert layers.dense(mixture, 3).layers == 3


def test_without_a_catalogue_entry_the_best_figure_is_the_peak():
    found = peaks(FIGURES, None)
    assert not found.known
    assert found.bandwidth == 4.32e12
    assert found.arithmetic["bf16"] == 1200e12
    assert found.of(FIGURES[4]) == 1500e12


def test_a_machine_is_measured_beside_its_peaks(bench):
    answer = device.answer(CATALOG, bench)
    names = {row["name"] for row in answer["measurements"]}
    assert {"copy", "read", "product", "weight_read", "decode_attention", "launch"} <= names
    assert all(row["value"] > 0 for row in answer["measurements"])
    shares = [row["percent_of_peak"] for row in answer["measurements"] if row["percent_of_peak"] is not None]
    assert max(shares) == pytest.approx(100)
    assert max(shares) >= min(shares) > 0
    shown = _table(answer)
    assert "the best measured here" in shown
    assert "layer launch" in shown


def test_a_machine_once_measured_is_known_from_its_answer(bench):
    again = device.bench_of(CATALOG, device.answer(CATALOG, bench))
    assert dataclasses.replace(again, readings=bench.readings, figures=list(again.figures)) == bench
    assert again.coefficients == bench.coefficients


def test_the_calibration_that_is_written_is_the_one_that_a_question_uses(bench, calibration):
    answer, table = device.answer(CATALOG, bench), load_table(CATALOG, calibration)
    used = natural(table.links(Level("llama-3.1-70b", "vllm", "hgx-h200")))
    for row in answer["coefficients"]:
        assert float(getattr(used, row["coefficient"])) == pytest.approx(row["here"], rel=1e-4), row
    shipped = natural(load_table(CATALOG).links(Level("none", "vllm")))
    assert float(used.ttft_host) == pytest.approx(
        float(shipped.ttft_host), rel=1e-4
    )  # the engine's, not ours
    assert all(0 < float(getattr(used, name)) < 1 for name, link in LINKS.items() if link == "logit")


def test_a_question_answers_with_a_machines_own_calibration(tmp_path):
    """A machine that reads weights at half the rate takes one more reading of them for each token."""
    asked = {"system": "hgx-h200", "model": "llama-3.1-8b", "concurrency": 8, "n_accelerators": 1}
    h200 = CATALOG.entry("accelerators", "h200-sxm")

    def answered(weight_read):
        figures = [dataclasses.replace(FIGURES[1], value=weight_read), *FIGURES[:1], *FIGURES[2:]]
        own = tmp_path / f"{weight_read:g}.toml"
        own.write_text(
            device.calibration_text(CATALOG, device.Bench(h200, figures, START, readings={}, kind="bf16"))
        )
        return cost(CATALOG, Question(**asked, calibration=str(own)))

    full, half = answered(4e12), answered(2e12)
    weights = 2 * (8.03e9 - 128_256 * 4_096)  # two bytes of each parameter; the embedding is looked up
    assert half["tpot_ms"] - full["tpot_ms"] == pytest.approx(weights / 4e12 * 1e3, rel=0.02)
    assert full["tpot_ms"] >= full["bounds"]["tpot_ms"]
    assert not full["seen"]


def test_a_calibration_that_cannot_be_written_is_refused_before_anything_is_measured(monkeypatch, tmp_path):
    def measured(*_):
        raise AssertionError("measured")

    monkeypatch.setattr(device, "idle_reading", measured)
    monkeypatch.setattr(device, "run", measured)
    for place in ("/proc/x.toml", str(tmp_path), tmp_path / "absent" / "x.toml"):
        with pytest.raises(ConfigError, match="--calibration-out: "):
            cm.bench_device(quick=True, calibration_out=place)
    done = CliRunner().invoke(app, ["bench", "device", "--quick", "--calibration-out", "/proc/x.toml"])
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_calibration_is_written_to_and_read_from_a_path_given_as_text(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(device, "idle_reading", lambda *_: None)
    monkeypatch.setattr(device, "run", lambda *_: bench)
    monkeypatch.setattr(device, "find_meter", lambda: None)
    place = str(tmp_path / "mine.toml")
    cm.bench_device(quick=True, calibration_out=place)
    sweep = serve.Sweep(batches=(1,), contexts=(8,), steps=2, repeats=1)
    asked = {"model": "llama-3.1-8b", "scale": 64, "sweep": sweep, "measured": bench}
    assert cm.bench_serve(**asked, calibration=place)["points"]
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file"):
        cm.bench_serve(**asked, calibration="absent.toml")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "--steps 0: write a whole number of at least 1"),
        ({"steps": -1}, "--steps -1: write a whole number of at least 1"),
        ({"page": -1}, "--page -1: write a whole number of at least 0"),
        ({"scale": 0}, "--scale 0: write a whole number of at least 1"),
        ({"group": 0}, "--group 0: write a whole number of at least 1"),
        ({"group": -1}, "--group -1: write a whole number of at least 1"),
        ({"contexts": 8, "steps": 8}, "--contexts must be longer than the 8 steps that are decoded"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_measured(changes, sentence, monkeypatch):
    def measured(*_):
        raise AssertionError("measured")

    monkeypatch.setattr(serve, "run", measured)
    options = [text for name, value in changes.items() for text in (f"--{name}", str(value))]
    done = CliRunner().invoke(app, ["bench", "serve", *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_options_of_serving_that_do_not_exist_or_are_empty_are_told():
    with pytest.raises(ConfigError, match=r"no option 'stpes'; did you mean steps\?"):
        cm.bench_serve(stpes=3)
    with pytest.raises(ConfigError, match=r"--batches \(\): write a list of at least one"):
        cm.bench_serve(batches=())


@pytest.mark.parametrize("sizes", [[0], [-5], [1000, 0]])
def test_batches_of_no_configurations_are_not_measured(sizes):
    with pytest.raises(ConfigError, match=r"--sizes .*: write a whole number of at least 1"):
        cm.bench_model(sizes=sizes)


def test_serving_stands_beside_its_predictions_and_never_beats_the_bound(bench, calibration):
    sweep = serve.Sweep(batches=(2,), contexts=(12,), steps=4, repeats=1)
    answer = serve.bench_serve(
        CATALOG, model="mixtral-8x7b", scale=64, calibration=calibration, sweep=sweep, measured=bench
    )
    assert [(row["phase"], row["batch"]) for row in answer["points"]] == [("prefill", 2), ("decode", 2)]
    for row in answer["points"]:
        assert min(row["measured_ms"], row["before_ms"], row["after_ms"], row["tokens_per_s"]) > 0
        assert row["percent_of_roofline"] > 0
        assert row["after_ms"] >= row["percent_of_roofline"] / 100 * row["measured_ms"]
    assert answer["decode_against_forward"] < 1e-4
    assert answer["parameters"] < 1e6
    assert "mixtral-8x7b, scaled down by 64" in _table(answer)


class FakeBoard:
    """What pynvml looks like to the meter: 300 W by the counter, 200 W by the polls."""

    NVML_SUCCESS = NVML_FI_DEV_POWER_INSTANT = NVML_CLOCK_SM = NVML_CLOCK_MEM = NVML_TEMPERATURE_GPU = 0

    def __init__(self):
        self.milli_joules = 0
        self.processes = []

    def nvmlDeviceGetComputeRunningProcesses(self, board):
        return self.processes

    def nvmlDeviceGetTotalEnergyConsumption(self, board):
        self.milli_joules += 1000
        return self.milli_joules

    def nvmlDeviceGetFieldValues(self, board, fields):
        value = types.SimpleNamespace(uiVal=200_000)
        return [types.SimpleNamespace(nvmlReturn=0, value=value)]

    def __getattr__(self, name):
        return lambda *args: 0


def test_energy_is_the_difference_of_the_counter_and_polls_are_checked_against_it():
    reading = measure(BoardMeter(FakeBoard()), lambda: jnp.ones(()), window=0.25)
    assert reading.watts * reading.seconds == pytest.approx(1.0)  # one step of the counter
    assert reading.instant_watts == pytest.approx(200)
    assert reading.flagged  # 4 W by the counter
    assert reading.joules_per_run == pytest.approx(1 / reading.runs)


def test_what_a_board_draws_while_nobody_uses_it_is_read_where_nobody_has_a_context(monkeypatch):
    board = FakeBoard()
    monkeypatch.setattr(energy, "_board_meter", lambda: BoardMeter(board))
    board.processes = ["a context"]
    assert energy.idle_reading(0.01, 1) is None
    board.processes = []
    reading = energy.idle_reading(0.25, 2)
    assert reading.instant_watts == pytest.approx(200)
    assert reading.seconds >= 0.5


def test_a_board_is_described_by_its_library_or_by_its_command():
    library = driver.from_library(FakeBoard())
    assert library["sm_mhz"] == 0
    line = "NVIDIA H200, 570.86.15, 1980, 1980, 3201, 700.00, [N/A]"
    told = driver.from_line(line)
    assert told.keys() == library.keys()
    assert (told["board"], told["driver"], told["sm_mhz"]) == ("NVIDIA H200", "570.86.15", 1980.0)
    assert told["celsius"] is None
    assert driver.cuda_version("PJRT C API\ncuda 12080") == "12.8"
    assert driver.cuda_version("cpu") is None
    assert driver.from_line("") == {"board": None}


def test_operations_count_loops_as_often_as_they_run():
    x, matrix = jnp.ones(100), jnp.ones((8, 4))
    assert operations(lambda x: jnp.sum(x * x + 1), x) == 300
    assert operations(lambda m: m @ m.T, matrix) == 2 * 8 * 8 * 4
    ten = operations(lambda x: jax.lax.fori_loop(0, 10, lambda _, y: y * 2.0, x), x)
    assert ten == pytest.approx(10 * 100, abs=20)  # and the counter
    until = lambda x: jax.lax.while_loop(lambda y: y[0] < 5, lambda y: y + 1, x)
    assert operations(until, x, rounds=5) == pytest.approx(5 * 100, abs=10)
    either = lambda x: jax.lax.cond(x[0] > 0, lambda: x * x + x, lambda: x)
    assert operations(either, x) == pytest.approx(200, abs=5)


def _package(folder, energy):
    zone = folder / "intel-rapl:0"
    zone.mkdir(exist_ok=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("1000000\n")
    (zone / "energy_uj").write_text(f"{energy}\n")


def test_a_package_counter_that_wraps_goes_on(tmp_path):
    _package(tmp_path, 900_000)
    meter = PackageMeter(tmp_path)
    _package(tmp_path, 100_000)
    assert meter.joules() == pytest.approx(0.2)
    _package(tmp_path, 300_000)
    assert meter.joules() == pytest.approx(0.4)


def test_without_a_counter_there_is_no_meter(tmp_path):
    with pytest.raises(OSError, match="no package counters"):
        PackageMeter(tmp_path)


def test_the_driver_names_an_accelerator_of_the_catalogue(monkeypatch):
    monkeypatch.setattr(
        device.jax, "devices", lambda: [types.SimpleNamespace(device_kind="NVIDIA H100 80GB HBM3")]
    )
    assert device.find_accelerator(CATALOG, None).slug == "h100-sxm"
    assert device.find_accelerator(CATALOG, "b200-sxm").slug == "b200-sxm"


def test_an_unknown_machine_is_still_measured():
    assert device.find_accelerator(CATALOG, None) is None
    assert machine()["devices"] >= 1


def test_benchmarks_import_with_what_a_gpu_machine_has():
    absent = ["typer", "rich", "highspy", "scipy", "beartype", "pydantic", "pynvml", "pyarrow"]
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"  # None: import fails
        "import importlib, pkgutil\n"
        "for name in ('bench', 'sweep'):\n"
        "    package = importlib.import_module('clustermodel.' + name)\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
