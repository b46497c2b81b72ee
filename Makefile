# Margin Platform: `make` prints this help. Every target prepares what it needs (scripts/setup.sh).
.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly lint fuzz simulate chaos dev up down bench lock docs image dist
# Images for containers often set it. Here dozens of processes start, and each would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
PROPERTIES := tests/properties tests/liquidation/test_liquidation_cases.py tests/test_money.py tests/ledger/test_ledger.py

help: ## print the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: ## make .venv from requirements.lock
	@scripts/setup.sh

demo: ## replay the crash of 2020 through the whole local stack, with the dashboard (Ctrl-C ends it cleanly)
	@scripts/setup.sh java mvn
	@$(BIN)/margin demo

# A test's JVM lives for seconds: its second compiler takes more of the processor than it gives back.
SHORT_LIVED := -XX:TieredStopAtLevel=1
test: ## everything CI runs: lint, types, architecture, tests against real parts
	@scripts/setup.sh java mvn chromium postgres
	@$(BIN)/python -m tests.support.prepared & $(MAKE) --no-print-directory lint; failed=$$?; wait; exit $$failed
	@JAVA_TOOL_OPTIONS=$(SHORT_LIVED) $(BIN)/python -m pytest -n 3 -m "not nightly" --durations 15 $(PYTEST)

nightly: ## the tests that `make test` leaves out: chaos, a Spark cluster, accessibility, backtests on Spark
	@scripts/setup.sh java mvn chromium postgres
	@$(BIN)/python -m pytest -n 2 -m nightly --durations 15 $(PYTEST)

# dg imports every component there is, a preview of dagster-spark among them that nothing here uses.
FOREIGN := ignore:Class `SparkDeclarativePipelineScaffolder`
lint: ## ruff, mypy, import-linter, dg, biome
	@scripts/setup.sh node
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@PYTHONWARNINGS='$(FOREIGN)' $(BIN)/dg check defs
	@node_modules/.bin/biome check --error-on-warnings

fuzz: ## the property tests on new random examples, FUZZ times (default 10); what fails prints how to see it again
	@scripts/setup.sh
	@for n in $$(seq $${FUZZ:-10}); do $(BIN)/python -m pytest -q --hypothesis-profile=search $(PROPERTIES) || exit 1; done

MINUTES ?= 60
simulate: ## new seeds of the simulator for MINUTES (default 60); a failing one is made short and printed
	@scripts/setup.sh
	@$(BIN)/margin simulate --minutes $(MINUTES) --seed $$(date +%s)

dev: ## Dagster's own UI on the workspace, for work on assets, jobs and sensors
	@scripts/setup.sh java mvn
	@$(BIN)/python -m margin_platform.stack.dev

up: ## start the local stack and leave it running
	@scripts/setup.sh java mvn
	@$(BIN)/margin up

down: ## stop the local stack
	@$(BIN)/margin down

SECONDS ?= 240
ACCOUNTS ?= 40
chaos: ## kill -9 of the streams' processes and the broker under load, for SECONDS (default 240), with ACCOUNTS (default 40)
	@scripts/setup.sh java mvn
	@$(BIN)/python -m pytest tests/chaos -q -s --chaos-seconds $(SECONDS) --chaos-accounts $(ACCOUNTS) --timeout $$(( $(SECONDS) + 300 + $(ACCOUNTS) / 100 ))

bench: ## every benchmark, each a ratio against a bound of the same run
	@scripts/setup.sh java mvn
	@$(BIN)/margin bench

docs: ## build the site of all documents into build/site, without a network; every link is checked
	@scripts/setup.sh node
	@$(BIN)/python scripts/docs_site.py
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict
	@echo "read it: python3 -m http.server --bind 127.0.0.1 --directory build/site"

image: ## build the container image of all roles (BASE=IMAGE: on that Debian 12), and print its size
	@scripts/setup.sh java mvn
	@scripts/image.sh

dist: ## build the wheel, its SBOM, the licenses and known vulnerabilities of what it needs, into dist/
	@scripts/setup.sh java mvn
	@scripts/dist.sh

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml
lock: ## write requirements.lock again from pyproject.toml, and requirements.runtime.lock, its part without tools
	@$(BIN)/$(COMPILE) --extra dev --extra docs --extra kubernetes -o requirements.lock
	@$(BIN)/$(COMPILE) --extra kubernetes --constraint requirements.lock -o requirements.runtime.lock
