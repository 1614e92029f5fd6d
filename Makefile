# Every task of the project; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup serve test oracle control-plane check fmt lint types docs clean

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# An installed uv is used as it is; otherwise one is put into a folder of its own.
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv/bin/uv)
# A path or -k expression: make test T=tests/policy
T ?= tests
# Workers that share one control plane and one PostgreSQL; a module stays with one of them, for its fixtures create
# objects under names of their own.
WORKERS ?= 2

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.synced ## install what is needed into .venv, as uv.lock says

$(VENV)/.synced: pyproject.toml uv.lock
	@command -v $(UV) >/dev/null || { python3 -m venv .cache/uv && .cache/uv/bin/pip install -q uv==$(UV_VERSION); }
	$(UV) sync -q --locked
	@touch $@

serve: setup ## start the service: on the kubeconfig's cluster or, without one, on the example cluster
	$(BIN)/plimsoll serve --or-example

control-plane: ## build kube-apiserver and etcd for the tests, once, into the cache
	@[ -n "$$KUBEBUILDER_ASSETS" ] || sh tests/controlplane/build.sh

test: setup control-plane ## run every test (T=path for some of them)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(T)

# A seed that a run printed repeats it: make oracle ORACLE_SEED=1
oracle: setup control-plane ## ask the API server 100,000 random questions about RBAC, and compare
	ORACLE_QUESTIONS=$${ORACLE_QUESTIONS:-100000} $(BIN)/pytest -q -n 0 tests/analysis/rbac/test_oracle.py -k subject_access_review

check: lint types test ## all that CI runs

fmt: setup ## format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: setup ## ruff, formatting, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## mypy in strict mode
	$(BIN)/mypy

docs: setup ## renew the pages and manifests that are made from code
	$(BIN)/python -m docs.generate

clean: ## remove what the tasks made, but not the control plane's cache
	rm -rf $(VENV) .cache dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
