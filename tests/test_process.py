"""What a process asks of its surroundings: flags beside those of the user, and programs of fewer loops."""

import os
import platform
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clustermodel.bench.model import CASES, Outputs, chain, draws
from clustermodel.catalog import load_catalog
from clustermodel.chain import Question
from clustermodel.chain.bulk import compiler_options
from clustermodel.chain.setup import set_up
from clustermodel.cli._jax import set_up_jax
from clustermodel.physics.deployment import Layout
from clustermodel.process import set_flags

FUSED = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"
N = 17_000  # rows; several threads share them


@pytest.mark.parametrize(("before", "after"), [
    ({}, FUSED),
    ({"XLA_FLAGS": "--xla_dump_to=x"}, f"--xla_dump_to=x {FUSED}"),
    ({"XLA_FLAGS": FUSED}, FUSED),
    ({"XLA_FLAGS": "--xla_backend_extra_options=xla_other"}, "--xla_backend_extra_options=xla_other"),
])  # fmt: skip
def test_flags_are_added_to_those_of_the_user_once(before, after):
    set_flags(before)
    assert before == {"XLA_FLAGS": after}


def test_a_process_that_has_jax_keeps_its_flags(monkeypatch):
    """Its compiler has read them, and what it compiles would be kept as if it were made with others."""
    monkeypatch.setenv("XLA_FLAGS", "")
    set_up_jax(fused=True)
    assert os.environ["XLA_FLAGS"] == ""


PAGES = """
import resource, sys
import numpy as np
from clustermodel.process import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
for _ in range(3):  # the first two fill the heap
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(100_000_000, np.int8)[::4096] = 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_kept_memory_is_not_paged_in_again():
    """An array larger than glibc ever keeps by itself."""
    run = lambda word: subprocess.run([sys.executable, "-c", PAGES, word], capture_output=True, check=True)
    given_back, kept = (int(run(word).stdout) for word in ("given back", "kept"))
    assert kept < 0.1 * given_back


def programs(kind):
    setup = set_up(load_catalog(), Question("hgx-h200", CASES[kind], precision="fp8"))
    one = chain(setup.deployment(Layout(*jnp.ones((4, 1))[:, 0])), setup.load(jnp.ones(())), setup.money)
    return jax.jit(jax.vmap(one), compiler_options=compiler_options()), draws(N)


def loops(program, inputs):
    whole = program.lower(inputs).compile().as_text()
    return len(re.findall(r" fusion\(", whole[whole.index("ENTRY") :]))


if __name__ == "__main__":
    set_flags()  # in a process of its own: its compiler reads them once
    jax.config.update("jax_enable_x64", True)
    program, inputs = programs(sys.argv[1])
    np.savez(sys.argv[2], loops=loops(program, inputs), **program(inputs)._asdict())


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of processors")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "moe"])
def test_the_flags_make_fewer_loops_of_the_same_answers(kind, tmp_path):
    subprocess.run([sys.executable, __file__, kind, tmp_path / "fused.npz"], check=True)
    with np.load(tmp_path / "fused.npz") as file:
        fused = dict(file)
    program, inputs = programs(kind)
    assert fused["loops"] < 0.75 * loops(program, inputs)
    plain = program(inputs)
    for name in Outputs._fields:
        np.testing.assert_allclose(fused[name], getattr(plain, name), rtol=1e-10, err_msg=name)
