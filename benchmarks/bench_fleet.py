"""Seconds, bounds and memory of fleet plans, HiGHS on the whole program beside them; writes results/fleet-cpu.json.

`python benchmarks/bench_fleet.py [CASE ...]`, all by default. Every solve runs in a process of its own, so that its
peak of memory is its own; compilation is inside the seconds, reading and building the problem is not.
"""

import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fleet-cpu.json"
sys.path.insert(0, str(ROOT / "tests"))

CASES = {
    "20x20x12": ((20, 20, 12, 1), 0.0, False, 1e-4, ("highs",)),
    "40x50x40": ((40, 50, 40, 1), 0.0, False, 1e-4, ("highs",)),
    "20x20x12x20": ((20, 20, 12, 20), 0.0, False, 1e-4, ("benders", "highs")),
    "20x20x12x20-cvar": ((20, 20, 12, 20), 0.3, False, 1e-4, ("benders", "highs")),
    "20x20x12x100": ((20, 20, 12, 100), 0.0, False, 1e-4, ("benders", "highs")),
    "20x20x12x100-cvar": ((20, 20, 12, 100), 0.3, False, 1e-4, ("benders", "highs")),
    "20x20x12x1000": ((20, 20, 12, 1000), 0.0, False, 1e-4, ("benders",)),
    "20x20x12x20-whole": ((20, 20, 12, 20), 0.0, True, 2e-3, ("benders", "highs")),
    "40x50x40-whole": ((40, 50, 40, 1), 0.0, True, 1e-3, ("highs",)),
}
"""Systems, workloads, periods, scenarios; omega; whole systems; gap; methods."""
LIMIT = 120.0
"""Seconds that a search for whole systems may take."""


def one(name: str, method: str) -> dict[str, object]:
    """Solve one case in this process."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from fleet_instances import OPTIMA, instance

    from clustermodel.fleet.benders import Effort
    from clustermodel.fleet.solve import solved
    from clustermodel.fleet.two_stage import two_stage

    size, omega, whole, gap, _ = CASES[name]
    program = two_stage(instance(*size, omega=omega, whole_systems=whole))
    start = time.perf_counter()
    solution = solved(program, method, "highs", Effort(gap, LIMIT))
    seconds = time.perf_counter() - start
    money = program.scale.money
    return {
        "case": name,
        "method": solution.solver,
        "status": solution.status.name.lower(),
        "gap_asked": gap,
        "lower_bound": (solution.lower + program.constant) * money,
        "upper_bound": (solution.upper + program.constant) * money,
        "gap": solution.gap,
        "optimum_of_relaxation": OPTIMA.get((*size, omega)),
        "seconds": seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def machine() -> dict[str, object]:
    """The processor, its cores in use and the load at the start."""
    names = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return {"cpu": name, "cores": len(os.sched_getaffinity(0)), "load_before": os.getloadavg()[0]}


def main(names: list[str]) -> None:
    cases, about = [], machine()
    for name in names or CASES:
        for method in CASES[name][4]:
            command = [sys.executable, __file__, "--one", name, method]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            cases.append(json.loads(done.stdout))
            print(json.dumps(cases[-1]), flush=True)
    stamp = time.strftime("%Y-%m-%d")
    RESULTS.write_text(json.dumps({"machine": about, "date": stamp, "cases": cases}, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:])
