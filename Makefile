# Targets build .venv if it is missing or older than the locks. Requires make, python3 (3.11 or newer) and python3-venv.

PYTHON ?= python3
PORT ?= 8080
PREFIX ?= /opt/gateway
export PREFIX DESTDIR DOMAIN

BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help dev demo run test check javascript fix golden schema docs bench bench-instructions lock audit sbom install uninstall test-vps test-clients test-cluster test-mutants test-memory test-overload test-gone test-timed test-adversary test-attacks test-faults test-advisories test-agents test-all clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# Locks have all packages. Without --no-deps, pip looks for extras, such as coverage[toml], outside them, and fails.
dev: .venv/.made  ## build .venv with all development dependencies

.venv/.made: requirements-dev.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gateway needs Python 3.11 or newer; this is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "building .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: dev  ## answer two requests on the emulator, then serve on 127.0.0.1:8080 (ONCE=1: exit after the answers)
	@$(BIN)/python -m gateway demo --listen 127.0.0.1:$(PORT) $(if $(ONCE),--once)

run: dev  ## serve config/gateway.yaml with Google as upstream
	@$(BIN)/python -m gateway serve --config config/gateway.yaml $(if $(filter command% environment%,$(origin PORT)),--listen 127.0.0.1:$(PORT))

test: dev  ## run the tests
	$(BIN)/python -m pytest

javascript: tests/javascript/node_modules/.made  ## install the JavaScript SDKs for the tests, if Node 20 is available

tests/javascript/node_modules/.made: tests/javascript/package-lock.json
	@if command -v npm >/dev/null && [ "$$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; \
	  then cd tests/javascript && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.made; \
	  else echo "npm with Node 20 not found: tests with the JavaScript SDKs are skipped"; fi

check: dev javascript  ## run what CI runs: format, lint, types, schema, tests with coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m gateway schema | cmp - config/gateway.schema.json
	$(BIN)/python -m gateway check --config config/gateway.yaml
	$(BIN)/python -m pytest --cov --cov-report=term

fix: dev  ## format the code and apply the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: dev  ## rewrite the expected parts of the golden files; review the diff
	GOLDEN=rewrite $(BIN)/python -m pytest tests/plugins/*/test_golden.py

schema: dev  ## write config/gateway.schema.json
	$(BIN)/python -m gateway schema > config/gateway.schema.json

docs: dev  ## write the generated pages of docs/
	$(BIN)/python -m gateway.cli.pages
	$(BIN)/python -m tests.support.catalogue --write-page

bench: dev  ## measure requests per second, compared with nginx (requires wrk and nginx)
	$(BIN)/python bench/run.py

bench-instructions: dev  ## count the instructions of a request, compared with bench/instructions.json (requires valgrind)
	$(BIN)/python -m bench.instructions $(if $(WRITE),--write)

lock: dev  ## write the lock files from setup.cfg, with hashes
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	echo 'setuptools>=84' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --upgrade --extra team --extra zstd setup.cfg - -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra dev --extra team --extra tokens --extra otel --extra zstd \
	  -c requirements.lock setup.cfg -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra audit \
	  -c requirements-dev.lock setup.cfg -o requirements-audit.lock

audit: .venv-audit/.made  ## look for known vulnerabilities of all locked packages (Error 3: the database does not answer)
	@.venv-audit/bin/python -m tests.support.supply_chain audit requirements.lock requirements-dev.lock requirements-audit.lock

sbom: .venv-audit/.made  ## write build/sbom.cdx.json, the bill of materials in CycloneDX
	@mkdir -p build
	@.venv-audit/bin/python -m tests.support.supply_chain sbom >build/sbom.cdx.json && echo build/sbom.cdx.json

.venv-audit/.made: requirements-audit.lock
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-audit.lock
	@touch $@

install:  ## as root: install below PREFIX, with systemd units and an nginx site (DOMAIN=your.domain)
	@sh systemd/install.sh

uninstall:  ## as root: remove what install created, except the configuration
	@sh systemd/install.sh --uninstall

test-vps: dev  ## as root: install into a throw-away Debian with systemd and nginx, and use it over TLS
	tests/vps/run.sh

test-clients: dev  ## unmodified SDKs and agents on the emulator (installs 2.5 GB; DRIVERS="openai_py codex_cli": some)
	tests/clients/run.sh $(DRIVERS)

test-cluster: dev  ## gateways on one Redis and one PostgreSQL, and killed ones (Debian's servers, started and ended here)
	tests/cluster/run.sh

test-mutants:  ## measure how many small changes of the guards of keys, money and addresses the tests notice
	tests/mutants/run.sh $(MODULES)

test-overload: dev  ## five times the load that can be answered: the share that is still answered, and how fast the rest is refused
	$(BIN)/python -m bench.overload $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH))

test-gone: dev  ## how soon an upstream call ends after its client has left, direct and through nginx (SAMPLES=40 in each phase)
	$(BIN)/python -m tests.soak.gone $(if $(SAMPLES),--samples $(SAMPLES))

test-memory: dev  ## soak: 30 MB bodies, remote pictures, gzip bombs, endless answers (DURATION=300 IDLE=60 seconds)
	$(BIN)/python -m tests.soak.memory

.PHONY: soak-mixed soak-streams soak-hostile soak-restarts
soak-mixed: dev  ## soak: COUNT (1,000,000) requests on all surfaces; the growth of memory
	$(BIN)/python -m tests.soak.mixed

soak-streams: dev  ## soak: COUNT (5,000) live streams for DURATION (900) seconds
	$(BIN)/python -m tests.soak.streams

soak-hostile: dev  ## soak: COUNT (1,000,000) hostile inputs on both listeners
	$(BIN)/python -m tests.soak.hostile

soak-restarts:  ## as root, soak: COUNT (100) rolling restarts in a booted server under load
	tests/soak/restarts.sh

test-timed: dev  ## check that large bodies block the event loop for 50 ms at most
	$(BIN)/python -m pytest -m timed

test-adversary: dev  ## search for the bodies that hold the event loop longest, and print them (SEARCH="--seconds 60", "--big": 32 MB)
	$(BIN)/python -m tests.adversary $(SEARCH)

test-attacks: dev  ## run the tests of each attack (29 rows; also the slow ones)
	$(BIN)/python -m tests.support.catalogue attacks

test-faults: dev  ## run the tests of each fault of upstream, clients and process (144 rows)
	$(BIN)/python -m tests.support.catalogue faults

test-advisories: dev  ## run the tests of each published advisory (80 rows)
	$(BIN)/python -m tests.support.catalogue advisories

test-agents: dev  ## run the tests of what agents and SDKs send (45 rows)
	$(BIN)/python -m tests.support.catalogue agents

test-all:  ## run the tests on each installed Python from 3.11 to 3.13
	@for version in 3.11 3.12 3.13; do \
	  command -v python$$version >/dev/null && python$$version -V >/dev/null 2>&1 || { echo "python$$version: not found, skipped"; continue; }; \
	  folder=$$(mktemp -d) && python$$version -m venv $$folder && \
	  $$folder/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock && \
	  $$folder/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	  $$folder/bin/python -m pytest || exit 1; rm -rf $$folder; done

clean:  ## remove .venv and caches
	rm -rf .venv .venv-audit .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info .coverage*
