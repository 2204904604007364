# What one can do here; `make` lists it. Nothing but Python is needed for `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
AIRFLOW_VENV ?= .venv-airflow
BENCH_VENV ?= .venv-bench
PYTEST_WORKERS ?= 2
UV = $(VENV)/bin/uv
# Everything by hash, and our own package as a link to this folder.
INSTALL = $(UV) pip install --quiet --require-hashes --python
INSTALL_OURS = $(UV) pip install --quiet --no-deps --no-build-isolation --editable . --python
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

##@ For everybody

.PHONY: demo
demo: $(VENV)/.demo ## Run the whole pipeline on this machine: films, charts, model, report
	$(VENV)/bin/movie-pipeline demo $(DEMO_OPTIONS)

.PHONY: test
test: ## Run all tests that need nothing but Python (7 to 8 minutes; the DAG's beside the others)
	@$(MAKE) --no-print-directory -j2 test-python test-dags

.PHONY: test-python
test-python: $(VENV)/.dev ## Run unit, property, contract, integration and docs tests
	$(VENV)/bin/pytest tests/unit tests/property tests/contract tests/integration tests/docs -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST_OPTIONS)

.PHONY: test-dags
test-dags: $(VENV)/.dev $(AIRFLOW_VENV)/.done ## Run the DAG's tests in Airflow's own environment
	$(AIRFLOW_VENV)/bin/python -m pytest tests/dags

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ For developers

.PHONY: setup
setup: $(VENV)/.dev ## Make .venv with everything that developing needs

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types and the arrows between modules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

.PHONY: format
format: $(VENV)/.dev ## Put the code into its form
	$(VENV)/bin/ruff check --fix --quiet .
	$(VENV)/bin/ruff format --quiet .

.PHONY: docs
docs: $(VENV)/.dev ## Write the generated tables of the documents
	$(VENV)/bin/python -m tests.docs.generate

.PHONY: lock
lock: $(VENV)/.dev ## Resolve all dependencies anew into requirements/
	$(LOCK) --upgrade pyproject.toml --extra consumer --extra embedded --group dev -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt --group installer -o requirements/installer.txt
	$(LOCK) -c requirements/dev.txt --group build -o requirements/build.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/producer.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml --extra consumer -o requirements/consumer.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml --extra consumer --extra embedded -o requirements/demo.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml --extra consumer --extra embedded --group bench -o requirements/bench.txt
	$(LOCK) --upgrade --group airflow -o requirements/airflow.txt

.PHONY: bench
bench: $(BENCH_VENV)/.done ## Measure: prints `name value unit` a line (BENCH="load producer ..." for some)
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

.PHONY: chaos
chaos: $(BENCH_VENV)/.done ## Kill loads and crawls at random instants, and fuzz (about an hour)
	$(BENCH_VENV)/bin/python -m benchmarks chaos fuzz crawl

##@ Docker and Kubernetes

.PHONY: env
env: ## Write .env with generated secrets for docker compose (kept if it exists)
	images/make-env

.PHONY: images
images: ## Build the images producer, consumer, airflow and compose-worker
	images/build

.PHONY: test-system
test-system: $(VENV)/.dev ## Run what needs Node, Chromium, Helm or a Docker engine
	$(VENV)/bin/pytest tests/charts tests/system $(PYTEST_OPTIONS)

.PHONY: e2e
e2e: $(VENV)/.dev ## Install the chart on the cluster of the current kubeconfig and use it
	$(VENV)/bin/pytest tests/e2e $(PYTEST_OPTIONS)

.PHONY: clean
clean: ## Remove environments and caches; the demo's data stays
	rm -rf $(VENV) $(AIRFLOW_VENV) $(BENCH_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(UV): requirements/installer.txt
	@echo "== making $(VENV) and its installer"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/installer.txt
	@touch $@

$(VENV)/.demo: requirements/demo.txt requirements/build.txt pyproject.toml | $(UV)
	@test -f $(VENV)/.dev || { echo "== installing the pipeline's packages (about 400 MB once)"; \
		$(INSTALL) $(VENV) -r requirements/demo.txt -r requirements/build.txt; }
	@$(INSTALL_OURS) $(VENV)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(UV)
	@echo "== installing the pipeline's and the developers' packages (about 500 MB once)"
	@$(INSTALL) $(VENV) -r requirements/dev.txt
	@$(INSTALL_OURS) $(VENV)
	@touch $@ $(VENV)/.demo

$(AIRFLOW_VENV)/.done: requirements/airflow.txt | $(UV)
	@echo "== installing Airflow into $(AIRFLOW_VENV), apart from the pipeline (about 150 packages once)"
	@test -x $(AIRFLOW_VENV)/bin/python || $(PYTHON) -m venv $(AIRFLOW_VENV)
	@$(INSTALL) $(AIRFLOW_VENV) -r requirements/airflow.txt
	@touch $@

$(BENCH_VENV)/.done: requirements/bench.txt requirements/build.txt pyproject.toml | $(UV)
	@echo "== installing what the measurements compare with into $(BENCH_VENV)"
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(INSTALL) $(BENCH_VENV) -r requirements/bench.txt -r requirements/build.txt
	@$(INSTALL_OURS) $(BENCH_VENV)
	@touch $@
