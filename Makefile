# Every target sets itself up: a fresh clone needs Python 3.11 or newer with venv, make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run on two processes by default; TESTS narrows them, for example make test TESTS=tests/unit.
WORKERS ?= 2
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench golden docs wheel clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/.venv-made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.venv-made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@echo "compiling the kernels, once"
	@$(BIN)/python -m margincover.app.warm
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## install and run the main job on the example book
	@$(BIN)/margincover demo

test: $(VENV)/.installed-dev ## install and run all tests
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

check: $(VENV)/.installed-dev ## format, lint, types, import rules, margin rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/margincover rules check

format: $(VENV)/.installed-dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## measure speed and memory as ratios (minutes)
	$(BIN)/python -m benchmarks

golden: $(VENV)/.installed-dev ## rewrite golden files; say why under "Numbers that moved" in CHANGELOG.md
	MARGINCOVER_WRITE_GOLDEN=1 $(BIN)/python -m pytest -n 0 tests/golden

docs: $(VENV)/.installed-dev ## run the examples of the docs
	$(BIN)/python -m pytest -n 0 tests/end_to_end/test_examples.py

wheel: $(VENV)/.installed-dev ## build a wheel in dist/
	$(BIN)/python -m build --wheel

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
