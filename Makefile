# The two commands of the README are `make book` and `make test`; `make` alone lists the rest.
# Each creates .venv when it is missing and installs again only when a list of packages has changed.
# With `CONSTRAINTS=` they install the newest packages that the ranges allow, not the ones that were tested.

PYTHON ?= python3
CONSTRAINTS ?= -c constraints.txt
BIN := .venv/bin
NOTEBOOKS := $(wildcard book/*.ipynb) tools/chapter_template.ipynb

# What is set in the caller's shell must not leak into ours: another environment, or a backend that shows no figures.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET JUPYTER_PATH MPLBACKEND PYTEST_ADDOPTS
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONNOUSERSITE := 1

.PHONY: help book test notebooks bench sweep relusweep clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 18

# From nothing each time: a page that left _toc.yml must not stay on the site.
book: .venv/.installed  ## build the book as HTML, every warning an error
	rm -rf _build
	$(BIN)/jupyter-book build . -W -n --keep-going
	$(BIN)/python tools/check_site.py _build/html
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html in a browser."

test: .venv/.installed-tests  ## lint, tests, and every chapter run again and compared with its stored outputs
	$(BIN)/ruff check .
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-sanitize-with tests/nbval_sanitize.cfg $(NOTEBOOKS)

notebooks: .venv/.installed  ## run the chapters and store their new outputs
	$(BIN)/jupyter execute --inplace --timeout=120 $(NOTEBOOKS)
	$(BIN)/python tools/normalise_notebooks.py $(NOTEBOOKS)

bench: .venv/.installed-fast  ## time gradients, Hessian-vector products and whole flows (some minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.kernels
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.flow

# Interrupted, it goes on where it stopped; the committed table is replaced when the new one is whole.
sweep: .venv/.installed-fast  ## run the 1000 flows of erf students again, into book/data
	mkdir -p book/data/running
	$(BIN)/python -m lib.sweep --k 50 --end-points 25 book/data/running/sweep_erf_k50.csv
	mv book/data/running/sweep_erf_k50.* book/data/
	rmdir book/data/running

relusweep: .venv/.installed  ## run the 3220 flows of ReLU students again, into book/data (ten minutes)
	mkdir -p book/data/running
	for run in "6 0-19" "8 0-99" "10 0-19" "12 0-99" "20 0-19" "50 0-9"; do set -- $$run; \
		$(BIN)/python -m lib.sweep --k $$1 --seeds $$2 --kernel relu book/data/running/sweep_relu_k$$1.csv || exit 1; done
	mv book/data/running/sweep_relu_k*.csv book/data/
	rmdir book/data/running

clean:  ## remove the built book and the environment
	rm -rf .venv _build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' && $(PYTHON) -m venv --clear .venv || { \
		rm -rf .venv; echo; \
		echo "'$(PYTHON)' could not make the environment: the book needs Python 3.11 or newer, with venv."; \
		echo "On Debian and Ubuntu:  apt-get install python3 python3-venv"; \
		echo "Another Python:        make PYTHON=python3.12 ..."; exit 1; }

.venv/.installed: requirements.txt constraints.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt $(CONSTRAINTS)
	@touch $@

.venv/.installed-tests: tests/requirements.txt .venv/.installed
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt $(CONSTRAINTS)
	@touch $@

.venv/.installed-fast: pyproject.toml .venv/.installed
	$(BIN)/python -m pip install --quiet -e ".[fast]" $(CONSTRAINTS)
	@touch $@
