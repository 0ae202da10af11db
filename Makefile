# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
RUN := $(VENV)/bin/python
DATA ?=
DEMO_ARGS ?=
MUTANTS ?=

.PHONY: demo test test-all test-oldest coverage mutation audit lint docs

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV). The first time takes minutes."
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test,benchmarks]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing Sphinx and its extensions into $(VENV)."
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt -e ".[test]"
	touch $@

## Recommendations end to end: generated data, or DATA=path/to/ratings.csv (or .gz, .zip)
demo: $(VENV)/.installed
	$(RUN) benchmarks/demo.py $(if $(DATA),--data "$(DATA)") $(DEMO_ARGS)

## The test suite, under ten minutes on two cores
test: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest -m "not slow"

## With the slow tests and those on real data (SKVAE_DATA, default ../shared/data)
test-all: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest

## The same suite on the oldest supported versions
test-oldest: $(OLDEST)/.installed
	SCIPY_ARRAY_API=1 $(OLDEST)/bin/python -m pytest -m "not slow"

## Lines and branches that the suite runs; fails under 95 % (pyproject.toml)
coverage: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest -m "not slow" --cov --cov-report=term-missing:skip-covered

## Whether the tests notice changes of the mathematics; MUTANTS=skvae.metrics* for some
mutation: $(VENV)/.tools
	rm -rf mutants
	OMP_NUM_THREADS=1 $(VENV)/bin/mutmut run $(if $(MUTANTS),"$(MUTANTS)")
	$(VENV)/bin/mutmut results

## Known vulnerabilities of all that is installed here, by the database of PyPI
audit: $(VENV)/.tools
	$(RUN) -m pip freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audited.txt
	$(VENV)/bin/pip-audit --strict --no-deps --disable-pip -r $(VENV)/audited.txt

$(VENV)/.tools: $(VENV)/.installed
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test,benchmarks,tools]"
	touch $@

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

## The documentation, in docs/_build/html; a warning fails it
docs: $(VENV)/.installed-docs
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"
