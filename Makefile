# A thin front of CMakePresets.json. `make demo` and `make test` set up everything they need.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= cpu

.PHONY: all setup build demo test cuda cuda-all gpu-tests test-oracle test-oracle-tensorboard static static-cuda asan tsan fuzz reliability check bench install clean help

all: build

help:
	@echo "make demo    build, train a small xLSTM on the bundled stories, and let it tell one"
	@echo "make test    build and run every test"
	@echo "make test-oracle  compare the tokenizer with the tokenizers wheel, which it needs (PYTHON chooses the python)"
	@echo "make build   only build (PRESET=cpu|cuda|cuda-all|asan|tsan)"
	@echo "make cuda    build everything with the CUDA backend, for the GPUs here or else for Hopper; needs no GPU"
	@echo "make cuda-all   the same for every GPU since compute capability 8.0"
	@echo "make gpu-tests  pack the tests into build/gpu-pack, to run on a machine with a GPU"
	@echo "make static  one xlstm command that needs only the C library (static-cuda: and cuBLASLt, for every GPU)"
	@echo "make asan    run the tests under the address and undefined-behaviour sanitizers"
	@echo "make fuzz    fuzz the file readers for FUZZ_SECONDS each (needs clang)"
	@echo "make reliability   prove what docs/reliability.md promises, in its long form, and print a table of figures"
	@echo "make test-oracle-tensorboard   read the logs of a small run with TensorBoard (pip install tensorboard)"
	@echo "make check   formatting, layering and self-contained headers"
	@echo "make bench   time a training step on this machine"

setup:
	@bash cmake/setup.sh

build: setup
	@bash cmake/build.sh $(PRESET) $(JOBS)

demo: setup
	@bash cmake/build.sh $(PRESET) $(JOBS) xlstm
	@bash tools/demo.sh

test: build
	@ctest --preset $(PRESET) -j 1

test-oracle: setup
	@bash tests/oracle/run.sh $(JOBS)

cuda cuda-all:
	@$(MAKE) --no-print-directory build PRESET=$@

gpu-tests: setup
	@JOBS=$(JOBS) bash tests/gpu/pack.sh build/gpu-pack

static static-cuda: setup
	@bash cmake/build.sh $@ $(JOBS) xlstm
	@bash tests/install/static_binary.sh build/$@/tools/xlstm

asan tsan: setup
	@bash cmake/build.sh $@ $(JOBS)
	@ctest --test-dir build/$@ --output-on-failure -j $(JOBS)

check:
	@bash tests/layering.sh
	@bash tests/format.sh
	@bash tests/self_contained_headers.sh

fuzz: setup
	@bash tests/fuzz/run.sh

reliability: build
	@bash tests/reliability/run.sh build/$(PRESET)

# PYTHON may be that of a virtual environment.
PYTHON ?= python3
test-oracle-tensorboard: setup
	@bash cmake/build.sh $(PRESET) $(JOBS) xlstm
	@$(PYTHON) tests/oracle/tensorboard_reader.py build/$(PRESET)/tools/xlstm

bench: build
	@build/$(PRESET)/tests/bench_train_step

clean:
	rm -rf build
