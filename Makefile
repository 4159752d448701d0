# Needs Python 3.11 or newer, make and a C compiler. `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet
# Seconds each, to be run before every commit; the rest of tests/api takes minutes.
FAST := tests/unit tests/house tests/api/test_tour.py tests/api/test_openapi.py -q -n 2 --db=sqlite
CI ?=

.DEFAULT_GOAL := help
.PHONY: help install install-dev serve test check lint fast bench attack docs lowest lock upgrade migration clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/.installed  ## .venv with what the service needs

install-dev: .venv/.installed-dev  ## .venv with what tests and checks need as well

serve: .venv/.installed  ## the service on 127.0.0.1:8000; options: make serve ARGS="--port 9000"
	@$(BIN)/propusk serve $(ARGS)

test: .venv/.installed-dev interop  ## every test, on every database that can be reached; CI=true requires all of them
	@$(BIN)/pytest -n 2 --dist loadgroup

check: lint fast  ## what must hold before a commit, in under a minute

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: .venv/.installed-dev
	$(BIN)/pytest $(FAST)

bench: .venv/.installed-dev  ## the figures of docs/performance.md
	@$(BIN)/python -m bench $(ARGS)

attack: .venv/.installed-dev  ## timing and brute force, against real processes
	@$(BIN)/python -m bench.attack

docs: .venv/.installed-dev  ## docs/reference again, after a change of routes, settings or errors
	@$(BIN)/python docs/generate.py

lowest: .venv-lowest/.installed  ## the tests without processes on the oldest versions that pyproject.toml allows
	.venv-lowest/bin/pytest tests/unit tests/house tests/api tests/contract -q -n 2 --db=sqlite

migration: .venv/.installed-dev  ## a new step of the schema: make migration m="add users.locale"
	@test -n "$(m)" || { echo 'Say what it does: make migration m="add users.locale"'; exit 2; }
	$(BIN)/alembic revision -m "$(m)" --rev-id "$$(printf %04d $$(ls src/propusk/db/migrations/versions/[0-9]*.py | wc -l | awk '{print $$1 + 1}'))"

# Hashes, and neither addresses nor the name of an index: pip takes each package from wherever it is set up to look.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(UPGRADE)
lock: $(BIN)/uv  ## the three locks again, after a change of the dependencies in pyproject.toml
	$(COMPILE) pyproject.toml --group build -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	set -e; lowest=$$(mktemp); trap 'rm -f "$$lowest"' EXIT; \
	  $(COMPILE) pyproject.toml --resolution lowest-direct -o "$$lowest"; \
	  $(COMPILE) pyproject.toml --group build --group test -c "$$lowest" -o requirements-lowest.lock
	@! grep -n '://' requirements*.lock

upgrade:  ## the same, with the newest versions
	@$(MAKE) --no-print-directory lock UPGRADE=--upgrade

clean:  ## everything that can be made again; never propusk-data
	rm -rf .venv .venv-lowest dist tests/interop/node_modules
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

$(BIN)/uv: .venv/bin/python
	@test -x $@ || $(MAKE) --no-print-directory install-dev

# One test reads our keys with the JOSE library of npm; without npm it is skipped, in CI a failed install is a failure.
interop:
	@if command -v npm > /dev/null; then $(MAKE) -s tests/interop/node_modules/.installed || test "$(CI)" != true; fi

tests/interop/node_modules/.installed: tests/interop/package-lock.json
	cd tests/interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
.PHONY: interop
