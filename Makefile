# Everything a newcomer needs. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(shell command -v uv)
BIN := .venv/bin
export DO_NOT_TRACK = 1

.PHONY: help setup run ui test lint format schemas lock clean

help:  ## List these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/' | expand -t 20

setup: .venv/.installed  ## Install the locked packages into .venv

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Makefile: Python 3.11 is needed, found $$($(PYTHON) --version 2>&1); install python3.11 or set PYTHON=/path/to/python3.11" >&2; exit 1; }
ifneq ($(UV),)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@echo "Installing the locked packages with uv ..."
	@$(UV) pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@$(PYTHON) -m venv .venv || { echo "Makefile: Python cannot make a venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked packages with pip (one to three minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@$(BIN)/python -m orchestration.defs.dbt_build
	@touch $@

run: setup  ## Make the demo retailer's extracts if there are none, and run the whole pipeline
	@$(BIN)/rcu demo

ui: setup  ## Open Dagster on http://localhost:3000
	@$(BIN)/rcu ui

test: setup lint  ## Lint, then run every test, one worker per processor
	@$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

lint: setup  ## Check style, types and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy

format: setup  ## Rewrite the code in the house format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schemas: setup  ## Write the JSON Schemas of the declarations again
	@$(BIN)/python -m orchestration.contracts.schemas

lock:  ## Resolve the dependencies again into requirements.lock (needs uv)
	@uv pip compile pyproject.toml --extra dev --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --generate-hashes --no-header --no-annotate --no-strip-extras --quiet --output-file requirements.lock

clean:  ## Remove the environment and caches; data/ stays
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
