# Every target makes the environment it needs: nothing has to be installed but Python (3.10 or newer) and make.
#   PYTHON=python3.12   which Python makes the environment (default: the first that fits)
#   VENV=folder         where the environment lives (default: .venv)
#   WORKERS=4           processes of the test run (default: 2)
#   ARGS="..."          passed on to pytest, the demo or the benchmarks
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench clean

VENV ?= .venv
WORKERS ?= 2
ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python3.10 python)

help: ## say what each target does
	@echo "torchkeras: Keras programs on PyTorch. Each target sets up $(VENV) first where it has to."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.ready ## make the environment, or bring it up to date
	@echo "==> $(VENV) is ready"

demo: $(VENV)/.ready ## train a small network on handwritten digits and show the whole path
	@echo "==> Demo: python -m torchkeras demo"
	@$(BIN)/python -m torchkeras demo $(ARGS)

test: $(VENV)/.ready ## run all tests
	@echo "==> Tests: pytest in $(WORKERS) processes of one thread each"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: $(VENV)/.ready ## formatter, linter, type checker and the order of imports; changes nothing
	@echo "==> Format: ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "==> Lint: ruff check"
	@$(BIN)/ruff check .
	@echo "==> Types: mypy"
	@$(BIN)/mypy
	@echo "==> Imports point down: tests/test_imports.py"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_imports.py

format: $(VENV)/.ready ## format the code and repair what the linter can repair
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-bench ## compare speed with other training loops, by ratio (benchmarks/results)
	@echo "==> Benchmarks: python -m benchmarks $(ARGS)"
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the environment, caches and everything that was built
	@echo "==> Removing $(VENV), caches, builds, logs and the demo's output"
	@rm -rf "$(VENV)" build dist logs demo .pytest_cache .mypy_cache .ruff_cache .hypothesis ./*.egg-info
	@find . \( -path ./.git -o -path ./.venv \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that runs, is new enough and can make an environment (Debian splits that off as python3-venv).
$(BIN)/python:
	@for candidate in $(CANDIDATES); do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then \
	    echo "==> Making $(VENV) with $$($$candidate --version)"; \
	    $$candidate -m venv --clear "$(VENV)" && exit 0; rm -rf "$(VENV)"; exit 1; \
	  fi; \
	done; \
	echo "No Python 3.10 or newer with venv among: $(CANDIDATES). Install one (on Debian and Ubuntu also the package" >&2; \
	echo "python3-venv), or name yours: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> Installing torchkeras and its tools as constraints.txt pins them (the first time takes minutes)"
	@$(PIP) -c constraints.txt -e '.[test,dev]'
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready
	@echo "==> Installing what the benchmarks compare with"
	@$(PIP) -c constraints.txt -e '.[bench]'
	@touch $@
