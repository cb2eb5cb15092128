# Two commands do everything on a machine with Python 3.11-3.13, make and a C compiler:  make serve, make test
#   PYTHON=python3.12   picks the interpreter        VENV=.venv-3.12   picks the folder
#   ARGS="-k calcium"   goes to pytest, or to prenatal-cds serve

VENV ?= .venv
PYTHON ?=
ARGS ?=
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command "make lock" $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help install peers serve test lint audit format check golden lock floors clean FORCE

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(STAMP) ## make .venv with the hash-pinned libraries and this checkout (again only when the lists change)

# A named interpreter is always compared with the one in the folder; otherwise the stamp decides, without network.
$(STAMP): pyproject.toml requirements/install.sh requirements/build.txt requirements/dev.txt $(if $(PYTHON),FORCE)
	@sh requirements/install.sh "$(VENV)" dev "$(PYTHON)"
	@touch $@

FORCE:

peers: ## bring what some tests run against the service: Chromium, nginx, Medplum's client and server
	@sh tests/peers/install.sh

serve: $(STAMP) ## run the service on http://127.0.0.1:8000
	@$(BIN)/prenatal-cds serve $(ARGS)

test: $(STAMP) ## run all tests
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## ruff and mypy, changing nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit: $(STAMP) ## look for weaknesses in the code (bandit) and known ones in the locked libraries (pip-audit)
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive cds
	@$(BIN)/python requirements/audit.py

format: $(STAMP) ## put the code into the house format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check: $(STAMP) ## check the rules and run their cases
	@$(BIN)/prenatal-cds check
	@$(BIN)/prenatal-cds test

golden: $(STAMP) ## write fixtures/responses again after a change that is meant
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest --quiet tests/test_golden.py

# Keeps the versions that still fit; LOCK_ARGS=--upgrade takes the newest, LOCK_ARGS="-P pydantic" one of them.
lock: $(VENV)/.uv ## write requirements/*.txt again from pyproject.toml
	@$(LOCK) pyproject.toml --group dev --output-file requirements/dev.txt >/dev/null
	@$(LOCK) pyproject.toml --constraint requirements/dev.txt --output-file requirements/runtime.txt >/dev/null
	@$(LOCK) --constraint requirements/dev.txt --group build --output-file requirements/build.txt >/dev/null
	@$(LOCK) --constraint requirements/dev.txt --group lock --output-file requirements/lock.txt >/dev/null

# Not in CI: only the declared libraries are held at their floor, the ones they need in turn are today's.
floors: $(VENV)/.uv ## run the tests with the lowest versions that pyproject.toml declares
	@sh requirements/install.sh .venv-floors dev "$(PYTHON)"
	@$(BIN)/uv pip compile --quiet --python .venv-floors/bin/python --resolution lowest-direct --no-header \
	    pyproject.toml --group dev --output-file .venv-floors/floors.txt >/dev/null
	@$(BIN)/uv pip install --quiet --python .venv-floors/bin/python --requirement .venv-floors/floors.txt
	@.venv-floors/bin/python -m pytest -m "not slow" $(ARGS)

# Not after $(STAMP): a library that pyproject.toml has just gained is in no list yet, and install would refuse.
$(VENV)/.uv: requirements/lock.txt
	@test -x $(BIN)/python || $(MAKE) install
	@$(BIN)/python -m pip -qq install --require-hashes --only-binary :all: -r requirements/lock.txt
	@touch $@

clean: ## remove the environment, caches and build products
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
