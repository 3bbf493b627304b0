# make demo    the whole pipeline on synthetic slices, in minutes
# make test    every check and every test
# make setup   the environment that both use

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := --configfile workflow/overlays/demo.yaml
# Beside the caller's own settings: a Python of its own, and nothing of another checkout.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup demo test clean

setup: $(VENV)/.ready

demo: setup
	@mmran run -- snakemake --cores all $(DEMO)
	@snakemake --cores 1 $(DEMO) --report results/demo/report.zip
	@mmran show results/demo

test: $(VENV)/.ready-dev
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint
	pytest

clean:
	rm -rf results/demo

$(VENV)/.ready: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mmran needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready envs/requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/requirements-dev.lock
	@touch $@
