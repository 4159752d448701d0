# Needs Python 3.11 or newer, make and a C compiler. `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet
# Seconds each, to be run before every commit; the rest of tests/api takes minutes.
FAST := tests/unit tests/house tests/api/test_tour.py tests/api/test_openapi.py -q -n 2 --db=sqlite
CI ?=
# Python's heap on huge pages, for the service as for the tests: docs/decisions/0021-huge-pages.md.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
export PYTHONMALLOC ?= malloc

.DEFAULT_GOAL := help
.PHONY: help install install-dev serve test delivery check lint fast bench peers lock-peers attack faults docs lowest lock upgrade dist migration clean system

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/.installed  ## .venv with what the service needs

install-dev: .venv/.installed-dev  ## .venv with what tests and checks need as well

serve: .venv/.installed  ## the service on 127.0.0.1:8000; options: make serve ARGS="--port 9000"
	@$(BIN)/propusk serve $(ARGS)

test: .venv/.installed-dev interop  ## every test, on every database that can be reached; CI=true requires all of them
	@$(BIN)/pytest -n 3 --dist loadgroup -m "not delivery"

delivery: .venv/.installed-dev  ## packages, images and the guides that install them, each in environments of its own
	@$(BIN)/pytest -n 2 --dist loadfile -m delivery -q

PACKAGES := chromium haproxy pgbouncer
system:  ## the programs beside Python that some tests use, where apt-get may install them; other tests do without
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p > /dev/null 2>&1 || echo $$p; done); \
	  if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing > /dev/null; fi

check: lint fast  ## what must hold before a commit, in under a minute

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile examples/*/Dockerfile

fast: .venv/.installed-dev
	$(BIN)/pytest $(FAST)

bench: .venv/.installed-dev .venv-bench/.installed peers  ## the figures of docs/performance.md; options: make bench ARGS="--only me,login"
	@$(BIN)/python -m bench $(ARGS)

attack: .venv/.installed-dev  ## timing and brute force, against real processes; options: make attack ARGS="--only T20"
	@$(BIN)/python -m bench.attack $(ARGS)

faults: .venv/.installed-dev  ## many nodes behind HAProxy, and what faults do to them; options: make faults ARGS="--only redis"
	@$(BIN)/python -m tests.faults $(ARGS)

docs: .venv/.installed-dev  ## docs/reference again, after a change of routes, settings or errors
	@$(BIN)/python docs/generate.py

lowest: .venv-lowest/.installed  ## the tests without processes on the oldest versions that pyproject.toml allows
	.venv-lowest/bin/pytest tests/unit tests/house tests/api tests/contract tests/host -q -n 2 --db=sqlite

dist: .venv/.installed-dev  ## the sdist, and the wheel made from it, in dist/
	@rm -rf dist
	@$(BIN)/uv build --no-build-isolation --python $(BIN)/python --out-dir dist

migration: .venv/.installed-dev  ## a new step of the schema: make migration m="add users.locale"
	@test -n "$(m)" || { echo 'Say what it does: make migration m="add users.locale"'; exit 2; }
	$(BIN)/alembic revision -m "$(m)" --rev-id "$$(printf propusk_%04d $$(ls src/propusk/db/migrations/versions/propusk_*.py | wc -l | awk '{print $$1 + 1}'))"

# Hashes, and neither addresses nor the name of an index: pip takes each package from wherever it is set up to look.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(UPGRADE)
lock: $(BIN)/uv  ## the three locks again, after a change of the dependencies in pyproject.toml
	$(COMPILE) pyproject.toml --extra service --group build -o requirements.lock
	$(COMPILE) pyproject.toml --extra service --group dev -c requirements.lock -o requirements-dev.lock
	set -e; lowest=$$(mktemp); trap 'rm -f "$$lowest"' EXIT; \
	  $(COMPILE) pyproject.toml --extra service --resolution lowest-direct -o "$$lowest"; \
	  $(COMPILE) pyproject.toml --extra service --group build --group test -c "$$lowest" -o requirements-lowest.lock
	@! grep -n '://' requirements*.lock

# The framework's versions are ours, so that one floor is under all of them.
PEERS := bench/peers
lock-peers: $(BIN)/uv  ## the locks of what `make bench` compares with
	set -e; ours=$$(mktemp); trap 'rm -f "$$ours"' EXIT; \
	  grep -E '^(fastapi|starlette|pydantic|pydantic-core|uvicorn|uvloop|httptools|h11|asyncpg)==' requirements.lock | sed 's/ .*//' > "$$ours"; \
	  $(COMPILE) $(PEERS)/requirements.in -c "$$ours" -o $(PEERS)/requirements.lock
	cd $(PEERS) && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --loglevel=error
	@! grep -n '://' $(PEERS)/requirements.lock
	@! grep -n '"resolved"' $(PEERS)/package-lock.json

upgrade:  ## the same, with the newest versions
	@$(MAKE) --no-print-directory lock UPGRADE=--upgrade

clean:  ## everything that can be made again; never propusk-data
	rm -rf .venv .venv-lowest .venv-bench .venv-peers dist tests/interop/node_modules $(PEERS)/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv-lowest/bin/python:
	$(PYTHON) -m venv .venv-lowest

.venv/.installed: .venv/bin/python requirements.lock pyproject.toml
	$(BIN)/python $(PIP) install --require-hashes -r requirements.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# requirements-dev.lock holds all of requirements.lock, so both stamps are earned at once.
.venv/.installed-dev: .venv/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/python $(PIP) install --require-hashes -r requirements-dev.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch .venv/.installed $@

.venv-lowest/.installed: .venv-lowest/bin/python requirements-lowest.lock pyproject.toml
	.venv-lowest/bin/python $(PIP) install --require-hashes -r requirements-lowest.lock
	.venv-lowest/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# What is measured is what an operator installs, and nothing else.
.venv-bench/.installed: requirements.lock pyproject.toml
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(PIP) install --require-hashes -r requirements.lock
	.venv-bench/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# `make bench` leaves out whom it cannot find.
peers: .venv-peers/.installed
	@if command -v npm > /dev/null; then $(MAKE) -s $(PEERS)/node_modules/.installed; fi

.venv-peers/.installed: $(PEERS)/requirements.lock
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python $(PIP) install --require-hashes -r $(PEERS)/requirements.lock
	@touch $@

$(PEERS)/node_modules/.installed: $(PEERS)/package-lock.json
	cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(BIN)/uv: .venv/bin/python
	@test -x $@ || $(MAKE) --no-print-directory install-dev

# One test reads our keys with the JOSE library of npm; without npm it is skipped, in CI a failed install is a failure.
interop:
	@if command -v npm > /dev/null; then $(MAKE) -s tests/interop/node_modules/.installed || test "$(CI)" != true; fi

tests/interop/node_modules/.installed: tests/interop/package-lock.json
	cd tests/interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
.PHONY: interop
