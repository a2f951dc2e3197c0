# Everything runs from a virtual environment that the first target to need it builds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check long coverage golden bench soak picture lint types imports setup clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "GridFerry needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# the main case: a day of the three-bus feeder without storage, with the truck under rules, and planned exactly
demo: $(READY)
	$(BIN)/gridferry run configs/three_bus.toml --controller idle --out runs/demo-idle --overwrite
	$(BIN)/gridferry run configs/three_bus.toml --out runs/demo --overwrite
	$(BIN)/gridferry run configs/three_bus.toml --controller mess_exact --out runs/demo-exact --overwrite
	$(BIN)/gridferry compare runs/demo-idle runs/demo runs/demo-exact

lint: $(READY)
	$(BIN)/ruff check .

# mypy finds packages by their folders: a link gives the checkout the name that setuptools gives it
types: $(READY)
	@mkdir -p .mypy_path && ln -sfn .. .mypy_path/gridferry
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# the quick half of what CI runs
check: lint types imports
	$(BIN)/pytest -n auto -m 'not slow and not long' -q

# array shapes and types are checked in quick tests of single parts; that would double the time of whole runs
test: lint types imports
	$(BIN)/pytest -n auto --dist worksteal -q -m shapes tests/networks tests/controllers
	GRIDFERRY_UNCHECKED_SHAPES=1 $(BIN)/pytest -n auto --dist worksteal -q -m 'not shapes and not long'

# days in closed loop that take half a minute and more, of what `make test` has in short
long: $(READY)
	GRIDFERRY_UNCHECKED_SHAPES=1 $(BIN)/pytest -n auto --dist worksteal -q -m long

# lines that the quick tests of single parts reach, by package: what only whole runs reach is missing. Tracing takes most of the time
# of a test again with Python 3.11, so that it is left out of `make test`
COVERED := $(addprefix tests/controllers/,plans schedule) tests/sim/host
coverage: $(READY)
	GRIDFERRY_UNCHECKED_SHAPES=1 $(BIN)/pytest -n auto -q -m 'not slow and not long' --cov --cov-report= $(COVERED)
	@$(BIN)/coverage json --quiet -o - | $(BIN)/python .ci/coverage_by_package.py

# replaces the golden results of tests/golden by today's; for results that are meant to change, and a look at the diff
golden: $(READY)
	$(BIN)/python tests/golden/rewrite.py

bench: $(READY)
	$(BIN)/python -m benchmarks

# promises of runs and readers attacked at scale, printed as docs/reliability.md has them; `make test` does a small part
soak: $(READY)
	$(BIN)/python -m tests.soak

# the README's picture of the report, by Debian's chromium
picture: $(READY)
	$(BIN)/gridferry run joint_2dn --controller rules --out runs/picture --overwrite
	$(BIN)/gridferry report runs/picture
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1040 --screenshot=docs/report.png file://$(CURDIR)/runs/picture/report.html

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_path .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
