"""The same answers computed twice: here, and on a processor by a process that compiled everything apart.

On an accelerator the second answers say whether it computes what a processor computes. Without one they are still
another program: one of the two processes compiles with little effort (`effort.py`), the other as for users, so sums and
products are formed in another order.
`python tests/agreement.py FILE.npz` is that second process; `check` compares.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import effort
import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS, PATHS, SCENARIOS, SEED = 20_000, 2048, 4, 1
SYSTEM, MODELS = "hgx-h200", {"dense": "llama-3.1-70b", "moe": "deepseek-v3"}
SCENARIO = "anchor-book"
_WAIT = 300  # s

Answers = dict[str, Any]
"""Named arrays."""


def chain(model: str) -> Answers:
    """Every output of the whole chain for random configurations."""
    from clustermodel.bench.model import chain, draws
    from clustermodel.catalog import load_catalog
    from clustermodel.chain.question import Question
    from clustermodel.chain.setup import set_up
    from clustermodel.physics.deployment import Layout

    setup = set_up(load_catalog(), Question(SYSTEM, model, precision="fp8"))
    layout = Layout(*jnp.ones((4, 1))[:, 0])
    one = chain(setup.deployment(layout), setup.load(jnp.ones(())), setup.money)
    return jax.jit(jax.vmap(one))(draws(CONFIGURATIONS, float))._asdict()


def sweep_of_systems() -> Answers:
    """What a sweep's reductions keep: the least price at every speed, and whose it is."""
    from clustermodel.catalog import load_catalog
    from clustermodel.chain import Question
    from clustermodel.sweep import Axes, space, sweep

    axes = Axes(concurrency=(1, 8, 64), isl=(256, 2048), price_factor=(1.0, 1.5))
    systems = ["hgx-h200", "hgx-b200"]
    points = space(load_catalog(), Question(systems[0], "llama-3.1-8b", tp=1), systems, axes)
    best = sweep(points, max_tpot=0.05, chunk=8)
    return {"price": best.price, "index": best.index}


def risk() -> Answers:
    """Figures of a scenario with their tails."""
    from clustermodel.catalog import load_catalog
    from clustermodel.risk import run_scenario

    metrics = run_scenario(load_catalog(), SCENARIO, PATHS, SEED)["metrics"]
    kept = ("mean", "p10", "p50", "p90", "var95", "cvar95")
    return {name: np.array([row[each] for each in kept]) for name, row in metrics.items()}


def dispatches() -> Answers:
    """Proven bounds of a batch of dispatches."""
    from fleet_instances import instance

    from clustermodel.fleet.oracles import InteriorPointOracle
    from clustermodel.fleet.two_stage import two_stage

    program = two_stage(instance(20, 20, 12, SCENARIOS))
    x = np.zeros(program.layout.count)
    x[program.layout.buy] = program.upper[program.layout.buy] / 10
    found = InteriorPointOracle(program).recourse(program.supply(x), program.demand)
    return {"lower": found.lower, "upper": found.upper}


def decoder() -> Answers:
    """Logits of a small decoder with routed experts, in float32 with full products."""
    from clustermodel.bench.decoder import Shape, forward, random_decoder

    shape = Shape(1, 1, 64, 8, 2, 16, 96, 80, n_experts=4, top_k=2, expert_dim=32)
    random = np.random.default_rng(SEED)
    tokens = jnp.asarray(random.integers(0, shape.vocab, (2, 24)), jnp.int32)
    drawn = lambda leaf: jnp.asarray(random.normal(size=leaf.shape) * shape.d_model**-0.5, leaf.dtype)
    weights = jax.tree.map(
        drawn, random_decoder(shape, jnp.float32)
    )  # a device's own are not the processor's
    with jax.default_matmul_precision("highest"):
        return {"logits": jax.jit(forward)(weights, tokens)}


class Case(NamedTuple):
    """Answers, and how far apart two computations of them may be, relative to the larger."""

    answers: Callable[[], Answers]
    tolerance: float


CASES = {
    "chain-dense": Case(lambda: chain(MODELS["dense"]), 1e-9),
    "chain-moe": Case(lambda: chain(MODELS["moe"]), 1e-9),
    "sweep": Case(sweep_of_systems, 1e-9),
    "risk": Case(risk, 1e-9),
    "dispatches": Case(dispatches, 1e-7),  # an iterative method: its own bounds are that far apart
    "decoder": Case(decoder, 1e-4),  # float32 sums of up to 96 terms, two layers
}
WHOLE = ("risk", "decoder")
"""Cases whose differences are shares of the largest number of an array: quantiles and logits may be zero."""


def arrays(answers: Answers) -> Answers:
    """On the host."""
    return {name: np.asarray(value) for name, value in answers.items()}


def apart(case: str, here: Answers, there: Answers) -> float:
    """The largest relative difference of two sets of answers; infinite where one has a number and one has none."""
    assert here.keys() == there.keys()
    return max(_apart(here[name], there[name], case in WHOLE) for name in here)


def _apart(here: np.ndarray, there: np.ndarray, of_the_largest: bool) -> float:
    if here.shape != there.shape:
        return np.inf
    finite = np.isfinite(here)
    if not np.array_equal(finite, np.isfinite(there)) or not np.array_equal(
        here[~finite], there[~finite], equal_nan=True
    ):
        return np.inf
    size = np.maximum(np.abs(here), np.abs(there))[finite]
    size = np.full_like(size, size.max(initial=0)) if of_the_largest else size
    difference = np.abs(here[finite] - there[finite])
    return float(np.max(difference / np.where(size > 0, size, 1), initial=0))


def written(file: str) -> None:
    """All answers of this process, into a file."""
    jax.config.update("jax_enable_x64", True)
    found = {
        f"{case}|{name}": value for case in CASES for name, value in arrays(CASES[case].answers()).items()
    }
    np.savez(file, **found)


def elsewhere() -> dict[str, Answers]:
    """The answers of a process on the processor whose compiler takes the effort that it does not take here."""
    apart = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **effort.other(os.environ)}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "answers.npz")
        command = [sys.executable, __file__, file]
        done = subprocess.run(
            command, env=os.environ | apart, capture_output=True, text=True, timeout=_WAIT, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(file) as stored:
            found: dict[str, Answers] = {case: {} for case in CASES}
            for key in stored.files:
                case, name = key.split("|")
                found[case][name] = stored[key]
    return found


def check() -> Iterator[dict[str, Any]]:
    """Every case: how far the answers here and elsewhere are apart, and whether that may be."""
    there = elsewhere()
    for name, case in CASES.items():
        distance = apart(name, arrays(case.answers()), there[name])
        yield {
            "claim": f"{name}: answers here are those of a processor",
            "apart": distance,
            "tolerance": case.tolerance,
            "holds": distance <= case.tolerance,
        }


if __name__ == "__main__":
    written(sys.argv[1])
