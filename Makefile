# Everything runs in a virtual environment of its own, .venv, made on first use from python3 (3.11 or newer), pip and the
# package registry. Nothing outside this directory is changed.
.DEFAULT_GOAL := help
.PHONY: help demo test check check-matrix bench faults soak clean
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# Processes that run the tests; each has a PostgreSQL of its own.
WORKERS := 2

help:
	@echo "make demo    crawl the sample site twice into an embedded PostgreSQL and show the rows"
	@echo "make test    the whole test suite"
	@echo "make check   ruff, mypy, and the test suite: what CI runs"
	@echo "make check-matrix  the crawl's tests with Scrapy 2.14, 2.18 and 2.19, and with every Python here"
	@echo "make bench   measure the hot functions and the server from HTTP to commit"
	@echo "make faults  half an hour of killed, stopped and starved processes, and every item counted afterwards"
	@echo "make soak    half an hour of steady load with faults: does anything grow, is anything lost"
	@echo "make clean   remove the virtual environment and everything that was generated here"

# Without ensurepip (Debian's plain python3) the environment is made without pip, and the pip outside installs into it.
$(READY): pyproject.toml
	@python=; for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV) 2>/dev/null || "$$python" -m venv --clear --without-pip $(VENV) || exit 1; \
	if [ -x $(BIN)/pip ]; then pip="$(BIN)/python -m pip"; else pip="$$python -m pip --python $(BIN)/python"; fi; \
	$$pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python -m spiders.demo

test: $(READY)
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory test

check-matrix: $(READY)
	$(BIN)/nox

bench: $(READY)
	$(BIN)/python -m pytest loadtests/benchmarks --benchmark-enable --benchmark-only --benchmark-columns=median,iqr,ops
	$(BIN)/python -m loadtests ingest

faults: $(READY)
	$(BIN)/python -m loadtests faults --minutes 30 --json results/faults.json

soak: $(READY)
	$(BIN)/python -m loadtests soak

clean:
	rm -rf $(VENV) .nox .ingest .demo dist build results .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .scrapy
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
