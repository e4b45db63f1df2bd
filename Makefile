# Everything here sets up .venv by itself and can be run again at once; `make help` lists it.

PYTHON ?= python3.11
DEMO := demo
# where nobody has asked for a Python, any will do
OR_ANY = $(if $(filter file,$(origin PYTHON)),|| python3 -m venv $(VENV))

# Another Python or torch has an environment of its own, beside the usual one.
ifdef TORCH
VENV ?= .venv-$(notdir $(PYTHON))-torch$(TORCH)
# torchvision's numbers follow: 0.21 belongs to torch 2.6
VISION := 0.$(shell expr $(word 2,$(subst ., ,$(TORCH))) + 15)
TORCHES := torch==$(TORCH).* torchvision==$(VISION).*
CONSTRAINTS = $(VENV)/constraints.txt
else
VENV ?= $(if $(filter python3.11,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
TORCHES := torch torchvision
CONSTRAINTS := constraints.txt
endif
BIN := $(VENV)/bin

.PHONY: help demo test lint types check fast fuzz bench docs links vision clean

help:  ## say what can be made (the default)
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo '  PYTHON=python3.12   another Python, 3.11 to 3.13, in a .venv of its own'
	@echo '  TORCH=2.6           another torch, 2.6 or later, in a .venv of its own'
	@echo "  PYTEST='-k name'    arguments for pytest, with check and fast"
	@echo '  AGAINST=main        another revision beside tag 0.1.0, with bench'
	@echo "  BENCH='--quick'     arguments for benchmarks/report.py, with bench"

demo: $(VENV)/.installed  ## a gallery of what a trained ZFNet sees
	$(BIN)/vizcnn deconv --model zfnet --out $(DEMO)/deconv
	$(BIN)/vizcnn filters --model zfnet --out $(DEMO)/filters
	@echo "Open $(CURDIR)/$(DEMO)/deconv/index.html in a browser."

test: lint types check  ## lint, types and all tests

lint: $(VENV)/.tested links  ## style, formatting, and imports that go one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.tested links  ## mypy, strict
	$(BIN)/mypy

check: $(VENV)/.tested links  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST)

fast: $(VENV)/.tested links  ## the quick tests only, one to two minutes
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST)

fuzz: $(VENV)/.tested links  ## ten minutes of odd files and options for every command
	$(BIN)/python -m tests.support.fuzzing --minutes 10

bench: $(VENV)/.installed links  ## how fast it is here, into docs/speed.md; about a quarter of an hour
	$(BIN)/python benchmarks/report.py $(AGAINST:%=--against %) $(BENCH)

docs: $(VENV)/.documented  ## the manual, in build/site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open $(CURDIR)/build/site/index.html in a browser."

# mypy, import-linter and pytest's doctests look for these two packages in vizcnn/ only; a source
# archive holds no links, and where git makes none it writes a text file
links:
	@for name in cli gallery; do test -d vizcnn/$$name || ln -sfn ../$$name vizcnn/$$name; done

# torch first and by its exact version: whatever else is installed then fits it
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) $(OR_ANY)
ifdef TORCH
	grep -Ev '^(torch|torchvision)==' constraints.txt > $(CONSTRAINTS)
endif
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) $(TORCHES)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable .
	@$(MAKE) --no-print-directory vision
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[test]'
	touch $@

$(VENV)/.documented: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[docs]'
	touch $@

# A CPU build of torch that a machine brings along does not go with PyPI's torchvision, which is built
# for CUDA. vizcnn does without; for the user's own code the one that fits is asked for, once.
FITTING = torchvision==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("torchvision"))' | cut -d + -f 1)+cpu
vision:
	@$(BIN)/python -c 'import torchvision' 2>/dev/null \
	|| { $(BIN)/python -c 'import torch; raise SystemExit(torch.version.cuda is not None)' 2>/dev/null \
	&& $(BIN)/python -m pip install --quiet --no-deps --timeout 10 --retries 1 \
	   --index-url https://download.pytorch.org/whl/cpu "$(FITTING)" >/dev/null 2>&1 \
	&& $(BIN)/python -c 'import torchvision' 2>/dev/null; } \
	|| echo "note: torch and torchvision in $(VENV) are of two builds: vizcnn works, but 'import torchvision' in code of your own does not; install both from https://download.pytorch.org/whl/cpu"

clean:  ## remove what was made, the .venvs too
	rm -rf .venv .venv-* $(DEMO) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
