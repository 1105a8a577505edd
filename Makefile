# Everything that a person types. `make` alone lists the commands; each builds first what it needs.

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
UV := $(BIN)/uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock"

# Compiled modules are kept: without them each `import torch` costs seconds more.
unexport PYTHONDONTWRITEBYTECODE
# torch and what it needs are large files; uv's own 30 s of silence are too few on a slow line.
export UV_HTTP_TIMEOUT ?= 300

# What keeps rows, from the tables up to the HTTP contract.
ON_POSTGRESQL := tests/backend/storage tests/backend/jobs tests/backend/api tests/acceptance/test_service.py

# Three workers, a file to a worker, made for two cores: some tests wait while others compute
# (docs/decisions/0044-tests-in-less-time.md). `make test WORKERS=0` for one test after the other.
WORKERS ?= 3
# For CI and for who looks for something: `make test PYTEST_OPTIONS="-x --durations=25"`.
PYTEST_OPTIONS ?=
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

.DEFAULT_GOAL := help
.PHONY: help setup start demo test check bench bench-quality bench-growth docs samples lock clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.dev-installed ## build the environment in .venv and nothing else
	@echo "Ready: $(BIN)/sightglass --help"

start: $(VENV)/.installed ## start API and browser UI, print both addresses; Ctrl-C stops both
	@$(BIN)/sightglass serve --ui

demo: $(VENV)/.installed ## the main job without a browser: sample in, leaderboard and prediction out
	@$(BIN)/sightglass demo

# Both halves run, whatever the first one finds: a failing run names everything that fails.
test: $(VENV)/.dev-installed ## run every test; the service's a second time on PostgreSQL
	@$(PYTEST); sqlite=$$?; \
	$(PYTEST) --database postgresql $(ON_POSTGRESQL); postgresql=$$?; \
	[ $$sqlite -eq 0 ] || echo "Failed: the tests on SQLite (named above; pytest ended with $$sqlite)." >&2; \
	[ $$postgresql -eq 0 ] || echo "Failed: the tests on PostgreSQL (named above; pytest ended with $$postgresql)." >&2; \
	[ $$sqlite -eq 0 ] && [ $$postgresql -eq 0 ]

# mypy has one core, all the others the second one.
check: $(VENV)/.dev-installed ## lint, format, types, import contracts, sizes and documentation
	@$(BIN)/mypy & types=$$!; \
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/pytest tests/house; rest=$$?; \
	wait $$types && exit $$rest

bench: $(VENV)/.installed ## the quick benchmarks and one table of ratios; both sides measured in one run
	$(BIN)/python -m benchmarks

bench-quality: $(VENV)/.installed ## accuracy and time against fastai and AutoGluon; builds their environments; an hour
	$(BIN)/python -m benchmarks.quality

bench-growth: $(VENV)/.installed ## 200, 2,000 and 20,000 images: time, memory, the plot in docs/; half an hour
	$(BIN)/python -m benchmarks.growth

docs: $(VENV)/.installed ## write the tables of docs/guide anew from the code
	$(BIN)/python docs/generate.py

samples: $(VENV)/.installed ## draw sample_datasets/*.zip anew
	$(BIN)/python -m sample_datasets

lock: $(UV) ## write requirements/*.txt anew from requirements/*.in
	$(LOCK) requirements/base.in --output-file requirements/base.txt
	$(LOCK) requirements/ray.in --output-file requirements/ray.txt
	$(LOCK) requirements/dev.in --output-file requirements/dev.txt
	for name in fastai autogluon tables; do \
		$(LOCK) --no-annotate benchmarks/requirements/$$name.in --output-file benchmarks/requirements/$$name.txt; done

clean: ## remove the environments and every cache; data stays
	rm -rf $(VENV) .bench/envs *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# --- the environment: a stamp a step, so that nothing is done twice

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Building $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv --clear $(VENV) && exit 0; \
			echo "'$$python -m venv' failed. On Debian or Ubuntu: apt-get install python3-venv, then again." >&2; \
			rm -rf $(VENV); exit 1; \
		fi; \
	done; \
	echo "Sightglass needs Python 3.11 or newer and found none. Install it, or say where: make PYTHON=/path/to/python3" >&2; \
	exit 1

$(UV): | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: requirements/base.txt pyproject.toml | $(UV)
	$(UV) pip install --python $(BIN)/python -r requirements/base.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt requirements/ray.txt $(VENV)/.installed
	$(UV) pip install --python $(BIN)/python -r requirements/base.txt -r requirements/ray.txt -r requirements/dev.txt
	@touch $@
