# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
RUN := $(VENV)/bin/python
DATA ?=
DEMO_ARGS ?=
MUTANTS ?=
# Tests run in as many processes as there are cores.
PARALLEL := -n auto --maxprocesses 8 --dist worksteal
# What is neither slow nor needs a cluster.
QUICK := not slow and not distributed
# Half the cores, for processes of two threads: more threads than cores wait for each other.
HALF = $(shell $(RUN) -c "import os; print(max(1, (os.cpu_count() or 2) // 2))")
# Tests whose results depend on the arithmetic of the processor.
NUMERICAL := tests/test_*.py tests/baselines tests/collaborative tests/nn tests/training \
	tests/utils/test_top_k.py \
	$(addprefix tests/guarantees/test_,concurrent.py drift.py quiet_divergence.py \
	reproducible.py training_on.py)

.PHONY: demo test test-all test-oldest test-processors test-sdist \
	test-distributed coverage mutation audit lint docs

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV). The first time takes minutes."
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test,lint,benchmarks]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing Sphinx and its extensions into $(VENV)."
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

$(VENV)/.installed-distributed: $(VENV)/.installed
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test,distributed]"
	touch $@

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt -e ".[test]"
	touch $@

## Recommendations end to end: generated data, or DATA=path/to/ratings.csv (or .gz, .zip)
## Options in DEMO_ARGS, such as DEMO_ARGS="--encoding latin-1"; DEMO_ARGS=--help lists them
demo: $(VENV)/.installed
	$(RUN) -m benchmarks.demo $(if $(DATA),--data "$(DATA)") $(DEMO_ARGS)

## The test suite, under ten minutes on two cores
test: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest $(PARALLEL) -m "$(QUICK)"

## With the slow tests and those on real data (SKVAE_DATA, default ../shared/data)
test-all: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest $(PARALLEL) -m "not distributed"

## Searches, studies and rankings on Dask, Ray and Spark, one after the other
test-distributed: $(VENV)/.installed-distributed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest tests/distributed

## The same suite on the oldest supported versions
test-oldest: $(OLDEST)/.installed
	SCIPY_ARRAY_API=1 $(OLDEST)/bin/python -m pytest $(PARALLEL) -m "$(QUICK)"

## The numerical tests with the arithmetic of other processors, as far as settings go
test-processors: $(VENV)/.installed
	$(call numerical,ATEN_CPU_CAPABILITY=default)
	$(call numerical,ATEN_CPU_CAPABILITY=avx2)
	$(call numerical,MKL_CBWR=COMPATIBLE)
	$(call numerical,MKL_CBWR=AVX2)
	$(call numerical,OPENBLAS_CORETYPE=Haswell)
	$(call numerical,OMP_NUM_THREADS=2 SKVAE_TEST_THREADS=2,-n $(HALF))
	$(call numerical,SKVAE_TEST_BLAS=alignment)

define numerical
	@echo "== $(1)"
	SCIPY_ARRAY_API=1 $(1) $(RUN) -m pytest $(PARALLEL) $(2) -q -m "$(QUICK)" \
		-p no:cacheprovider $(NUMERICAL)
endef

## The tests of the source distribution, from nothing but its files
test-sdist: $(VENV)/.installed
	rm -rf build/sdist
	$(RUN) -m pip install --quiet build
	$(RUN) -m build --sdist --outdir build/sdist
	cd build/sdist && tar -xzf skvae-*.tar.gz && cd skvae-*/ && \
		SCIPY_ARRAY_API=1 $(abspath $(RUN)) -m pytest $(PARALLEL) -m "$(QUICK)"

## Lines and branches that the suite runs; fails under 95 % (pyproject.toml)
coverage: $(VENV)/.installed
	SCIPY_ARRAY_API=1 $(RUN) -m pytest -m "$(QUICK)" --cov --cov-report=term-missing:skip-covered

## Whether the tests notice changes of the mathematics; MUTANTS=skvae.metrics* for some
mutation: $(VENV)/.tools
	rm -rf mutants
	OMP_NUM_THREADS=1 $(VENV)/bin/mutmut run $(if $(MUTANTS),"$(MUTANTS)")
	$(VENV)/bin/mutmut results

## Known vulnerabilities of all that is installed here, by public databases of advisories;
## fails too if a package could not be looked up
audit: $(VENV)/.tools
	$(RUN) -m pip freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audited.txt
	$(RUN) tests/repository/audit.py $(VENV)/audited.txt

$(VENV)/.tools: $(VENV)/.installed
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test,benchmarks,tools]"
	touch $@

## Style, formatting and types
lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

## The documentation, in docs/_build/html; a warning fails it
docs: $(VENV)/.installed-docs
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"
