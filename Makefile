# Two commands from a fresh clone: `make demo` (what the program is for) and `make test` (lint, types and tests).
# `make thorough` repeats the tests with those that take long, and checks the shapes of arrays at run time.
#   PYTHON=python3.12   another interpreter (3.11 or later; the first good one on the path otherwise)
#   VENV=.venv-newest   another place for the environment
#   CUDA=12 or CUDA=13  the GPU build of jax
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CORE := $(VENV)/.core$(CUDA)
TEST := $(VENV)/.test$(CUDA)
COMMA := ,

.PHONY: demo test check pytest thorough bench readme reference hooks clean

QUESTION := --model llama-3.1-70b --precision fp8 --max-tpot-ms 50
SYSTEMS := --systems hgx-h100,hgx-h200,hgx-b200,gb200-nvl72,mi300x,mi355x,prometheus-128tb

demo: $(CORE)
	$(BIN)/clustermodel cost --system hgx-h200 $(QUESTION)
	$(BIN)/clustermodel compare $(SYSTEMS) $(QUESTION)
	@mkdir -p demo
	$(BIN)/clustermodel compare $(SYSTEMS) $(QUESTION) --quiet --out demo/compare.json
	$(BIN)/clustermodel frontier $(SYSTEMS) $(QUESTION) --quiet --out demo/frontier.json
	$(BIN)/clustermodel report demo/compare.json demo/frontier.json --out demo/report.html

test: check pytest

check: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

pytest: $(TEST)
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -q

thorough: $(TEST)
	THOROUGH=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -q

bench: $(CORE)
	$(BIN)/python benchmarks/run.py

readme: $(TEST)
	$(BIN)/python tests/readme.py

reference: $(CORE)
	$(BIN)/python docs/reference.py

hooks: $(TEST)
	$(BIN)/pre-commit install

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[report$(if $(CUDA),$(COMMA)cuda$(CUDA))]'
	touch $@

$(TEST): $(CORE)
	$(PIP) --editable '.[report,explore,test,dev]'
	touch $@
