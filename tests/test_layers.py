"""The shape of the code: who may import whom, how long a file is, which tools check it."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "clustermodel"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.parts)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST_FILE = 400
MOST_POSITIONAL = 5
EVERYWHERE = ("jax", "equinox", "jaxtyping", "numpy", "pandas", "optax")
"""What a GPU machine has; kernels and benchmarks need nothing else."""


def _layers():
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return {name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")}


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_every_import_contract_is_kept(monkeypatch):
    linter = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    assert linter.lint_imports(no_cache=True) == linter.EXIT_STATUS_SUCCESS


def test_every_package_has_a_place_in_the_layers():
    found = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {f"clustermodel.{name}" for name in found - {"__init__", "__main__"}} <= _layers()


@pytest.mark.parametrize("package", ["physics", "serving", "economics"])
def test_kernels_import_with_what_a_gpu_machine_has(package):
    installed = {name.partition(">")[0].partition("[")[0] for name in PROJECT["project"]["dependencies"]}
    absent = sorted(installed - set(EVERYWHERE))
    code = (
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({[*absent, 'beartype', 'scipy']!r}))\n"  # None: import fails
        f"package = importlib.import_module('clustermodel.{package}')\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_one_idea_with_plain_names(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= LONGEST_FILE
    assert ast.get_docstring(tree), "the first line of a file says what it is about"
    assert path.stem.strip("_") not in {"utils", "misc", "manager", "helpers", "base"}
    for function in _functions(tree):
        assert not function.name.startswith(("get_", "calc_", "compute_")), function.name
        positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        assert len([a for a in positional if a not in ("self", "cls")]) <= MOST_POSITIONAL, function.name


def test_commit_hooks_run_the_tools_that_the_project_pins():
    pinned = set(PROJECT["project"]["optional-dependencies"]["dev"])
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8").splitlines()
    used = [line.split('"')[1] for line in hooks if "additional_dependencies" in line]
    assert used
    assert set(used) <= pinned
    assert all("==" in tool for tool in pinned)
