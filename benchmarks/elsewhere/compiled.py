"""What the benchmarks' programs become on an H200, compiled where there is none.

`python benchmarks/elsewhere/compiled.py [--only decode,chain] [--out FOLDER]`, writes compiled-nvidia-h200.json.
Nothing is run: kernels are counted, with what they move without computing, the memory they need beside arguments and
results, and the registers they take. It shows before an accelerator is at hand that every program compiles for it,
and where one would copy what it could read in place. Needs jax[cuda12], not a driver.
"""

import argparse
import atexit
import contextlib
import datetime
import functools
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

DUMP = Path(tempfile.mkdtemp())
os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # there is no driver to check
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["XLA_FLAGS"] = f"--xla_dump_to={DUMP} {os.environ.get('XLA_FLAGS', '')}"

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]

import jax.numpy as jnp  # noqa: E402
import kernels  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from clustermodel import __version__  # noqa: E402
from clustermodel.bench.machine import machine  # noqa: E402
from clustermodel.catalog import load_catalog  # noqa: E402

H200 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000
  device_memory_size: 141000000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 12 minor: 9 }
device_description_str: "NVIDIA H200"
"""
"""Limits of compute capability 9.0 [CUDA C++ Programming Guide 12.9, table of technical specifications]; 132
multiprocessors, 1.98 GHz, 50 MB of cache [NVIDIA H100 architecture whitepaper, 2022; the H200 has the same die];
141 GB at 4.8 TB/s [NVIDIA H200 datasheet, 2024]. The version of cuDNN is an assumption. What is counted depends on them
only where the compiler chooses tiles and splits by them."""

Case = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""Name, what traces it, its arguments or their shapes, and what else is known of it."""


def decode() -> Iterator[Case]:
    """Steps of the served model: what one token of every sequence must read, and what is read and written."""
    from clustermodel.bench.decoder import decode_steps, empty_cache, prefill, random_decoder, shape_of

    steps, context, tokens = 8, 4096, jnp.int32
    like = functools.partial(jax.ShapeDtypeStruct, dtype=tokens)
    for model, group, batch in (
        ("llama-3.1-8b", None, 1), ("llama-3.1-8b", 1, 1), ("llama-3.1-8b", 1, 32),
        ("mixtral-8x7b", 1, 1), ("mixtral-8x7b", 1, 32),
    ):  # fmt: skip
        shape = shape_of(load_catalog().entry("models", model))
        make = functools.partial(random_decoder, shape, jnp.bfloat16, group=group)
        decoder = jax.eval_shape(make)
        room = functools.partial(empty_cache, decoder.counts, shape, (batch, context), jnp.bfloat16)
        cache = jax.eval_shape(room)
        words = f"{model}, {'one body' if group is None else 'a body a layer'}, {batch} sequences"
        known = {"steps": steps, "weights_gb": _gigabytes(decoder), "cache_gb": _gigabytes(cache)}
        run = lambda *given: decode_steps.trace(*given, steps)
        yield f"decode: {words}", run, (decoder, like((batch,)), cache), known
        if batch == 1 and group == 1:
            yield f"prefill: {words}", prefill.trace, (decoder, like((batch, context)), cache), known


def _gigabytes(tree: Any) -> float:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)) / 1e9


def device() -> Iterator[Case]:
    """Products of `bench device` in every way that is timed."""
    from clustermodel.bench import rates

    width = rates.FULL.width
    for kind, name in rates.KINDS.items():
        for rows, options in itertools.product((1, 16, 4096), rates.ways(kind)):
            given = tuple(jax.ShapeDtypeStruct((n, width), kind) for n in (rows, width))
            run = rates.product(jnp.dtype(kind), rates.precision(kind), options).trace
            words = f"device: {name}, {rows} rows{', by the library' if options else ''}"
            yield words, run, given, {"rows": rows}


def chain() -> Iterator[Case]:
    """`bench model`: a million configurations at a time."""
    from clustermodel.bench import model
    from clustermodel.chain.bulk import DTYPES, at_a_time, cast, numbers

    block = at_a_time()
    for kind, name in model.CASES.items():
        parts = model._subject(load_catalog(), name)
        for dtype in DTYPES:
            with numbers(dtype):
                run = jax.jit(model._in_blocks(model.chain(*cast(dtype, parts)), block)).trace
                inputs = model.Varied(*[jax.ShapeDtypeStruct((block,), dtype)] * len(model.Varied._fields))
                first = jax.ShapeDtypeStruct((), jnp.int32)
                yield f"chain: {kind} {dtype}", run, (inputs, first), {"configurations": block}


def sweep() -> Iterator[Case]:
    """One tile of `frontier --exhaustive`, added to what was kept before."""
    import bench_sweep

    from clustermodel.sweep import run
    from clustermodel.sweep.reduce import nothing

    for kind, model in bench_sweep.MODELS.items():
        for words, prices in bench_sweep.PRICES.items():
            points = bench_sweep.points(model, bench_sweep.LENGTHS, prices)
            cut = run.tiling(points.extent)
            one = lambda best, points, asked, tile, cut=cut: run.merged(
                best, run._tile(points, cut, *asked, tile)
            )
            asked = (jnp.asarray(points.group), jnp.ones(2))
            known = {"points": cut.replicas * cut.loads * points.extent[2]}
            yield (
                f"sweep: {kind}, {words} prices",
                jax.jit(one).trace,
                (nothing(2), points, asked, jnp.asarray(0)),
                known,
            )


def risk() -> Iterator[Case]:
    """A block of paths, drawn and computed."""
    import bench_risk

    from clustermodel.economics.montecarlo import Sampling, uniforms

    of = bench_risk.model()
    index = jnp.arange(bench_risk.block())
    sampling = Sampling(jax.random.key(0), bench_risk.PATHS, of.draws)

    def run(of: Any, index: jax.Array) -> Any:
        return jax.vmap(lambda i: of(of.prepare(uniforms(sampling, i))))(index)

    yield "risk: quasi-random paths", jax.jit(run).trace, (of, index), {"paths": index.size}


def dispatch() -> Iterator[Case]:
    """12,000 dispatches by the batched interior point; its loop stops by itself."""
    import bench_dispatch

    from clustermodel.fleet import interior_point

    program = bench_dispatch.two_stage(bench_dispatch.instance(*bench_dispatch.SHAPE, 1))
    scenarios = max(bench_dispatch.SCENARIOS)
    demand = jax.ShapeDtypeStruct((scenarios, *program.demand.shape[1:]), float)
    run = jax.jit(jax.vmap(jax.vmap(interior_point.solve), (None, None, 0))).trace
    given = (program.dispatch, program.supply(bench_dispatch.fleet(program)), demand)
    yield "dispatch: interior point", run, given, {"dispatches": scenarios * demand.shape[1]}


PARTS = {each.__name__: each for each in (decode, device, chain, sweep, risk, dispatch)}


@contextlib.contextmanager
def for_h200() -> Iterator[NamedSharding]:
    """Where programs are made for an H200: the sharding of what they are given."""
    from clustermodel.bench.decoder import parts

    device = topologies.get_topology_desc("", "cuda", target_config=H200, topology="1x1x1")
    mesh = topologies.make_mesh(device, (1,), ("device",))
    jax.config.update("jax_platforms", "cpu")  # which computes what the programs are given
    fused = mock.patch.object(parts, "has_fused_attention", return_value=True)  # needs a device to ask
    with mock.patch.object(jax, "default_backend", return_value="gpu"), fused:
        yield NamedSharding(mesh, PartitionSpec())


def compiled(case: Case, place: NamedSharding) -> dict[str, Any]:
    """What a program becomes."""
    name, traced, given, known = case
    like = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
    shapes = jax.tree.map(like, jax.eval_shape(lambda *args: args, *given))
    before = set(DUMP.glob("*.ptx"))
    start = time.perf_counter()
    program = traced(*shapes).lower(lowering_platforms=("cuda",)).compile()
    taken = time.perf_counter() - start
    text = program.as_text() or ""
    found = kernels.work(text)
    used, spilled = _registers(sorted(set(DUMP.glob("*.ptx")) - before))
    memory = program.memory_analysis()
    return {
        "name": name,
        **known,
        "compile_s": taken,
        "launches": found.launches,
        "moved_gb": found.moved / 1e9,
        "multiplied": kernels.multiplied(text),
        "loops_of_unknown_length": found.unknown_loops,
        "working_memory_gb": memory.temp_size_in_bytes / 1e9,
        "most_registers": used,
        "most_spilled_bytes": spilled,
    }


def _registers(sources: list[Path]) -> tuple[int, int]:
    import nvidia

    (folder,) = (Path(each) / "cuda_nvcc/bin" for each in nvidia.__path__)
    ptxas = shutil.which("ptxas", path=str(folder)) or "ptxas"
    found = [(0, 0)]
    for source in sources:
        if not source.stat().st_size:
            continue  # a part without kernels
        command = [ptxas, "--verbose", "--gpu-name", "sm_90a", "--output-file", os.devnull, source]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found.append(kernels.registers(said))
    return max(used for used, _ in found), max(spilled for _, spilled in found)


def main() -> None:
    """Compile the parts that were asked for, and write what they became."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--only",
        default=",".join(PARTS),
        metavar="PART,PART",
        help=", ".join(PARTS) + "; the file holds these alone",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="FOLDER")
    asked = parser.parse_args()
    parts, rows = asked.only.split(","), []
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if importlib.util.find_spec("jax_plugins") is None:
        parser.error("the GPU build of jax is not installed; pip install 'jax[cuda12]'")
    atexit.register(shutil.rmtree, DUMP)
    with for_h200() as place:
        for part in parts:
            for case in PARTS[part]():
                rows.append(compiled(case, place))
                row = rows[-1]
                print(
                    f"{row['name']:52} {row['launches']:8,.0f} kernels, {row['moved_gb']:7.3f} GB moved, "
                    f"{row['most_registers']} registers, {row['most_spilled_bytes']} B spilled",
                    flush=True,
                )
    about = machine()
    answer = {
        "kind": "compiled",
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        "jax": jax.__version__,
        "device": "NVIDIA H200, compiled for and not run on",
        "compiled_on": {name: about[name] for name in ("device", "cores", "python")},
        "programs": rows,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "compiled-nvidia-h200.json"
    path.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
