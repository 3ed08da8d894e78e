# The two commands of the README are `make book` and `make test`; `make` alone lists the rest.
# Each creates .venv when it is missing and installs again only when a list of packages has changed.
# With `CONSTRAINTS=` they install the newest packages that the ranges allow, not the ones that were tested.

PYTHON ?= python3
CONSTRAINTS ?= -c constraints.txt
BIN := .venv/bin
NOTEBOOKS := $(wildcard book/*.ipynb book/proofs/*.ipynb) tools/chapter_template.ipynb
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with tests/book/nbval_sanitize.cfg
# Tests and chapters in one run, on every core up to four, one thread each. A file stays in one process: the cells of a
# chapter share a kernel, and the tests of a file what it makes.
TESTS = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder \
	$(NBVAL) tests $(NOTEBOOKS)
OTHER := pages and live figures in a browser, whole courses that are graded, TeX, JupyterLite, MPI, dask, slides, a second build of the book, chapters with other numbers, the largest cases of some tests
OUTPUT := $(CURDIR)

# A clean room: nothing of the caller's shell or account changes what a command does, be it another environment, a
# profile of IPython, a style for figures, a setting of nbgrader, or -O, which would remove every assert.
unexport $(filter-out PYTHON,$(filter PYTHON% IPYTHON% JUPYTER% JPY_% MPL% MATPLOTLIB% PYTEST% SPHINX% HYPOTHESIS% GIT_%,$(.VARIABLES)))
unexport VIRTUAL_ENV CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_ROOT PIP_NO_DEPS SOURCE_DATE_EPOCH FORCE_COLOR PY_COLORS LANGUAGE LC_CTYPE
ROOM := $(CURDIR)/.venv/room
export IPYTHONDIR := $(ROOM)/ipython
export JUPYTER_CONFIG_DIR := $(ROOM)/jupyter/config
export JUPYTER_DATA_DIR := $(ROOM)/jupyter/data
export JUPYTER_RUNTIME_DIR := $(ROOM)/jupyter/runtime
export JUPYTER_NO_CONFIG := 1
export JUPYTER_PLATFORM_DIRS := 1
export MPLCONFIGDIR := $(ROOM)/matplotlib
export PYTHONNOUSERSITE := 1
export PYTHONUTF8 := 1
export LC_ALL := C.UTF-8
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Sockets lie in TMPDIR, and the path of a socket is short.
export TMPDIR := $(shell [ -n "$$TMPDIR" ] && [ $${#TMPDIR} -le 40 ] && [ -w "$$TMPDIR" ] && echo "$$TMPDIR" || echo /tmp)

# An environment works in the folder where it was made, with the Python it was made from. After a move its commands do
# not start; in a copy of the folder they would import the original's `lib`.
ifneq ($(filter-out help clean,$(MAKECMDGOALS)),)
ifneq ($(shell [ ! -e .venv ] || { [ "$$(cat .venv/.folder 2>&1)" = "$$(pwd -P)" ] && .venv/bin/python -c '' 2>&1; } || echo moved),)
ifeq ($(findstring n,$(firstword -$(MAKEFLAGS))),)
$(info The environment in .venv was made for another folder or another Python; it is set up again.)
$(shell rm -rf .venv)
endif
endif
endif

.PHONY: help book lab pdf lite slides figures links test test-all chapters portable notebooks assignments handout collect grade export classroom mutants bench sweep sweeps proofs training compression clean
.PHONY: .writable

# $(call timed,command): run it and say how long it took.
timed = begin=$$(date +%s); $(1); status=$$?; took=$$(($$(date +%s) - begin)); \
	echo "$@ took $$((took / 60)) min $$((took % 60)) s."; exit $$status

# $(call install,what for,packages): pip is silent for half a minute and more.
install = @echo "Installing packages for $(1) into .venv: a minute or so the first time ..."; \
	$(BIN)/python -m pip install --quiet $(2)

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

# From nothing each time: a page that left _toc.yml must not stay on the site.
book: .venv/.installed | .writable  ## build the book as HTML, every warning an error
	rm -rf "$(OUTPUT)/_build"
	$(BIN)/jupyter-book build . -W -n --keep-going --path-output "$(OUTPUT)"
	$(BIN)/python tools/check_site.py "$(OUTPUT)/_build/html"
	@echo "The book is built. Open $(OUTPUT)/_build/html/index.html in a browser."

pdf: .venv/.installed  ## build the book as one PDF, with the TeX of the machine
	@command -v latexmk >/dev/null && command -v xelatex >/dev/null && command -v rsvg-convert >/dev/null || { \
		echo "The PDF needs latexmk, xelatex and rsvg-convert. On Debian and Ubuntu:"; \
		echo "  apt-get install latexmk texlive-xetex texlive-latex-extra texlive-fonts-recommended fonts-freefont-otf librsvg2-bin"; \
		exit 1; }
	rm -rf _build/latex
	$(BIN)/jupyter-book build . --builder latex -W -n --keep-going
	cd _build/latex && latexmk -xelatex -interaction=nonstopmode -halt-on-error -quiet copy-or-average.tex
	@echo "The PDF is built: $(CURDIR)/_build/latex/copy-or-average.pdf"

test: .venv/.compiled-flows  ## lint, tests, and every chapter run again and compared with its stored outputs
	@$(call timed,$(BIN)/ruff check . && $(TESTS) -m "not other and not browser and not long")
	@echo "Left out is what needs a browser, and other long tests ($(OTHER)): make test-all"

test-all: .venv/.compiled-flows  ## the same, the pages in a browser, and the long tests that `make test` leaves out
	@$(call timed,$(BIN)/ruff check . && $(TESTS))

# The copies are the reader's: `git status` stays clean whatever is run, changed and saved there.
lab: .venv/.installed  ## open copies of the chapters in JupyterLab, in the folder my_copies
	$(BIN)/python tools/lab.py my_copies

chapters: .venv/.installed  ## run every chapter again and compare it with its stored outputs
	$(BIN)/python -m pytest $(NBVAL) $(NOTEBOOKS)

# Another name in SETTINGS, for example  make portable SETTINGS=farthest ; `tools/portable.py --list` prints them.
portable: .venv/.compiled-flows  ## the tests of lib and the chapters as other processors compute (a quarter of an hour a setting)
	$(BIN)/python tools/portable.py $(if $(SETTINGS),--settings $(SETTINGS))

lite: export WITH_LITE := 1
lite: book .venv/.installed-lite  ## build the book with a copy of itself that runs in the reader's browser
	$(BIN)/python tools/build_lite.py _build/html
	@echo "It needs a server:  $(BIN)/python -m http.server --directory _build/html"

slides: book .venv/.installed-tests  ## slides of five lectures from the chapters, as HTML without network and as PDF
	$(BIN)/python tools/slides.py "$(OUTPUT)/_build/html" "$(OUTPUT)/_build/slides"

figures: .venv/.installed  ## a pack of the book's figures as SVG and PDF, with captions and licence
	$(BIN)/python tools/figures.py _build/figures

links: .venv/.installed  ## try every link to another site (needs the network; not a part of the tests)
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

notebooks: .venv/.installed  ## run the chapters, store their new outputs, and write book/status.md
	$(BIN)/python tools/run_chapters.py $(NOTEBOOKS)

assignments: .venv/.installed-assignments  ## check the problem sets and make their student versions (some minutes)
	$(BIN)/python book/assignments/release.py

# With CLASS=... what follows works in the course of that class, which `make handout` has made.
COURSE := $(if $(CLASS),classes/$(CLASS),book/assignments)

handout: .venv/.installed-assignments  ## make a course for the class CLASS=..., other numbers in it, and what its students get
	@test -n "$(CLASS)" || { echo 'For which class? For example:  make handout CLASS=summer_2027'; exit 2; }
	$(BIN)/python book/assignments/handout.py "$(COURSE)" $(if $(ROSTER),--roster "$(ROSTER)")

collect: .venv/.installed-assignments  ## sort DOWNLOAD=..., from Moodle or Canvas, by students of the list ROSTER=...
	@test -n "$(DOWNLOAD)" -a -n "$(ROSTER)" || { echo 'For example:  make collect DOWNLOAD=~/Downloads/one_neuron.zip ROSTER=~/Downloads/participants.csv'; exit 2; }
	$(BIN)/python "$(COURSE)/collect.py" "$(DOWNLOAD)" "$(ROSTER)" $(FLAGS)

grade: .venv/.installed-assignments  ## grade what was collected, or the folder SUBMISSIONS=..., which holds one folder a student
	$(BIN)/python "$(COURSE)/grade.py" $(if $(SUBMISSIONS),"$(SUBMISSIONS)") $(FLAGS)

export: .venv/.installed-assignments  ## write marks and feedback for the import of Moodle or Canvas
	$(BIN)/python "$(COURSE)/export.py"

classroom: .venv/.compiled-flows  ## grade a simulated class that hands in everything from right answers to attacks
	$(BIN)/python -m pytest tests/classroom/problem_sets.py tests/classroom/classroom.py \
		tests/classroom/test_attacks.py tests/classroom/test_opening.py

# MODULE=lib/pairs.py for one module, SAMPLE=all for all its mutants. Interrupted, it goes on where it stopped.
mutants: .venv/.installed-mutants  ## change lib in one place at a time: do its own tests notice? (not a part of the tests)
	$(BIN)/python tools/mutants.py --sample $(or $(SAMPLE),25) $(MODULE)

bench: .venv/.installed-fast  ## time gradients, Hessian-vector products and whole flows (some minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.kernels
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.flow

# Interrupted, it goes on where it stopped; the committed tables are replaced when the new ones are whole.
sweep: .venv/.installed-fast  ## run the 1000 flows of k = 50 again, into book/data
	mkdir -p book/data/running
	$(BIN)/python -m lib.sweeps --k 50 --end-points 25 book/data/running/sweep_erf_k50.csv
	mv book/data/running/sweep_erf_k50.* book/data/
	rmdir book/data/running

sweeps: sweep  ## and the flows of all the other tables (a quarter of an hour)
	mkdir -p book/data/running
	$(BIN)/python -m lib.sweeps --k 8 book/data/running/sweep_erf_k8.csv
	$(BIN)/python -m lib.sweeps --k 10 book/data/running/sweep_erf_k10.csv
	$(BIN)/python -m lib.sweeps --k 20 book/data/running/sweep_erf_k20.csv
	$(BIN)/python -m lib.sweeps --k 100 --widths 2-100:2 --seeds 0-9 book/data/running/sweep_erf_k100.csv
	for run in "6 0-19" "8 0-99" "10 0-19" "12 0-99" "20 0-19" "50 0-9"; do set -- $$run; \
		$(BIN)/python -m lib.sweeps --k $$1 --seeds $$2 --kernel relu book/data/running/sweep_relu_k$$1.csv || exit 1; done
	mv book/data/running/* book/data/
	rmdir book/data/running

.writable:
	@test -w . || { echo "$(CURDIR) cannot be written to, and the book is built inside its folder: copy it to a folder of yours, and run make there."; exit 1; }

# Interrupted, it goes on where it stopped; the committed tables are replaced when the new ones are whole.
proofs: .venv/.installed-proofs  ## prove again what the book says of perturbed copies, into book/data (two minutes)
	mkdir -p book/data/running
	$(BIN)/python -m lib.proofs book/data/running
	mv book/data/running/proofs_*.csv book/data/

# Interrupted, it goes on where it stopped; the committed tables are replaced when the new ones are whole.
training: .venv/.installed-fast  ## train the students of the chapter on training again, into book/data (35 minutes)
	mkdir -p book/data/running
	$(BIN)/python -m lib.training book/data/running
	mv book/data/running/training_*.csv.gz book/data/

# Interrupted, it goes on where it stopped; the committed tables are replaced when the new ones are whole.
compression: .venv/.installed-fast  ## compress the trained networks of the book again, into book/data (20 minutes of one core)
	mkdir -p book/data/running
	$(BIN)/python -m lib.training --compression book/data/running
	mv book/data/running/compression_* book/data/

clean:  ## remove the built book and the environment
	rm -rf .venv _build

.venv/bin/python: | .writable
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' && $(PYTHON) -m venv --clear .venv && pwd -P > .venv/.folder || { \
		rm -rf .venv; echo; \
		echo "'$(PYTHON)' could not make the environment: the book needs Python 3.11 or newer, with venv."; \
		echo "On Debian and Ubuntu:  apt-get install python3 python3-venv"; \
		echo "Another Python:        make PYTHON=python3.12 ..."; exit 1; }

.venv/.installed: requirements.txt constraints.txt pyproject.toml | .venv/bin/python
	$(call install,the book,-r requirements.txt $(CONSTRAINTS))
	@touch $@

.venv/.installed-assignments: book/assignments/requirements.txt .venv/.installed
	$(call install,grading,-r book/assignments/requirements.txt $(CONSTRAINTS))
	@touch $@

.venv/.installed-tests: tests/requirements.txt tools/lite-requirements.txt .venv/.installed-assignments
	$(call install,testing,-r tests/requirements.txt $(CONSTRAINTS))
	@touch $@

# Otherwise the first processes that need it would each compile it.
.venv/.compiled-flows: lib/fast/compiled_kernels.py lib/fast/compiled.py .venv/.installed-tests
	@echo "Compiling the gradient flow for the tests: up to half a minute ..."
	@$(BIN)/python -c "from lib.fast import accelerator; accelerator.compile_apart()"
	@touch $@

.venv/.installed-lite: tools/lite-requirements.txt .venv/.installed
	$(call install,the book in a browser,-r $< $(CONSTRAINTS))
	@touch $@

.venv/.installed-mutants: tools/mutants-requirements.txt .venv/.installed-tests
	$(call install,mutants,-r $< $(CONSTRAINTS))
	@touch $@

.venv/.installed-fast: pyproject.toml .venv/.installed
	$(call install,fast flows,-e ".[fast]" $(CONSTRAINTS))
	@touch $@

.venv/.installed-proofs: pyproject.toml .venv/.installed
	$(call install,the proofs,-e ".[proofs]" $(CONSTRAINTS))
	@touch $@
