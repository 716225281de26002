# make help lists the targets. Everything is installed into .venv; nothing else is touched.
#   PYTHON=python3.12 make run    chooses the interpreter (3.11 or later)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev
PYTHON ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore

# Two tests at a time: most take one core, and what they build takes memory.
PARALLEL := --numprocesses 2 --dist worksteal

# Settings of the caller's Python must not leak in; caches stay inside the tree.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export MPLBACKEND := Agg
export CSNN_CACHE := $(CURDIR)/$(VENV)/cache/rtl
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/cache/matplotlib
ifeq ($(strip $(HOME)),)
export PIP_NO_CACHE_DIR := 1
endif

.PHONY: help run test test-full lint docs format bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

run: $(BASE) ## full-scale PD14: generate, simulate 1 s, validate, report (path printed last)
	@$(BIN)/csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 --threads 2 --out out/pd14

test: $(DEV) ## quick tests
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-full: $(DEV) ## all tests, with NEST and full scale (long)
	@$(BIN)/python -m pytest

lint: $(DEV) ## style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(DEV) ## documentation site in build/docs; a broken reference is an error
	@$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet docs build/docs
	@echo build/docs/index.html

format: $(DEV) ## reformat the sources
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

bench: $(BASE) ## generation time, speed and memory of full-scale PD14
	@$(BIN)/csnn bench

clean: ## remove results, build products and caches; .venv stays
	@rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(BIN)/python:
	@found=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        found=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "make: needs Python 3.11 or later; tried $(or $(PYTHON),python3.11 to python3.14 and python3)." \
	        "Install one or name it: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "setting up $(VENV) with $$("$$found" --version) (once)" >&2; \
	if ! "$$found" -m venv --clear $(VENV) >&2; then \
	    rm -rf $(VENV); \
	    echo "make: $$found cannot make a virtual environment; install its venv module" \
	        "(on Debian and Ubuntu: python3-venv)" >&2; \
	    exit 1; \
	fi

# Order-only: the interpreter in .venv has the system's date, which says nothing about the stamp.
$(BASE): pyproject.toml | $(BIN)/python
	@echo "installing csnn into $(VENV)" >&2
	@$(PIP) -e .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing csnn with test tools, NEST, RTL and synthesis tools into $(VENV)" >&2
	@$(PIP) -e '.[nest,rtl,synth,dev]'
	@touch $@
