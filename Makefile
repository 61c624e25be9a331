# Every target sets up what it needs: the virtual environment once, Postgres and RabbitMQ per run.
PYTHON ?= python3
JOBS ?= 4
ARGS ?=
SECONDS ?= 60
SEED ?=
COUNT ?= 60
QUICK ?=
AGAINST ?=
FROM ?=

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PYTEST := $(PY) -m tools.services --in-memory -- $(PY) -m pytest

# The tests start thousands of programs: without a cache, each would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache

.DEFAULT_GOAL := help
.PHONY: help demo up test test-tools unit chaos model mutants upgrade bench lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## Start everything, cancel real jobs, check the result, remove everything
	@$(PY) -m tools.demo $(ARGS)

up: $(INSTALLED) ## Run gateway and worker until Ctrl-C
	@$(PY) -m tools.demo up $(ARGS)

test: $(INSTALLED) ## Run the tests of the product; ARGS="-k word" is passed to pytest
	@$(PY) -m tests.support.programs.installed
	@# pytest ends with 5 if ARGS selects no test: only a mistake if neither part has one.
	@$(PYTEST) -n $(JOBS) --dist worksteal --ignore tests/tools -m "not alone" $(ARGS); \
	others=$$?; [ $$others = 0 ] || [ $$others = 5 ] || exit $$others; \
	$(PYTEST) --ignore tests/tools -m alone $(ARGS); \
	alone=$$?; [ $$alone != 5 ] || exit $$others; exit $$alone

# Fewer at a time: whole systems under load use all the processor time that there is.
test-tools: $(INSTALLED) ## Run the tests of demo, chaos, model, mutants, upgrade and bench
	@$(PYTEST) -n 3 --dist worksteal tests/tools $(ARGS)

unit: $(INSTALLED) ## Run the tests that need no services
	@$(PY) -m pytest -n auto tests/unit $(ARGS)

chaos: $(INSTALLED) ## Inject random faults and check every promise; SECONDS=, SEED=, NODES=1, STANDBY=1
	@$(PY) -m tools.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
		$(if $(filter 1,$(NODES)),,--cluster) $(if $(filter 1,$(STANDBY)),--standby) $(ARGS)

upgrade: $(INSTALLED) ## Mix programs of this version and of the one before (FROM=REV), with real jobs
	@$(PY) -m tools.upgrade $(if $(FROM),--from $(FROM)) $(ARGS)

model: $(INSTALLED) ## Check the protocol model exhaustively with spin
	@$(PY) -m tools.model

mutants: $(INSTALLED) ## Change rules one at a time and see which no test notices; COUNT=, SEED=
	@$(PY) -m tools.mutants --count $(COUNT) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(INSTALLED) ## Run benchmarks; QUICK=1 compares with recorded ratios, AGAINST=REV with a revision
	@$(PY) -m tools.bench $(if $(filter 1,$(QUICK)),--quick) $(if $(AGAINST),--against $(AGAINST)) $(ARGS)

lint: $(INSTALLED) ## Check format, lint rules and types
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary

format: $(INSTALLED) ## Format the code and apply automatic fixes
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

clean: ## Remove the virtual environment and all caches
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Wheels only: a fresh machine has no compiler. The project itself is not affected by that.
$(INSTALLED): pyproject.toml constraints.txt | $(PY)
	@echo "installing Python packages into $(VENV); about a minute" >&2
	@$(PY) -m pip install -qq --disable-pip-version-check --no-input \
		--only-binary :all: -c constraints.txt -e '.[dev]'
	@touch $@

$(PY):
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(install_venv)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Python 3.11 or newer is required, but $(PYTHON) is $$($(PYTHON) -V); set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# Debian and Ubuntu ship venv as a package of its own.
install_venv = { \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "$(PYTHON) with its venv module is required (Debian, Ubuntu: apt-get install python3-venv)" >&2; \
		exit 1; \
	fi; \
	echo "installing python3-venv with apt; about half a minute" >&2; \
	export DEBIAN_FRONTEND=noninteractive; \
	log=$$(mktemp); \
	{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends python3-venv; } \
		>"$$log" 2>&1 || { tail -n 5 "$$log" >&2; rm -f "$$log"; exit 1; }; \
	rm -f "$$log"; }
