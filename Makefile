# make demo    a simulated city at work (MAP=file or CITY="Porto, Portugal" for another one, SPEED=20 times real time)
# make run     the service alone
# make test    all tests (TESTS=tests/routing for some)
# make chaos   processes killed and frozen under load, and the history judged (8 minutes)
# make check   lint, types, all tests, the slow ones too, and docs: what CI runs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

WHOLE := tests/chaos tests/e2e tests/browser  #: what starts all processes has both cores for itself

.PHONY: demo run test slow chaos check lint types docs bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/base: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up (once): a virtual environment"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up (once): installing requirements; about 200 MB, a minute or so"
	@$(BIN)/pip install --quiet --progress-bar on -r requirements.txt
	@echo "setting up (once): compiling kernels"
	@$(BIN)/python -m routing.jit
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/base
	@echo "setting up (once): development tools"
	@$(BIN)/pip install --quiet -r requirements-dev.txt
	@touch $@

$(VENV)/bench: requirements-bench.txt $(VENV)/base
	@$(BIN)/pip install --quiet -r requirements-bench.txt
	@touch $@

demo: $(VENV)/base
	@$(BIN)/python -m demo $(if $(MAP),--map "$(MAP)") $(if $(CITY),--city "$(CITY)") $(if $(SPEED),--speed $(SPEED)) $(DEMO_ARGS)

run: $(VENV)/base
	@$(BIN)/python -m workers run

test: $(VENV)/dev
ifdef TESTS
	@$(BIN)/python -m pytest $(TESTS)
else
	@$(BIN)/python -m pytest -n 2 -m "not slow" $(foreach part,$(WHOLE),--ignore=$(part))
	@$(BIN)/python -m pytest -m "not slow" $(WHOLE)
endif

slow: $(VENV)/dev
	@$(BIN)/python -m pytest -m slow

chaos: $(VENV)/dev
	@$(BIN)/python -m tests.chaos --verbose $(CHAOS_ARGS)

lint: $(VENV)/dev
	@$(BIN)/ruff check .

types: $(VENV)/dev
	@$(BIN)/mypy .

check: lint types test slow

clean:
	rm -rf var .mypy_cache .pytest_cache .ruff_cache .hypothesis
