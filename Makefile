# Two commands do everything on a machine that has python3, git and make:
#   make demo    performs the story, then compares two real jobs, and writes one HTML report
#   make test    runs the tests
# Both make a virtual environment in .venv the first time; the second time they start at once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=
COVERAGE ?= yes

.PHONY: help demo test lint types check bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   perform the story in every mode, compare two real jobs, write one HTML report"
	@echo "make test   run the tests, and every example in README.md (PYTEST_ARGS='-k name' for some)"
	@echo "make lint   ruff: style and format"
	@echo "make types  mypy --strict"
	@echo "make bench  print every figure that the project claims (about 20 minutes)"
	@echo "make clean  remove the virtual environment and everything made"
	@echo "PYTHON=python3.12 VENV=.venv-3.12 make test   the same on another Python"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "whilst needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (once; about a minute) ..."
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) can't make virtual environments; on Debian or Ubuntu: apt install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable ".[optimal,postgres]" --group dev
	@touch $(READY)

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: $(READY)
ifeq ($(COVERAGE),no)
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	$(BIN)/python -m coverage run -m pytest $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report
endif

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

bench: $(READY)
	@$(BIN)/python -m pip install --quiet --group bench
	@$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf .venv .venv-* out build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
