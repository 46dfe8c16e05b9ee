# demo: install and run the main job on a CPU. test, check: what must pass before a change lands. bench: ours against TRL.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# in a terminal pip shows what it loads; in a log a line for every package would bury the rest
PIP_SAYS := $(shell test -t 2 || echo -q)

.PHONY: help install demo test check docs format bench clean

help:
	@echo "make demo    install, then SFT -> GRPO -> evaluation of the tiny policy on the embedded set (CPU, minutes)"
	@echo "make test    install, then run the tests"
	@echo "make check   install, then lint, type check, import contract and a strict build of the docs"
	@echo "make docs    install, then the pages of docs/ and the API reference into build/site"
	@echo "make bench   install TRL too, then time a GRPO step of both"

install: $(VENV)/installed-dev

demo: $(VENV)/installed
	@echo "Training and judging the tiny policy: SFT, then GRPO, minutes each"
	$(BIN)/python -m zoom_iqa.train +experiment=quickstart

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n 2

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mkdocs build

docs: $(VENV)/installed-dev
	$(BIN)/python -m mkdocs build

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-bench
	$(BIN)/python experiments/throughput/run.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) what zoom_iqa needs (torch, transformers and others); it takes minutes, once"
	@$(BIN)/python -m pip install $(PIP_SAYS) -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing into $(VENV) what tests and checks need; it takes minutes, once"
	@$(BIN)/python -m pip install $(PIP_SAYS) -c constraints.txt -e ".[dev]"
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@echo "Installing into $(VENV) what the benchmark needs; it takes minutes, once"
	@$(BIN)/python -m pip install $(PIP_SAYS) -c constraints.txt -e ".[bench]"
	@touch $@
