# make run, make test: everything goes into .venv; see tools/setup.py.
PYTHON ?= python3
ARGS ?=
# Optional engines: EXTRAS="ja llm piper rtx", or none. Left alone: what is there already.
EXTRAS ?= auto
# Files of tests that run side by side; most of their time they wait for a conversation's own pace.
JOBS ?= 2

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check bench soak lock train clean

_setup = @command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): Python 3.11 or newer is needed (sudo apt install python3)." >&2; exit 1; }; \
	$(PYTHON) tools/setup.py
_extras = $(if $(filter auto,$(EXTRAS)),,--extras "$(EXTRAS)")
_browser = $(if $(findstring not browser,$(ARGS)),--no-browser)
_python = .venv/bin/python

help:
	@echo "make run    [ARGS=\"server flags\"]  start the server (installs what it needs first)"
	@echo "make test   [ARGS=\"pytest flags\"]  run the tests (installs what they need first)"
	@echo "make check  [ARGS=\"pytest flags\"]  format, lint, types, tests with asyncio's debug mode"
	@echo "make bench  [ARGS=\"names\"]         measure what the project promises"
	@echo "make soak   [ARGS=\"pytest flags\"]  the long tests"
	@echo "make lock   [ARGS=names]           renew the requirement locks from requirements/*.in"
	@echo "make train  [ARGS=--small]         speak the corpus and train the puppet's mouth anew (an hour)"
	@echo "make clean                         remove .venv and what tools left behind"

run:
	$(_setup) run $(_extras)
	@exec $(_python) streaming_server.py $(ARGS)

test:
	$(_setup) test $(_extras) $(_browser)
	@exec $(_python) -m pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder $(ARGS)

check:
	$(_setup) test $(_extras) $(_browser)
	@$(_python) -m ruff format --check .
	@$(_python) -m ruff check .
	@$(_python) -m mypy
	@PYTHONASYNCIODEBUG=1 exec $(_python) -m pytest $(ARGS)

bench:
	$(_setup) test $(_extras)
	@exec $(_python) -m benchmarks $(ARGS)

soak:
	$(_setup) test $(_extras)
	@exec $(_python) -m pytest -m soak --timeout 0 $(ARGS)

lock:
	@$(_python) tools/lock.py $(ARGS)

train:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): Python 3.11 or newer is needed (sudo apt install python3)." >&2; exit 1; }
	@exec $(PYTHON) tools/train.py $(ARGS)

clean:
	rm -rf .venv .venv-train .train .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/*/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
