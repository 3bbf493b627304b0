# The commands that people type. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := --configfile workflow/overlays/demo.yaml
# The longest trainings first, so that none of them runs alone at the end.
LONGEST := --prioritize results/demo/experiments/{rv-gan,mb-dcnn,he}/paper/summary.json
# In a file, a line for each training, with the time left, is enough: not several for each job, nor what is always so.
USUAL := ^(Using workflow specific profile|Config file config\.yaml is extended|Assuming unrestricted shared|Using shell:
USUAL := $(USUAL)|Rules claiming more threads|Conda environments: ignored)
SHORT := grep --line-buffered -vE '^(Select jobs to execute|Execute [0-9]+ jobs)\.\.\.$$|^\[.*\]$$|^Finished jobid: | steps \([0-9]+%\) done$$|$(USUAL)'
# The longest files of tests/workflow first: short ones fill the gaps at the end.
WORKFLOW := $(addprefix tests/workflow/,test_search.py test_tuning.py)
WORKFLOW += $(filter-out $(WORKFLOW),$(wildcard tests/workflow/test_*.py))
# Tests of Slurm run beside all others and mostly wait. Those of Ray have deadlines, so they come when Slurm's are over.
TESTS := $(filter-out tests/cluster/ tests/workflow/ tests/__pycache__/,$(wildcard tests/*/)) $(wildcard tests/test_*.py) $(WORKFLOW)
SLURM_SAID := .pytest_cache/slurm.txt
SHELL := bash
.SHELLFLAGS := -o pipefail -c
# The commands of this checkout's environment come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo check test docs dist clean
.DEFAULT_GOAL := help

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make the environment in .venv (a few minutes, 2 to 3 GB)

# Without `mmran run`: one trial per training, on a CPU, needs no Ray head.
demo: setup ## run the whole pipeline on synthetic slices, then print the tables
	@if [ -t 1 ]; then snakemake --cores all --logger rich $(DEMO) $(LONGEST); \
	  else snakemake --cores all --quiet rules host reason $(DEMO) $(LONGEST) 2>&1 | $(SHORT); fi
	@snakemake --cores 1 $(DEMO) --report results/demo/report.zip --quiet all
	@mmran show results/demo

check: $(VENV)/.ready-dev ## formatter, linters, types, and the fast tests (two minutes)
	ruff format --check .
	ruff check .
	codespell
	mypy
	snakefmt --check Snakefile workflow
	pytest -q -n auto -m "not slow and not workflow and not cluster and not real"

test: $(VENV)/.ready-dev ## everything that continuous integration runs
	ruff format --check .
	ruff check .
	codespell
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint --config source=phantom
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@mkdir -p $(dir $(SLURM_SAID)); pytest tests/cluster --durations 5 > $(SLURM_SAID) 2>&1 & \
	  pytest $(TESTS) -n 2 --dist loadfile --no-loadscope-reorder --durations 15 --durations-min 5; others=$$?; \
	  wait $$!; slurm=$$?; cat $(SLURM_SAID); exit $$((others || slurm))

docs: $(VENV)/.ready-dev ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

dist: $(VENV)/.ready-dev ## build wheel and sdist into dist/
	rm -rf dist
	python -m build

clean: ## remove the demo's results and everything that was built
	rm -rf results/demo site dist build

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
