# Everything a newcomer needs. `make` alone shows this list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: help setup setup-dev setup-bench setup-peers demo chromium test test-long check lint types format measure results-distillation results-speed results-int8 results-packs screenshots faults two-hosts fuzz datasette docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

# torch first and alone: this way a CPU build is taken where one is at hand
$(VENV)/torch.done:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found. Python 3.11 or newer is needed; set PYTHON=/path/to/python"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; set PYTHON=/path/to/python"; exit 2; }
	@echo "setting up $(VENV): torch"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0
	@touch $@

$(VENV)/setup.done: requirements.lock $(VENV)/torch.done
	@echo "setting up $(VENV): the other dependencies, as pinned in requirements.lock"
	@$(PIP) --no-deps -r requirements.lock
	@touch $@

# the compiler is 400 MB and needed once: it is put beside the libraries' folder and removed again
$(VENV)/kernel.done: pipelines/int8_kernel.c pipelines/int8_kernel.py requirements-build.lock $(VENV)/setup.done
	@echo "setting up $(VENV): the int8 kernel"
	@$(PIP) --no-deps --target $(VENV)/compiler -r requirements-build.lock
	@PYTHONPATH=$(VENV)/compiler:. $(BIN)/python -m pipelines.int8_kernel > /dev/null
	@rm -rf $(VENV)/compiler
	@touch $@

$(VENV)/dev.done: requirements-dev.lock $(VENV)/kernel.done
	@echo "setting up $(VENV): what tests and checks need"
	@$(PIP) --no-deps -r requirements-dev.lock
	@touch $@

setup: $(VENV)/kernel.done ## make .venv with what runs

setup-dev: $(VENV)/dev.done ## make .venv with what runs and what tests

setup-bench: setup-dev requirements-bench.lock ## add the peers of `manage.py bench` to .venv
	@$(PIP) --no-deps -r requirements-bench.lock

# systems that packs are compared with have libraries of their own: nothing of them touches ours
.venv-peers/setup.done: requirements-peers.lock
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install -qq --disable-pip-version-check --no-deps --ignore-requires-python -r requirements-peers.lock
	@touch $@

setup-peers: .venv-peers/setup.done ## make .venv-peers with the systems that packs are compared with

.venv-datasette/setup.done: requirements-datasette.lock
	@$(PYTHON) -m venv .venv-datasette
	@.venv-datasette/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r requirements-datasette.lock
	@touch $@

datasette: setup-dev .venv-datasette/setup.done ## our metadata tried with a real Datasette (a minute)
	@$(BIN)/python -m tests.workers.real_datasette .venv-datasette/bin/datasette

demo: setup ## the whole story on this machine
	@$(BIN)/python manage.py demo

# where it cannot be installed all other tests run all the same; those in a browser fail and say so
$(VENV)/chromium.done: $(VENV)/dev.done
	@if ! { command -v chromium && command -v chromedriver; } >/dev/null; then \
		echo "installing Debian's chromium, for the tests of the console"; \
		root=$$([ "$$(id -u)" = 0 ] || echo "sudo -n"); \
		{ $$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; } >/dev/null \
			|| { echo "it could not be installed: the tests of the console that need a browser will fail"; exit 0; }; \
	fi; touch $@

chromium: $(VENV)/chromium.done ## the browser of the console's tests, from Debian's packages

# two processes: most tests use one core, and some look at the clock
test: setup-dev $(VENV)/chromium.done ## the tests, about fourteen minutes on two cores
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not long"

test-long: setup-dev ## those of the tools that measure which train for a minute
	@$(BIN)/python -m pytest -m long

lint: setup-dev ## ruff, and the packs' contract
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/python manage.py check

types: setup-dev ## mypy, strict
	@$(BIN)/mypy

check: test lint types ## what CI runs

format: setup-dev ## lay the code out
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

measure: setup-dev ## the figures of the main job in docs/results (hours; DATA=folder of the real sets)
	@$(BIN)/python -m tests.bench.main_job --data-root $(or $(DATA),../shared/data)

results-distillation: setup-dev ## the table of docs/results/distillation.md (hours; may be stopped and goes on; DATA=folder MINUTES=at most)
	@$(BIN)/python -m tests.bench.distillation --data-root $(or $(DATA),../shared/data) $(if $(MINUTES),--minutes $(MINUTES))

results-speed: setup-bench ## what docs/results/speed.md holds (half an hour on a quiet machine; DATA=folder STUDENT=PACK/ID)
	@$(BIN)/python -m tests.bench.speed $(if $(STUDENT),--student $(STUDENT)) --data-root $(or $(DATA),../shared/data)
	@$(BIN)/python -m tests.bench.path --data-root $(or $(DATA),../shared/data) --merge docs/results/speed.json
	@$(BIN)/python -m tests.bench.training --data-root $(or $(DATA),../shared/data) --merge docs/results/speed.json
	@$(BIN)/python -m tests.bench.speed --page-only

results-int8: setup-dev ## what int8 loses on each real set, docs/results/int8_quality.md (20 minutes to an hour; may be stopped and goes on; DATA=folder MINUTES=at most)
	@$(BIN)/python -m tests.bench.int8_quality --data-root $(or $(DATA),../shared/data) $(if $(MINUTES),--minutes $(MINUTES))

results-packs: setup-dev setup-peers ## what docs/results/packs.md holds, beside peers (hours; DATA=folder)
	@$(BIN)/python -m tests.bench.packs.results --data-root $(or $(DATA),../shared/data)

screenshots: setup-dev $(VENV)/chromium.done ## the pictures of docs/console.md (a quarter of an hour at first; goes on with the students of the last run)
	@$(BIN)/python -m tests.bench.screenshots

faults: setup-dev ## hundreds of faults on real processes and both stores, docs/results/faults.md (an hour; may be stopped and goes on; takes RabbitMQ and Redis from Debian's packages)
	@for server in rabbitmq redis; do \
		PATH=$$PATH:/usr/sbin command -v $$server-server >/dev/null || { echo "installing Debian's $$server-server"; apt-get install -y --no-install-recommends $$server-server >/dev/null || echo "without it: its parts are left out"; }; \
	done
	@$(BIN)/python -m tests.faults.run

two-hosts: setup-dev ## two hosts of workers in network namespaces, one cut off in the middle (two minutes; root; takes iproute2 and Redis from Debian's packages)
	@command -v ip >/dev/null || apt-get install -y --no-install-recommends iproute2 >/dev/null
	@command -v redis-server >/dev/null || apt-get install -y --no-install-recommends redis-server >/dev/null || echo "without Redis: Valkey from the wheel"
	@$(BIN)/python -m tests.faults.two_hosts

fuzz: setup-dev ## readers, archives, rules and settings fuzzed (MINUTES=8)
	@$(BIN)/python -m tests.fuzz.run --minutes $(or $(MINUTES),8)

docs: setup ## regenerate docs/data-dictionary.md
	@$(BIN)/python manage.py tables --markdown > docs/data-dictionary.md

clean: ## remove .venv and caches; var/ (store, students) stays
	rm -rf $(VENV) .venv-peers .venv-datasette .pytest_cache .mypy_cache .ruff_cache .hypothesis
