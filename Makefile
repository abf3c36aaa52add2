# `make demo` runs the whole pipeline on real text, `make demo-unlabelled` its part without labels, `make test` checks the
# code and runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Which releases are installed: the tested ones, or for once those of another file.
CONSTRAINTS ?= constraints.txt
READY := $(VENV)/.ready

.PHONY: demo demo-unlabelled test fast check unit format clean

demo: $(READY)
	$(BIN)/bistill prepare python-docs --data_version python-docs
	$(BIN)/bistill pipeline --config examples/demo.yaml

demo-unlabelled: $(READY)
	$(BIN)/bistill prepare python-docs --data_version python-docs-small --max_pairs 4000
	$(BIN)/bistill pipeline --config examples/demo-unlabelled.yaml

test: check unit

# All but the tests marked slow, which `test` runs, too.
fast: check
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(READY)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "" --numprocesses 2 --dist loadfile

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch is installed first and pinned, so that no other package pulls a build of its own choice.
$(READY): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV)
