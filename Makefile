# make run    makes an environment with everything in it, and answers the phone
# make test   proves it, with real peers and real models

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check install --constraint constraints.txt
UNINSTALL := $(VENV)/bin/python -m pip uninstall --quiet --yes
MIND   ?= $(shell cat $(VENV)/.mind 2>/dev/null || echo large)
GPU    := $(or $(GPU),$(shell cat $(VENV)/.gpu 2>/dev/null || echo 0))
# The largest bundled model that may answer: what another MIND brought stays in the cache.
LARGEST_small := qwen2.5-coder-0.5b
LARGEST_none  := smollm2-135m
PEERS  := sip-tester baresip-core kamailio kamailio-tls-modules rtpengine-daemon haproxy coturn linphone-cli sipsak \
  sipvicious postgresql prometheus flite sox iproute2 iptables systemd \
  chromium libgomp1
# Installed, these would take ports (5060, 5432, 9090). The tests start their own.
DAEMONS := kamailio rtpengine-daemon haproxy coturn postgresql prometheus

# More than one process for a kind of tests, on machines of many cores: on two, with two each, what shares them fails
# more often. Files in their order, and not by how many tests they have: of the longest, some have one.
WORKERS ?= 0
PYTEST  = $(VENV)/bin/python -m pytest -m "$(1) and not soak" -o cache_dir=".pytest_cache/$(1)" \
  -n $(or $(2),$(WORKERS)) --dist loadfile --no-loadscope-reorder
CALLS  := e2e
MODELS := models and not e2e
REST   := not models and not e2e
# Of the tests $(2), where the first try ended with the code in the shell's variable $(1).
ONCE_MORE = case $$$(1) in 0 | 5) ;; *) echo "Once more, alone: what failed of $(2)."; \
  $(call PYTEST,$(2)) -n 0 --last-failed --last-failed-no-failures none $(ARGS) || failed=1 ;; esac

.DEFAULT_GOAL := help
.PHONY: help install run test soak check format bench load cluster peers clean

ifneq ($(LARGEST_$(MIND)),)
install run bench: export OFFHOOK_LLM__LARGEST := $(LARGEST_$(MIND))
endif

ifeq ($(filter 0 1,$(GPU)),)
$(error GPU is $(GPU); it must be 1, for what a GPU needs, or 0)
endif

help:
	@echo "make install            make $(VENV) with offhook, and fetch the models that it needs"
	@echo "make run  [ARGS=...]    install, then answer the phone: offhook serve ARGS"
	@echo "     MIND=small         ... with a language model of half the size; MIND=none: with none that answers;"
	@echo "                        MIND=large: with the large one again"
	@echo "     GPU=1              ... with what a GPU needs; GPU=0: without it again"
	@echo "     PERSONA=fr         ... as another persona"
	@echo "make test [ARGS=...]    install what tests need, then run them: pytest ARGS"
	@echo "make soak [ARGS=...]    the tests that take minutes"
	@echo "make check              ruff, mypy and import-linter"
	@echo "make format             let ruff format the code"
	@echo "make bench [ARGS=...]   measure latencies: offhook bench ARGS"
	@echo "make load  [ARGS=...]   measure how many calls a process bears; ARGS=--help tells"
	@echo "make cluster [ARGS=...] measure several nodes behind Kamailio, as root; ARGS=--help tells"
	@echo "make clean              remove $(VENV) and all caches"

# What couldn't be had is tried again here, and only here: a start doesn't wait for it.
install: $(VENV)/.gpu-$(GPU)
	@$(VENV)/bin/offhook models install --mind $(MIND)$(if $(PERSONA), --set persona=$(PERSONA))
	@touch $(VENV)/.weights-$(MIND)
	@echo $(MIND) > $(VENV)/.mind
	@echo $(GPU) > $(VENV)/.gpu

run: $(VENV)/.weights-$(MIND)
	@echo $(MIND) > $(VENV)/.mind
	@echo $(GPU) > $(VENV)/.gpu
	@$(VENV)/bin/offhook serve $(if $(PERSONA),--persona $(PERSONA)) $(ARGS)

# Whole calls mostly wait, and two processes make them. The rest goes on beside them, and they tell in the end, as do the
# tests of models, which take what the others leave of the cores. What fails in that company is run once more alone: a
# machine that stalls for a second isn't what is tested.
# pytest exits with 5 where there is no test, as in a folder that has but one of these kinds.
test: $(VENV)/.installed-dev $(VENV)/.weights-$(MIND) peers
	@echo "Running the tests, and beside them those of whole calls and of models, which tell in the end."; \
	told=$$(mktemp -d); \
	$(call PYTEST,$(CALLS),$(if $(filter 0,$(WORKERS)),2)) $(ARGS) >"$$told/calls" 2>&1 & calls=$$!; \
	nice -n 10 $(call PYTEST,$(MODELS)) $(ARGS) >"$$told/models" 2>&1 & models=$$!; \
	trap 'kill $$calls $$models 2>/dev/null; rm -rf "$$told"' EXIT; trap 'exit 130' INT TERM; \
	$(call PYTEST,$(REST)) $(ARGS); first=$$?; \
	wait $$models; second=$$?; cat "$$told/models"; \
	wait $$calls; third=$$?; cat "$$told/calls"; \
	failed=0; \
	$(call ONCE_MORE,first,$(REST)); \
	$(call ONCE_MORE,second,$(MODELS)); \
	$(call ONCE_MORE,third,$(CALLS)); \
	[ $$first-$$second-$$third != 5-5-5 ] && exit $$failed

soak: $(VENV)/.installed-dev $(VENV)/.weights-$(MIND) peers
	$(VENV)/bin/python -m pytest -m soak $(ARGS)

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.weights-$(MIND)
	$(VENV)/bin/offhook bench $(ARGS)

load: $(VENV)/.installed-dev
	$(VENV)/bin/python -m bench.load $(ARGS)

cluster: $(VENV)/.installed-dev peers
	$(VENV)/bin/python -m bench.cluster $(ARGS)

# The stamps make a second run install nothing; what they depend on makes it install anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "offhook needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another or isn't there." >&2; \
	  echo "On Debian: apt-get install python3 python3-venv. Or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing offhook into $(VENV)."
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --quiet --upgrade pip
	@$(PIP) --build-constraint constraints.txt --editable '.[llama]'
	@touch $@

# The weights outlive $(VENV): they are in offhook's cache, ~/.cache/offhook.
$(VENV)/.weights-$(MIND): $(VENV)/.installed | $(VENV)/.gpu-$(GPU)
	@echo "Fetching the weights that aren't here: of 0.5 GB, and of 1.1 more for MIND=large, 0.5 for MIND=small."
	@$(VENV)/bin/offhook models install --mind $(MIND)$(if $(PERSONA), --set persona=$(PERSONA))
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed | $(VENV)/.gpu-$(GPU)
	@$(PIP) --group dev
	@touch $@

# onnxruntime and onnxruntime-gpu share one folder: of both, either one's end takes the other's files along. An
# install of offhook brings onnxruntime back, so that these come behind it. A switch that breaks off leaves
# neither stamp, and the next make completes it.
$(VENV)/.gpu-1: $(VENV)/.installed
	@echo "Installing what a GPU needs: up to 1.8 GB to fetch, 2.8 GB on the disk."
	@rm -f $(VENV)/.gpu-*
	@$(PIP) --group gpu
	@$(UNINSTALL) onnxruntime onnxruntime-gpu
	@$(PIP) --no-deps onnxruntime-gpu
	@touch $@

$(VENV)/.gpu-0: $(VENV)/.installed
	@rm -f $(VENV)/.gpu-*
	@of_gpu=$$($(VENV)/bin/python -m pip --disable-pip-version-check freeze | \
	  sed -n 's/^\(onnxruntime-gpu\|nvidia-.*\)==.*/\1/p' | grep -vx nvidia-ml-py); \
	  [ -z "$$of_gpu" ] || { echo "Removing what a GPU needs."; \
	  $(UNINSTALL) onnxruntime $$of_gpu && $(PIP) --no-deps onnxruntime; }
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
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null && { \
	  for peer in $(DAEMONS); do \
	    case "$$missing" in *$$peer*) systemctl disable --quiet --now $$peer 2>/dev/null ;; esac; \
	  done; exit 0; }; \
	fi; \
	echo "NOTE: not installed, so that tests which need them are skipped:$$missing" >&2; \
	echo "NOTE: as root on Debian: apt-get install$$missing" >&2; \
	[ "$${OFFHOOK_REQUIRE_PEERS:-}" != 1 ]

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
