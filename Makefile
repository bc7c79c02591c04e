# Two commands do everything on a machine that has python3, git and make:
#   make demo    performs the story, then compares two real jobs, and writes one HTML report
#   make test    runs the tests
# Both make a virtual environment in .venv the first time; the second time they start at once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Exact versions and hashes of all that is installed. Another list can be given: `.ci/run` does that.
LOCK ?= requirements/dev.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL_LOCKED := $(INSTALL) --require-hashes --only-binary :all: --no-deps -r
# How `make lock` decides: for every Python and platform at once, from the lowest Python that we admit.
RESOLVE ?= --universal --python-version 3.11
PYTEST_ARGS ?=

.PHONY: help demo cluster-demo test coverage lint types check docs bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      perform the story in every mode, compare two real jobs, write one HTML report"
	@echo "make cluster-demo  start a Dask cluster of two workers here, and run a job on it"
	@echo "make test      run the tests, and every example in README.md and docs/ (PYTEST_ARGS='-k name' for some)"
	@echo "make coverage  the same, and which lines no test reaches (twice as long)"
	@echo "make lint      ruff: style and format"
	@echo "make types     mypy --strict"
	@echo "make docs      build the documentation: out/docs/index.html"
	@echo "make bench     print every figure that the project claims (about 20 minutes)"
	@echo "make lock      renew requirements/: the newest versions that pyproject.toml admits, with their hashes"
	@echo "make clean     remove the virtual environment and everything made"
	@echo "PYTHON=python3.12 VENV=.venv-3.12 make test   the same on another Python"

$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "whilst needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (once; about a minute) ..."
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) can't make virtual environments; on Debian or Ubuntu: apt install python3-venv"; exit 2; }
	@# No binary psycopg is made for builds without the GIL; what needs it is skipped there.
	@if $(BIN)/python -c 'import sys, sysconfig; sys.exit(not sysconfig.get_config_var("Py_GIL_DISABLED"))'; \
		then sed '/^psycopg-binary==/,/[^\\]$$/d' $(LOCK); else cat $(LOCK); fi >$(VENV)/lock.txt
	@$(INSTALL_LOCKED) $(VENV)/lock.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/python examples/demo.py

cluster-demo: $(READY)
	@$(BIN)/python examples/cluster_demo.py

test: $(READY)
	@# Tests start many programs, which would each compile all anew where Python may write no bytecode.
	@$(BIN)/python -m compileall -q src tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: $(READY)
	$(BIN)/python -m coverage run -m pytest $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

docs: $(READY)
	@$(INSTALL_LOCKED) requirements/docs.txt
	@$(BIN)/python docs/build.py

bench: $(READY)
	@$(INSTALL_LOCKED) requirements/bench.txt
	@$(BIN)/python benchmarks/run_all.py

# Needs no list itself: uv only writes the lists, any pip that comes with a Python reads them.
.venv-lock/bin/uv:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"

COMPILE := .venv-lock/bin/uv pip compile --quiet --upgrade --generate-hashes --only-binary :all: --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: .venv-lock/bin/uv
	@$(COMPILE) $(RESOLVE) pyproject.toml --extra optimal --extra postgres --group dev --output-file $(LOCK)
ifeq ($(LOCK),requirements/dev.txt)
	@$(COMPILE) $(RESOLVE) --group bench --constraint $(LOCK) --output-file requirements/bench.txt
	@$(COMPILE) $(RESOLVE) --group docs --constraint $(LOCK) --output-file requirements/docs.txt
endif

clean:
	rm -rf .venv .venv-* out build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
