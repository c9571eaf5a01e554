# The verbs. `make` alone lists them. CI and a laptop call the same ones.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

UV_VERSION := 0.13.8
SYNC ?=  # flags of uv sync, for a machine that needs less: make setup SYNC=--no-default-groups
# Of all tests at once: one more than there are cores, since many wait for a server or a process.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
BIN := .venv/bin
# The Python of the machine, not that of .venv, which has no pip.
PYTHON ?= $(firstword $(filter-out $(CURDIR)/$(BIN)/%,$(shell type -ap python3 2>/dev/null)) python3)
# A uv on the PATH is used; otherwise one is put into .tools, which needs no rights and touches no system package.
UV := $(firstword $(filter-out $(CURDIR)/$(BIN)/%,$(shell type -ap uv 2>/dev/null)) .tools/uv/bin/uv)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.tools/uv/bin/uv:
	@echo "No uv on the PATH: putting uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
		--root-user-action=ignore --upgrade --target .tools/uv "uv==$(UV_VERSION)"

.PHONY: setup
setup: $(UV) ## bring the locked environment into .venv (uv itself too, if there is none)
	@if [ ! -x $(BIN)/mainline ]; then echo "First time: installing the locked environment (about 8 GB, most of it torch with CUDA)"; \
		$(UV) sync --locked --compile-bytecode $(SYNC); else $(UV) sync --locked --quiet $(SYNC); fi

# emulate (a GitHub API) and the linter of the Jenkinsfile; Node itself comes with the environment
tests/node_modules/.package-lock.json: tests/package-lock.json | setup
	@python -m tests.servers

.PHONY: run
run: setup ## run the pipeline on its real data and show the figures
	@mainline run

.PHONY: test
test: setup tests/node_modules/.package-lock.json ## the fast tests
	@pytest -n auto --dist worksteal -m "not slow" -q

.PHONY: test-all
test-all: setup tests/node_modules/.package-lock.json ## every test, with coverage
	@pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --cov --cov-report=term:skip-covered -q

.PHONY: test-ci
test-ci: setup tests/node_modules/.package-lock.json ## the workflows and the Jenkinsfile, executed (needs Java)
	@pytest -n auto --dist loadgroup -q tests/workflows tests/jenkins

.PHONY: lint
lint: setup ## ruff, mypy and the other checks of pre-commit, on every file
	@pre-commit run --all-files

.PHONY: hooks
hooks: setup ## run those checks at every commit
	@pre-commit install

.PHONY: bench
bench: setup ## measure: training, features, stages (ratios in one run)
	@$(UV) run --locked --group bench python -m tests.bench

.PHONY: walkforward
walkforward: setup ## the model against the baselines, month after month (about 5 minutes)
	@python -m pipeline walkforward

.PHONY: demo
demo: setup tests/node_modules/.package-lock.json ## the whole loop on this machine (FAST=1: on a sample; Ctrl-C ends it)
	@python -m tests.e2e $(if $(FAST),--fast) $(DEMO)

.PHONY: mlflow
mlflow: setup ## look at the runs in MLflow on http://127.0.0.1:5000 (Ctrl-C ends it)
	@case "$${MLFLOW_TRACKING_URI:-}" in http*) echo "Open $$MLFLOW_TRACKING_URI";; \
	*) mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" --host 127.0.0.1 --port 5000;; esac

.PHONY: site
site: setup ## one page of releases, drift and data: site/index.html (OUT=DIR for another)
	@mainline site --out $(or $(OUT),site)

.PHONY: serve
serve: setup ## serve the model of models/ on http://127.0.0.1:3000 (PORT=N for another; Ctrl-C ends it)
	@python -m serving.run --port $(or $(PORT),3000)

.PHONY: reproduce
reproduce: setup ## train again in a clone with an empty cache and compare with dvc.lock
	@mainline reproduce

.PHONY: clean
clean: ## remove caches and notes (not checkpoints, nor what MLflow has not received)
	@rm -rf .mainline/stages .mainline/validation .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov
