# One target a chore. `make demo` and `make test` need nothing but Python 3.11+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := .venv-tools
TOOLS_READY := $(TOOLS)/.ready

.PHONY: help install tools demo test services coverage unit lint format types layers reference readme docs check bench chaos soak lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

install: $(READY)  ## make .venv with every extra

$(READY): pyproject.toml requirements.lock
	@echo "installing what is in requirements.lock into $(VENV): a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

tools: $(TOOLS_READY)  ## make .venv-tools with the aws and sam commands, which tests talk to

$(TOOLS_READY): requirements-tools.lock
	@echo "installing the aws and sam commands into $(TOOLS): a minute or two"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements-tools.lock
	@touch $@

demo: install  ## the main job on the embedded default, in under a minute
	$(BIN)/millrace demo

# Files in their own order: those with few and long tests, of servers and processes, begin first. xdist would put them
# last, as it counts tests, and the end would wait for one of them.
test: install tools  ## all tests, with coverage of every process they start
	$(BIN)/python -m tests.services $(BIN)/python -m tests.crowd -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report=

services: install  ## private RabbitMQ, Redis, NATS and PostgreSQL, until Ctrl-C; their addresses are printed
	@$(BIN)/python -m tests.services

coverage: install  ## what the last `make test` covered, against its bars
	$(BIN)/python tests/coverage_bars.py

unit: install  ## the tests that take milliseconds
	$(BIN)/python -m pytest tests/unit tests/conformance

lint: install  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install  ## let ruff rewrite
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: install  ## mypy, strict
	$(BIN)/mypy millrace

layers: install  ## who may import whom
	$(BIN)/lint-imports --no-cache

reference: install  ## write the reference pages anew from the schema and the commands
	$(BIN)/python docs/generate.py

readme: install  ## write the demo's output into the README
	$(BIN)/python -m benchmarks.demo

docs: install  ## build the site into site/
	$(BIN)/mkdocs build --strict

check: lint types layers docs  ## all of the above but tests

bench: install  ## the speed table
	$(BIN)/python -m benchmarks

chaos: install  ## a fleet on each broker under fire, one table
	$(BIN)/python -m benchmarks.chaos

soak: install  ## a few minutes under fire
	$(BIN)/python -m benchmarks.soak

lock:  ## resolve the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header pyproject.toml --all-extras --group dev --group docs --group bench -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --group tools -o requirements-tools.lock

clean:  ## remove what the targets made
	rm -rf $(VENV) $(TOOLS) site build dist .mypy_cache .ruff_cache .pytest_cache .coverage* .hypothesis
