# Two commands from a fresh clone: `make demo` (main job) and `make test` (lint, types, contracts, tests).
# PYTHON chooses the interpreter (>= 3.11); CUDA=12 or CUDA=13 installs the GPU build of jax.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRA := $(if $(CUDA),[cuda$(CUDA)],)

.PHONY: demo test check bench clean

$(VENV)/.core: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed; choose one with make PYTHON=...") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.$(EXTRA)'
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	touch $@

demo: $(VENV)/.core
	$(BIN)/clustermodel cost --system hgx-h200 --model llama-3.1-70b --precision fp8 --max-tpot-ms 50
	$(BIN)/clustermodel compare --model llama-3.1-70b --precision fp8 --max-tpot-ms 50 \
		--systems hgx-h100,hgx-h200,hgx-b200,gb200-nvl72,mi300x,mi355x,prometheus-32tb

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -q

bench: $(VENV)/.test
	$(BIN)/clustermodel bench model --out benchmarks/results/model-cpu.json

clean:
	rm -rf $(VENV)
