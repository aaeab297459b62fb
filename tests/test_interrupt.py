"""Ctrl-C: a command ends with 130 wherever it stands, without a crash, without half a file, and never goes on."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

HEAD = """
import gc, os, signal, sys, threading
from clustermodel.cli._interrupt import run_to_the_end
press = lambda: signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
"""


def ended(code, *arguments):
    """Exit code, and what was said on both streams, of a process that runs `code`."""
    command = [sys.executable, "-c", HEAD + code, *map(str, arguments)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout, done.stderr


IN_A_CALLBACK = """
import types
import jax, jax._src.lib as lib
lib._jax = types.SimpleNamespace(collect_garbage=press)  # jax 0.12
lib.xla_client = types.SimpleNamespace(_xla=lib._jax)  # jax 0.10
run_to_the_end(lambda: (gc.collect(), print("went on")))
"""


def test_an_interrupt_that_meets_jax_at_a_garbage_collection_is_not_lost():
    """Python prints what a callback of its collector raises, and goes on."""
    assert ended(IN_A_CALLBACK) == (130, "", "interrupted\n")


OVER_MANY_PATHS = """
from clustermodel.cli.main import run
from clustermodel.risk import _run
blocks = _run.blocks
def soon_interrupted(*given):
    for index, block in enumerate(blocks(*given)):
        if index == 1:
            threading.Timer(SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        yield block
_run.blocks = soon_interrupted
sys.argv[1:1] = "risk --scenario anchor-book --paths 400000".split()
run()
"""


@pytest.mark.parametrize(
    "seconds", [0.0, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.11, 0.3))]
)
def test_a_run_of_many_paths_ends_without_tearing_its_threads_down(seconds):
    """Left to the interpreter's own end, two of five crash with a segmentation fault."""
    code = OVER_MANY_PATHS.replace("SECONDS", f"{seconds}")
    assert ended(code) == (130, "", "interrupted\n")


WRITING = """
import pathlib
from clustermodel.cli._output import write_whole
replace = os.replace
os.replace = lambda *places: (press(), replace(*places))
run_to_the_end(lambda: write_whole(pathlib.Path(sys.argv[1]), "new"))
"""


def test_an_interrupted_file_is_the_old_one_and_leaves_no_part_behind(tmp_path):
    place = tmp_path / "answer.json"
    place.write_text("old")
    assert ended(WRITING, place) == (130, "", "interrupted\n")
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


TWICE = """
def stubborn():
    try:
        press()
    finally:
        press()
        print("went on")
run_to_the_end(stubborn)
"""


def test_the_second_ctrl_c_ends_at_once():
    assert ended(TWICE) == (130, "", "interrupted\n")


def test_a_process_that_was_started_to_ignore_interrupts_still_does():
    code = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nrun_to_the_end(lambda: (press(), print('went on')))"
    assert ended(code) == (0, "went on\n", "")


KEEPING = """
from clustermodel.fleet.solve import interruptible
def plan():
    with interruptible() as asked:
        press()
        print("asked", asked(), flush=True)
        press()
        print("went on")
run_to_the_end(plan)
"""


def test_a_fleet_keeps_its_best_plan_at_the_first_and_ends_at_the_second():
    assert ended(KEEPING) == (130, "asked True\n", "interrupted\n")
