# `make run` shows the tool on a real model, `make test` passes every check; both set up .venv first.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test quick lint bench catalog clean

run: $(READY)
	$(BIN)/paramctl list example:alexnet
	$(BIN)/paramctl init example:alexnet --scheme kaiming_normal
	$(BIN)/paramctl shared example:gpt2
	$(BIN)/paramctl grad example:alexnet

test: lint
	$(BIN)/pytest -n 2

quick: $(READY)
	$(BIN)/pytest -n 2 -m "not slow"

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(READY)
	$(BIN)/python -m benchmarks

# The signatures of torch.nn's layers, from the torch that is installed.
catalog: $(READY)
	$(BIN)/python -m paramctl.tensors.signatures > catalog.part
	mv catalog.part paramctl/spec/torch_nn.json

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Set up anew only when what is to be installed has changed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --build-constraint constraints.txt --editable . --group dev
	touch $(READY)
