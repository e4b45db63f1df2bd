# make demo: a gallery of what a trained ZFNet sees.   make test: lint, types and tests.
# Both set up .venv by themselves and can be run again at once.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test lint types check clean

demo: $(VENV)/.installed
	$(BIN)/vizcnn deconv --model zfnet --out $(DEMO)/deconv
	$(BIN)/vizcnn filters --model zfnet --out $(DEMO)/filters
	@echo "Open $(CURDIR)/$(DEMO)/deconv/index.html in a browser."

test: lint types check

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.tested
	$(BIN)/mypy

check: $(VENV)/.tested
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST)

# torch first and by its exact version: whatever else is installed then fits it
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
