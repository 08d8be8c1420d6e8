# Needs Python >= 3.11, make and a package index; everything else is installed into .venv.
# Another interpreter: make PYTHON=/path/to/python ...

VENV := .venv
BIN  := $(VENV)/bin
ARGS ?=

# The first interpreter that runs (a shim may exist and fail), is new enough and has venv and pip.
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c '$(SUITABLE)' >/dev/null 2>&1 && echo "$$python" && break; done)

# What is installed beside the runtime dependencies, one stamp file each.
EXTRAS_run   :=
EXTRAS_dev   := [dev]
EXTRAS_bench := [bench]
EXTRAS_docs  := [docs]

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test check long-test machines-test simulate chaos bench docs screenshots image-test network-test cluster-test clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  Arguments are passed on: make run ARGS=--help'

run: $(VENV)/.installed-run ## Run the system on this machine
	@exec $(BIN)/python -m jobs.run $(ARGS)

# Several files at a time, each in one process, the longest of them not last. Each process has a Ray
# and a PostgreSQL of its own, so there are no more than four.
test: $(VENV)/.installed-dev ## Run every test (ARGS: what to tell pytest; -n0: one file at a time)
	@exec $(BIN)/python -m pytest -n logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev ## Check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

long-test: $(VENV)/.installed-dev ## Run the tests that take longest, which `make test` leaves out; ten minutes and more
	@LONG_TEST=1 $(BIN)/python -m pytest -q -n0 -m long $(ARGS)

machines-test: $(VENV)/.installed-dev ## Have a Prometheus sum the metrics of several machines; two minutes and more
	@MACHINES_TEST=1 $(BIN)/python -m pytest -q -n0 tests/machines $(ARGS)

simulate: $(VENV)/.installed-dev ## Search for faults in simulated time (ARGS: --seconds, --seed, --mutations)
	@exec $(BIN)/python -m tests.simulation $(ARGS)

chaos: $(VENV)/.installed-dev ## Kill, stop and cut what can be, and prove that nothing is lost; ten minutes (ARGS: --seeds, --seed, --minutes)
	@exec $(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/.installed-bench ## Measure; the figures of the README come from here
	@exec $(BIN)/python -m benchmarks.run $(ARGS)

docs: $(VENV)/.installed-docs ## Build the documentation into build/docs, with every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet $(ARGS)
	@echo 'built: build/docs/index.html'

screenshots: $(VENV)/.installed-dev ## Make the pictures of the console that stand in the README; needs a Chromium
	@mkdir -p docs/images
	@SCREENSHOTS_INTO=docs/images $(BIN)/python -m pytest -q tests/integration/test_console.py -k pictures $(ARGS)

image-test: $(VENV)/.installed-dev ## Build the image and run it closed; needs buildah and podman (ARGS: for buildah)
	$(BIN)/hadolint Dockerfile
	@tests/image.sh $(ARGS)

network-test: $(VENV)/.installed-dev ## Ask a cluster in network namespaces what is open to whom, and cut machines off; needs root
	@NETWORK_TEST=1 $(BIN)/python -m pytest -q -n0 tests/network $(ARGS)

cluster-test: $(VENV)/.installed-dev ## Bring up machines by ray-cluster.yaml, in namespaces of this one; needs root
	@exec $(BIN)/python -m tests.cluster $(ARGS)

clean: ## Remove the environment and all caches; the database stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One dependency is an old source archive: pips before 23.1 deplore that at length, unless they are told
# to build it as newer ones do.
$(VENV)/.installed-%: pyproject.toml constraints.txt $(BIN)/python
	@echo 'Installing into $(VENV) (a minute or two the first time) ...'
	@PIP_USE_PEP517=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(EXTRAS_$*)'
	@touch $@

$(BIN)/python:
	@python='$(PYTHON)'; \
	if [ -z "$$python" ] || ! "$$python" -c '$(SUITABLE)' >/dev/null 2>&1; then \
		echo "No usable Python: need >= 3.11 with venv and ensurepip (tried: $${python:-python3.13 python3.12 python3.11 python3})." >&2; \
		echo 'Debian and Ubuntu ship venv apart: apt install python3-venv.' >&2; \
		echo 'Otherwise install a newer Python, or name one: make PYTHON=/path/to/python' >&2; \
		exit 1; \
	fi; \
	"$$python" -m venv --clear $(VENV)
