# Targets build .venv-run (what the gateway needs) or .venv (what its development needs) if it is missing or older than its
# lock. Requires make, python3 (3.11 or newer) and python3-venv.

PYTHON ?= python3
PORT ?= 8080
PREFIX ?= /opt/gateway
export PREFIX DESTDIR DOMAIN

BIN := .venv/bin
RUN := .venv-run/bin
# tests/conftest.py says how many processes run the tests, four at most. Each file of tests runs in one of them.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile
PYTEST := $(BIN)/python -m pytest $(SPREAD)
.DEFAULT_GOAL := help
.PHONY: help dev demo run test check javascript fix golden schema docs site bench bench-page bench-instructions lock audit sbom dist image test-image test-dist install uninstall test-vps test-console test-clients test-cluster test-mutants test-memory test-overload test-gone test-timed test-adversary test-attacks test-faults test-advisories test-agents test-all clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# Locks have all packages. Without --no-deps, pip looks for extras, such as coverage[toml], outside them, and fails.
dev: .venv/.made  ## build .venv with all development dependencies

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gateway needs Python 3.11 or newer; this is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }

.venv/.made: requirements-dev.lock setup.cfg | python
	@echo "building .venv, the environment for development: $$(grep -c '^[a-z].*==' requirements-dev.lock) packages, 1 to 5 minutes"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# A line for each package; pip's messages are shown whole if it fails. Python compiles what is used at its first start.
.venv-run/.made: requirements.lock setup.cfg | python
	@echo "1/3 an environment of its own: .venv-run"
	@$(PYTHON) -m venv .venv-run
	@rm -f .venv-run/.failed; echo "2/3 $$(grep -c '^[a-z].*==' requirements.lock) packages of requirements.lock"
	@{ $(RUN)/pip install --disable-pip-version-check --no-compile --progress-bar off --require-hashes --no-deps \
	    -r requirements.lock 2>&1 || touch .venv-run/.failed; } | tee .venv-run/pip.log | while read -r word name rest; do \
	  case $$word in Collecting | Processing) name=$${name##*/}; echo "      $${name%-*-*-*.whl}" ;; esac; done
	@test ! -e .venv-run/.failed || { rm .venv-run/.failed; cat .venv-run/pip.log; exit 1; }
	@$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "3/3 ready: .venv-run/bin/gateway"
	@touch $@

demo: .venv-run/.made  ## answer two requests on the emulator, then serve on 127.0.0.1:8080, with the console under traffic (ONCE=1: exit after the answers)
	@$(RUN)/gateway demo --listen 127.0.0.1:$(PORT) $(if $(ONCE),--once)

run: .venv-run/.made  ## serve config/gateway.yaml with Google as upstream
	@$(RUN)/gateway serve --config config/gateway.yaml $(if $(filter command% environment%,$(origin PORT)),--listen 127.0.0.1:$(PORT))

test: dev  ## run the tests
	$(PYTEST)

javascript: tests/javascript/node_modules/.made  ## install the JavaScript SDKs, TypeScript and axe-core for the tests, if Node 20 is available

tests/javascript/node_modules/.made: tests/javascript/package-lock.json
	@if command -v npm >/dev/null && [ "$$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; \
	  then cd tests/javascript && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.made; \
	  else echo "npm with Node 20 not found: tests with the JavaScript SDKs are skipped"; fi

check: dev javascript  ## run what CI runs: format, lint, types, schema, tests with coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/python -m gateway schema | cmp - config/gateway.schema.json
	$(BIN)/python -m gateway check --config config/gateway.yaml
	@[ ! -x tests/javascript/node_modules/.bin/tsc ] || tests/javascript/node_modules/.bin/tsc --project tests/javascript
	$(BIN)/python -m bench.instructions --optional
	$(PYTEST) --cov --cov-report=term

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

site: .venv-site/.made  ## print docs/ as a website into build/site/html (REPOSITORY=https://… for links into the code)
	@.venv-site/bin/python -I gateway/cli/pages/site.py build/site $(REPOSITORY)
	@.venv-site/bin/zensical build --clean --strict --config-file build/site/mkdocs.yml

.venv-site/.made: requirements-site.lock | python
	@$(PYTHON) -m venv --clear .venv-site
	@.venv-site/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-site.lock
	@touch $@

bench: dev  ## race nginx and others: OLD=COMMIT, RACE='name=command', QUICK=1, ONLY=…, OUT=FILE, STREAMS=1000,5000 (requires wrk, nginx)
	@$(BIN)/python -m bench.run --python "$$(command -v $(PYTHON))" $(if $(OLD),--old $(OLD)) $(if $(QUICK),--quick) \
	  $(if $(OUT),--out $(OUT)) $(if $(STREAMS),--streams $(STREAMS)) $(if $(ONLY),--only $(ONLY)) $(if $(GATE),--gate)

bench-page: dev  ## make bench, then write the figures and flame graphs of docs/why/performance.md (also requires py-spy, valgrind)
	@$(MAKE) --no-print-directory bench OUT=build/bench.json
	@$(BIN)/python -m bench.page build/bench.json --python "$$(command -v $(PYTHON))"

bench-instructions: dev  ## count the instructions of a request, compared with bench/instructions.json (requires valgrind)
	$(BIN)/python -m bench.instructions $(if $(WRITE),--write)

lock: dev  ## write the lock files from setup.cfg, with hashes
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	echo 'setuptools>=84' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --upgrade --extra team --extra zstd --extra audio --extra images setup.cfg - -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra dev --extra team --extra tokens --extra otel --extra vertex --extra zstd --extra audio --extra images \
	  -c requirements.lock setup.cfg -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra audit \
	  -c requirements-dev.lock setup.cfg -o requirements-audit.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade --allow-unsafe \
	  config/package/requirements.in -o requirements-dist.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  config/site/requirements.in -o requirements-site.lock

audit: .venv-audit/.made  ## look for known vulnerabilities of all locked packages (Error 3: the database does not answer)
	@.venv-audit/bin/python -m tests.support.supply_chain audit requirements.lock requirements-dev.lock requirements-audit.lock requirements-dist.lock requirements-site.lock

sbom: .venv-audit/.made  ## write build/sbom.cdx.json, the bill of materials in CycloneDX
	@mkdir -p build
	@.venv-audit/bin/python -m tests.support.supply_chain sbom >build/sbom.cdx.json && echo build/sbom.cdx.json

.venv-audit/.made: requirements-audit.lock
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-audit.lock
	@touch $@

dist: .venv-dist/.made  ## build wheel, sdist, one file, Debian package, bill of materials and checksums into dist/
	@.venv-dist/bin/python config/package/dist.py

.venv-dist/.made: requirements-dist.lock | python
	@echo "building .venv-dist, the environment with the tools for packages"
	@$(PYTHON) -m venv --clear .venv-dist
	@.venv-dist/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dist.lock
	@touch $@

image:  ## build the image gemini-openai-gateway with docker, podman or buildah (BASE=image with Python 3.11 or newer)
	@sh config/container/build.sh

test-image: .venv-run/.made  ## as root: build the image on a Debian made here, run it, and look at what it may do
	@tests/package/image.sh

test-dist: dev .venv-dist/.made  ## build everything twice and compare; use it by uv, pipx and as one file; as root on Debian: the package
	$(BIN)/python -m pytest -m "slow or not slow" tests/deploy
	@[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || tests/package/debian.sh

install:  ## as root: install below PREFIX, with systemd units and an nginx site (DOMAIN=your.domain)
	@sh systemd/install.sh

uninstall:  ## as root: remove what install created, except configuration and data
	@sh systemd/install.sh --uninstall

test-vps: dev  ## as root: install into a throw-away Debian with systemd and nginx, and use it over TLS
	tests/vps/run.sh

test-console: dev javascript  ## drive the console in Chromium, at each width, theme and language (as root on Debian: installs it)
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; }
	@command -v chromium >/dev/null || { echo "Chromium is not installed: apt-get install chromium fonts-noto-cjk"; exit 1; }
	$(BIN)/python -m pytest -m console tests/console/browser

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

.PHONY: soak-mixed soak-media soak-streams soak-hostile soak-restarts
soak-mixed: dev  ## soak: COUNT (1,000,000) requests on all surfaces; the growth of memory
	$(BIN)/python -m tests.soak.mixed

soak-media: dev  ## soak: COUNT (100) recordings of SIZE (20) MB at once, EDITS (20) of 16 pictures, PARTS (10) of 60 MB, SESSIONS (200) of the Live API beside IDLE (0); memory, loop, latency
	$(BIN)/python -m tests.soak.media

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
	  $$folder/bin/python -m pytest $(SPREAD) || exit 1; rm -rf $$folder; done

clean:  ## remove .venv and caches
	rm -rf .venv .venv-run .venv-audit .venv-dist .venv-site .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info .coverage*
