"""Every notebook runs from its source; the executed copies are for readers."""

import json
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
RUN = [SOURCES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SOURCES[1:])]


@pytest.mark.parametrize("source", RUN, ids=[path.stem for path in SOURCES])
def test_a_notebook_runs_from_its_source(source, tmp_path):
    done = subprocess.run(
        [sys.executable, str(source)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_executed_copy_has_the_cells_of_its_source(source):
    cells = json.loads(source.with_suffix(".ipynb").read_text())["cells"]
    code = ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "code"]
    blocks = [block for block in source.read_text().split("# %%")[1:] if not block.startswith(" [markdown]")]
    assert code == [block.strip() for block in blocks]
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")
