# Two commands do all the set-up: make quickstart, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint bench docs map
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make quickstart   photos -> world -> models of two places (about ten minutes)"
	@echo "make test         all tests"
	@echo "make lint         style and types"
	@echo "make bench        measure speed and size again (start weights: bench/*.py, with photos)"
	@echo "make map          fetch what answers photos on the page of the map (npm)"
	@echo "make docs         write docs/cli.md and docs/recipes.md again"

# The environment is made once, and again when its list of packages changes.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

quickstart: .venv/installed
	@bash runs/quickstart.sh

test: .venv/installed
	$(BIN)/pytest -n auto --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

map: .venv/installed
	@bash runs/vendor_map.sh runtime

docs: .venv/installed
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_recipes.py

bench: .venv/installed
	$(BIN)/python bench/decode.py
	$(BIN)/python bench/cut.py --keep bench/cut.homerange
	$(BIN)/python bench/predict.py --model bench/cut.homerange
	$(BIN)/python bench/expert_layer.py
	$(BIN)/python bench/cut_places.py
	$(BIN)/python bench/import_gbif.py
