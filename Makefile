# Every target sets itself up: Python 3.11 or newer, gcc and make are enough.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
DEVICE ?= cuda
FUZZ ?= 1
RACE ?= digits --minutes 4.5
# The first free of runs/race, runs/race-2, ...: no race is ever overwritten.
OUT ?= $(shell i=1; n=; while [ -e runs/race$$n ]; do i=$$((i+1)); n=-$$i; done; echo runs/race$$n)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DEVELOPER := $(VENV)/.installed-test
# The suite runs two workers of one thread each: threads of one test never wait for another's.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

.PHONY: system race test check-all check-gpu fuzz mutants docs wheel methods format clean

# What pip does not bring: two machines by network namespaces (iproute2) and Fashion-MNIST, which
# long tests and studies use; a browser and a screen in memory, in which pages are looked at.
SYSTEM := chromium xvfb iproute2 dataset-fashion-mnist

system:  ## Debian packages that long tests and studies want; asks for root.
	@echo "apt-get install $(SYSTEM)"
	apt-get update --quiet && apt-get install --yes --no-install-recommends $(SYSTEM)

race: $(VENV)/.installed-base  ## Train six families on digits and write runs/race/report.html.
	$(BIN)/danlu race $(RACE) --out $(OUT)

test: $(DEVELOPER)  ## Everything a change must pass.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(PYTEST) -m "not long"

check-all: test $(VENV)/.installed-alone $(VENV)/.installed-export $(VENV)/.installed-track $(VENV)/.installed-kernels $(VENV)/.installed-fuzz  ## The rest: peers, processes, kills; no test may be skipped.
	$(PYTEST) -m long --no-skips
	JAXTYPING_DISABLE=1 $(PYTEST) -m long --no-skips tests/compile

# A machine with a device: no run of it is kept in the documents yet, so nothing is claimed of one.
check-gpu: $(DEVELOPER)  ## Layers, families and benchmarks on a device, DEVICE=cuda or mps; ten minutes.
	DANLU_DEVICE=$(DEVICE) $(BIN)/python -m pytest --no-skips tests/device
	run=$$(mktemp -d)/vae && \
	$(BIN)/danlu train vae digits --steps 200 --device $(DEVICE) --out $$run && \
	$(BIN)/danlu sample $$run --device $(DEVICE) && $(BIN)/danlu eval $$run
	DANLU_DEVICE=$(DEVICE) $(BIN)/danlu bench device

mutants: $(DEVELOPER)  ## Faults put into the formulas on purpose, and which laws see them.
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants --once-alive --json build/mutants.json $(ROOM:%=--room %) $(N:%=--n %) $(SEED:%=--seed %)

fuzz: $(DEVELOPER) $(VENV)/.installed-fuzz  ## 20,000 odd inputs and 300 odd starts; FUZZ=0.1 takes a tenth of them.
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py $(FUZZ)

docs: $(VENV)/.installed-docs methods  ## The documentation in docs/_build/html; a warning is an error.
	$(BIN)/python docs/api_pages.py
	$(BIN)/python -m sphinx -W --keep-going --quiet --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

wheel:  ## Build the wheel, install it in an empty environment and race 20 steps from it.
	rm -rf dist build/alone && mkdir -p build/alone
	$(PYTHON) -m venv build/alone/env
	build/alone/env/bin/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .
	ls -l dist
	build/alone/env/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt dist/*.whl
	cd build/alone && env/bin/danlu race digits --families vae,flow --examples 1280 --set train.batch=64 --out race
	cd build/alone && env/bin/danlu list families

methods: $(VENV)/.installed-base  ## The methods pages, from the tables and their docstrings.
	$(BIN)/python -m danlu.catalogue.methods_page

format: $(DEVELOPER)  ## Format and apply the safe fixes.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) docs/_build docs/api build dist

# torch goes first and alone, so that nothing that comes later can choose another build of it.
$(VENV)/.installed-torch: constraints.txt
	@echo "Setting up $(VENV), once; this takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	@touch $@

$(VENV)/.installed-base: $(VENV)/.installed-torch pyproject.toml
	$(PIP) --editable .
	@touch $@

# Peers that ask for torchvision or for trackers, which their parts that are compared never use.
$(VENV)/.installed-alone: $(VENV)/.installed-peers peers-alone.txt
	$(PIP) --no-deps --requirement peers-alone.txt
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed-base
	$(PIP) --editable ".[$*]"
	@touch $@
