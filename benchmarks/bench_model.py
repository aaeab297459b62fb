"""Whole-chain evaluations per second; writes results/model-<device>.json. Needs jax, equinox, numpy, pandas only."""

import json
import pathlib
import sys

import jax

jax.config.update("jax_enable_x64", True)

from clustermodel.bench.model import bench_model  # noqa: E402
from clustermodel.catalog import load_catalog  # noqa: E402

result = bench_model(load_catalog())
name = "cpu" if result["backend"] == "cpu" else result["device"].lower().replace(" ", "-")
path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).parent / "results" / f"model-{name}.json"
path.write_text(json.dumps(result, indent=2) + "\n")
for case in result["cases"]:
    print(f"{case['name']:32} {case['configurations_per_s']:.3g}/s  compile {case['compile_s']:.1f} s")
