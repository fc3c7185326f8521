PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BUILD_PACKAGES := gcc make musl-tools linux-libc-dev libseccomp-dev libcap-dev python3 python3-dev \
	python3-venv
# busybox for roots, uidmap and passt for what crabcan can use, tmux and what is used in it, the rest
# for tests/vm. The last one has CPython's own tests of subprocess, for Debian's Python.
TEST_PACKAGES = busybox-static util-linux mount iproute2 uidmap passt cpio xz-utils \
	qemu-system-x86 tmux vim-tiny procps ncurses-bin zsh fish groff-base mmdebstrap \
	libpython$(shell /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-testsuite

# GCC's analyzer is there anyway.
ANALYZE_PACKAGES := clang-tidy cppcheck

# libFuzzer, for tests/fuzz; the targets in Python take atheris from PyPI.
FUZZ_PACKAGES := clang libclang-rt-dev

# What the figures of tests/bench are compared with, beside what the tests need.
BENCH_PACKAGES := busybox-static bubblewrap crun runc

# One style for all C, kept where the C is.
C_FILES := --style=file:csrc/.clang-format $(wildcard csrc/*.h csrc/*/*.[ch] tests/csrc/*.c tests/bench/*.c tests/fuzz/*.[ch])

.PHONY: help run test test-robustness sanitize fuzz analyze bench lint docs format reference transcript pictures packages test-packages kernel clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

# $(call install,PACKAGES): only what is not there yet.
install = dpkg -s $(1) >/dev/null 2>&1 || { $(SUDO) apt-get update -q && \
	$(SUDO) apt-get install -y -q --no-install-recommends $(1); }

packages:
	@$(call install,$(BUILD_PACKAGES))

test-packages: | packages
	@$(call install,$(TEST_PACKAGES))

# For the virtual machine of tests/vm; never installed.
KERNEL_CACHE := .cache/vm

kernel: | test-packages ## fetch the kernel package that tests/vm boots
	@ls $(KERNEL_CACHE)/linux-image-*.deb >/dev/null 2>&1 || { mkdir -p $(KERNEL_CACHE) && \
		cd $(KERNEL_CACHE) && apt-get download -q -o APT::Sandbox::User=root $$(apt-cache depends \
		linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1); }

SOURCES := $(wildcard csrc/*.h csrc/*/*.[ch] crabcan/*.py crabcan/*.pyi crabcan/*/*.py)

$(VENV)/installed: pyproject.toml setup.py $(SOURCES) | packages
	$(PYTHON) -m venv $(VENV)
	CRABCAN_WERROR=$(CI:true=1) $(BIN)/pip install -q '.[test,lint]'
	@touch $@

run: $(VENV)/installed ## set everything up and run a first container
	$(BIN)/crabcan run -- sh -c 'echo "hello from PID $$$$ on $$(hostname), as uid $$(id -u)"'

docs: $(VENV)/installed ## build the documentation site into build/site
	$(BIN)/python -P -m sphinx -q -W --keep-going docs build/site

lint: $(VENV)/installed ## check formatting, style, types and documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -P -m sphinx -q -W --keep-going docs build/site

format: $(VENV)/installed ## format Python and C
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

analyze: | packages ## GCC's analyzer, clang-tidy and cppcheck over all C
	@$(call install,$(ANALYZE_PACKAGES))
	tests/analyze.sh $(PYTHON)

test: lint analyze kernel ## set everything up and run the tests, as you and as an ordinary user
	CRABCAN_MUST_RUN=1 $(BIN)/pytest tests
	tests/as-user.sh

# A piece of tests/robustness is a command as well, and prints what was tried and what held.
ROBUSTNESS := PYTHONPATH=tests/robustness $(BIN)/python -P

test-robustness: $(VENV)/installed | test-packages ## the long forms of tests/robustness, an hour or two
	$(ROBUSTNESS) -m museum
	$(ROBUSTNESS) tests/robustness/faults.py
	$(ROBUSTNESS) tests/robustness/kills.py
	$(ROBUSTNESS) tests/robustness/model.py
	$(ROBUSTNESS) tests/robustness/soak.py

sanitize: | test-packages ## the tests under the address and undefined-behaviour sanitizers
	PYTHON=$(PYTHON) tests/sanitize.sh

fuzz: $(VENV)/installed ## fuzz everything that reads bytes, for SECONDS (an hour)
	@$(call install,$(FUZZ_PACKAGES))
	$(BIN)/pip install -q atheris
	$(BIN)/python -P tests/fuzz/fuzz.py --seconds $(or $(SECONDS),3600)

bench: $(VENV)/installed ## measure all of docs/benchmarks.md anew, some minutes
	@$(call install,$(BENCH_PACKAGES))
	$(SUDO) $(BIN)/python -P tests/bench/figures.py docs/benchmarks

reference: $(VENV)/installed ## write docs/cli.md and docs/man anew, from the command line itself
	$(BIN)/python -P docs/reference.py docs

transcript: $(VENV)/installed ## write docs/transcript.md anew, from a real run
	$(BIN)/python -P docs/transcript.py > docs/transcript.md.new
	mv docs/transcript.md.new docs/transcript.md

pictures: $(VENV)/installed ## draw docs/pictures anew, from real runs
	$(BIN)/python -P docs/pictures.py

clean: ## remove what was built
	rm -rf $(VENV) build *.egg-info
