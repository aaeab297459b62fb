"""Everything that is measured on a machine, in one command: `python benchmarks/run.py [--quick] [--out FOLDER]`.

Each part runs in a process of its own, one at a time, within its own limit; the others go on when one fails, and the
end says so. A part writes <part>-<device>.json. Needs jax, equinox, jaxtyping, numpy, pandas and optax; figures of
power need nvidia-ml-py, figures of HiGHS need highspy. `--only device,serve` runs some of the parts.
"""

import datetime
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

from record import device_slug, options, record  # noqa: E402

from clustermodel.process import set_flags  # noqa: E402

Answer = dict[str, Any]


def device(quick: bool, folder: Path) -> Answer:
    """`bench device`, and the calibration that follows."""
    from clustermodel.bench.device import bench_device
    from clustermodel.bench.machine import machine
    from clustermodel.catalog import load_catalog

    folder.mkdir(parents=True, exist_ok=True)
    calibration = folder / f"calibration-{device_slug(machine())}.toml"
    return bench_device(load_catalog(), quick=quick, calibration_out=calibration)


def serve(quick: bool, folder: Path) -> Answer:
    """`bench serve` of the default model, against the machine as `device` found it today."""
    from clustermodel.bench.machine import machine
    from clustermodel.bench.serve import bench_serve
    from clustermodel.catalog import load_catalog

    return bench_serve(load_catalog(), quick=quick, measured=todays(machine(), folder))


def todays(about: Answer, folder: Path) -> Answer | None:
    """What `device` wrote there today with this jax; None without it, and the machine is measured again."""
    path = folder / f"device-{device_slug(about)}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    same = found["date"] == datetime.date.today().isoformat() and found["jax"] == about["jax"]
    return found if same and "startup" in found else None


def model(quick: bool, folder: Path, dtype: str = "float64") -> Answer:
    """`bench model`; when quick at one size."""
    from clustermodel.bench.model import SIZES, bench_model
    from clustermodel.catalog import load_catalog

    return bench_model(load_catalog(), SIZES[-1:] if quick else SIZES, dtype)


def sweep(quick: bool, folder: Path) -> Answer:
    """Sweeps over every combination."""
    import bench_sweep

    return bench_sweep.bench(quick)


def risk(quick: bool, folder: Path) -> Answer:
    """Paths of the risk model."""
    import bench_risk

    return bench_risk.bench(bench_risk.QUICK if quick else bench_risk.PATHS)


def dispatch(quick: bool, folder: Path) -> Answer:
    """Dispatches of a fleet."""
    import bench_dispatch

    return bench_dispatch.bench(bench_dispatch.QUICK if quick else bench_dispatch.SCENARIOS)


def agreement(quick: bool, folder: Path) -> Answer:
    """Whether this machine computes what a processor computes."""
    import agreement

    return {"kind": "agreement", "claims": list(agreement.check())}


class Part(NamedTuple):
    """What is run, for how many seconds at most, and its result in a line."""

    run: Callable[[bool, Path], Answer]
    limit: float
    line: Callable[[Answer], str]


def _device_line(answer: Answer) -> str:
    best = {}
    for row in answer["measurements"]:
        key = row["name"] if row["name"] in ("copy", "read") else f"{row['kind']} {row['name']}"
        best[key] = max(best.get(key, 0.0), row["value"])
    products = [
        f"{name} {value / 1e12:.3g} TFLOP/s" for name, value in best.items() if name.endswith(" product")
    ]
    return ", ".join([f"copy {best['copy'] / 1e12:.3g} TB/s", *products])


def _serve_line(answer: Answer) -> str:
    share = lambda phase: max(p["percent_of_roofline"] for p in answer["points"] if p["phase"] == phase)
    return f"of the roofline: decode {share('decode'):.0f} %, prefill {share('prefill'):.0f} %"


def _rates_line(field: str, unit: str) -> Callable[[Answer], str]:
    def line(answer: Answer) -> str:
        return ", ".join(f"{case['name']} {case[field]:.3g}{unit}" for case in answer["cases"])

    return line


def _agreement_line(answer: Answer) -> str:
    failed = [row["claim"] for row in answer["claims"] if not row["holds"]]
    assert not failed, "; ".join(failed)
    return f"{len(answer['claims'])} claims hold, {max(row['apart'] for row in answer['claims']):.1g} apart at most"


PARTS = {
    "agreement": Part(agreement, 300, _agreement_line),
    "device": Part(device, 900, _device_line),
    "serve": Part(serve, 900, _serve_line),
    "model": Part(model, 600, _rates_line("configurations_per_s", "/s")),
    "model-float32": Part(
        functools.partial(model, dtype="float32"), 600, _rates_line("configurations_per_s", "/s")
    ),
    "sweep": Part(sweep, 600, _rates_line("points_per_s", "/s")),
    "risk": Part(risk, 600, _rates_line("paths_per_s", " paths/s")),
    "dispatch": Part(dispatch, 600, _rates_line("dispatches_per_s", "/s")),
}
FUSED = ("model", "model-float32", "sweep")
"""Parts that are compiled with the flags of `process.set_flags`, as the commands that compute the same."""


class Outcome(NamedTuple):
    """How a part ended."""

    part: str
    seconds: float
    line: str
    failed: bool


def one(part: str, quick: bool, folder: Path) -> str:
    """Run a part in this process and write it; its line."""
    if part in FUSED:
        set_flags()
    answer = PARTS[part].run(quick, folder)
    record(answer, part, folder)
    return PARTS[part].line(answer)


def apart(parts: Sequence[str], quick: bool, folder: Path) -> Iterator[Outcome]:
    """Run parts one after the other, each in a process of its own."""
    for part in parts:
        command = [sys.executable, __file__, "--one", part, "--out", str(folder), *["--quick"] * quick]
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PARTS[part].limit, check=False
            )
            failed, said = done.returncode != 0, done.stderr if done.returncode else done.stdout
        except subprocess.TimeoutExpired:
            failed, said = True, f"stopped after {PARTS[part].limit:.0f} s"
        taken, last = time.perf_counter() - start, said.strip().rpartition("\n")[2]
        if failed:
            print(said, file=sys.stderr)
        yield Outcome(part, taken, last, failed)


def main() -> int:
    """All parts that were asked for; 1 where one failed."""
    parser = options()
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,PART", help=", ".join(PARTS))
    parser.add_argument("--one", choices=PARTS, help="run this part in this process")
    asked = parser.parse_args()
    if asked.one:
        print(one(asked.one, asked.quick, asked.out))
        return 0
    parts = asked.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    failed = []
    for outcome in apart(parts, asked.quick, asked.out):
        print(f"{outcome.part:10} {outcome.seconds:6.0f} s  {outcome.line}", flush=True)
        failed += [outcome.part] * outcome.failed
    print(f"failed: {', '.join(failed)}" if failed else f"all in {asked.out}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
