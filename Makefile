# make demo and make test set everything up by themselves, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= build/demo

.PHONY: help setup demo test test-slow lint bench clean java

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## everything that the targets below need, in .venv

$(VENV)/.ready: pyproject.toml requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Verger needs Python 3.11 or newer, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[spark]' -r requirements-dev.txt
	@touch $@

demo: setup ## the main job on sample photos
	test -d $(DEMO)/photos || $(BIN)/verger sample $(DEMO)/photos --images 600
	$(BIN)/verger run $(DEMO)/photos $(DEMO)/out
	$(BIN)/verger inspect $(DEMO)/out

java:
	@command -v java >/dev/null || sh scripts/install-java.sh

test: setup java ## the tests, on the embedded engine and on Apache Spark
	$(BIN)/python -m pytest -m 'not slow'

test-slow: setup java ## the slower proofs as well
	$(BIN)/python -m pytest

lint: setup ## ruff, mypy strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup java ## the benchmarks, into build/bench; takes about 30 minutes
	$(BIN)/python -m benchmarks.run

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
