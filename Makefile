# A thin front of CMakePresets.json. `make demo` and `make test` set up everything they need.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= cpu

.PHONY: all setup build demo test cuda asan tsan fuzz check bench install clean help

all: build

help:
	@echo "make demo    build, train a small xLSTM on the bundled stories, and let it tell one"
	@echo "make test    build and run every test"
	@echo "make build   only build (PRESET=cpu|cuda|asan|tsan)"
	@echo "make cuda    build with the CUDA backend"
	@echo "make asan    run the tests under the address and undefined-behaviour sanitizers"
	@echo "make fuzz    fuzz the file readers for FUZZ_SECONDS each (needs clang)"
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

cuda:
	@$(MAKE) --no-print-directory build PRESET=cuda

asan tsan: setup
	@bash cmake/build.sh $@ $(JOBS)
	@ctest --test-dir build/$@ --output-on-failure -j $(JOBS)

check:
	@bash tests/layering.sh
	@bash tests/format.sh
	@bash tests/self_contained_headers.sh

fuzz:
	@bash tests/fuzz/run.sh

bench: build
	@build/$(PRESET)/tests/bench_train_step

clean:
	rm -rf build
