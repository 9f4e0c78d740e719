# SPDX-License-Identifier: Apache-2.0
# The commands of this repository. Each does its own set-up: nothing else has to be run first.
#   make bench        measure this machine (ARGS='--batch 1' is passed on)
#   make test         build everything and verify it
#   make test-page    drive the benchmark's page in headless Chromium
#   make test-slow    the long tests, and the fuzzers under sanitizers
#   make rtl-test     the FPGA device's hardware in Verilator: modules, random programs, networks, layers
#   make rtl-coverage what those benches reach of the hardware: bench/results/fpga-coverage.json
#   make build        the program build/pronghorn and build/libpronghorn.so
#   make install      PREFIX=/usr/local, DESTDIR= honoured
#   make lint         every check of .ci/run except the tests
#   make gpu-test     the CUDA device against the reference, on a machine with an NVIDIA GPU
#   make gpu-bench    the CUDA device and its peers: JSON into bench/results/gpu
#   make results      write the results table of README.md from bench/results
#   make clean
PREFIX ?= /usr/local
ARGS ?=

BUILD := build
# One compiler process needs up to 1.5 GB; more jobs than memory make a machine swap.
JOBS := $(shell awk -v n="$$(nproc)" '/^MemAvailable/ { j = int($$2 / 1500000); \
          print j < 1 ? 1 : j < n ? j : n }' /proc/meminfo)

.PHONY: build rtl-test rtl-coverage bench test test-page test-slow fuzz install lint format results clean setup configure \
        all-targets gpu-build gpu-test gpu-bench

build: configure
	@cmake --build $(BUILD) -j $(JOBS) --target pronghorn pronghorn_cli

bench: build
	@$(BUILD)/pronghorn bench --json $(BUILD)/bench.json $(ARGS)
	@echo "$(BUILD)/bench.html shows it"

test: all-targets
	@ctest --test-dir $(BUILD) -L 'unit|exact|binding' -LE slow -j $(JOBS) \
	  --output-on-failure --no-label-summary --no-tests=error

test-page: build
	@tests/page/run.sh $(BUILD)

test-slow: all-targets fuzz
	@ctest --test-dir $(BUILD) -L slow -j 1 --output-on-failure --no-label-summary

# The readers of foreign files under address and undefined-behaviour sanitizers,
# PRONGHORN_FUZZ_SECONDS (60) each.
fuzz: setup
	@[ $(BUILD)-asan/build.ninja -nt CMakePresets.json ] || cmake --preset asan
	@cmake --build $(BUILD)-asan -j $(JOBS) --target fuzz
	@ctest --test-dir $(BUILD)-asan -L fuzz -j $(JOBS) --output-on-failure --no-label-summary \
	  --no-tests=error

# The RTL under Verilator; its package list is its own.
rtl-test:
	@tools/setup.sh tools/packages.txt tools/packages-rtl.txt
	@[ $(BUILD)-rtl/build.ninja -nt CMakePresets.json ] || \
	  cmake --preset release -B $(BUILD)-rtl -DPRONGHORN_RTL=ON
	@cmake --build $(BUILD)-rtl -j $(JOBS) --target rtl_benches
	@ctest --test-dir $(BUILD)-rtl -L fpga -j $(JOBS) --output-on-failure --no-label-summary \
	  --no-tests=error

# Without the whole layers, which take longest.
rtl-coverage:
	@tools/setup.sh tools/packages.txt tools/packages-rtl.txt
	@[ $(BUILD)-rtl-coverage/build.ninja -nt CMakePresets.json ] || \
	  cmake --preset release -B $(BUILD)-rtl-coverage -DPRONGHORN_RTL=ON -DPRONGHORN_RTL_COVERAGE=ON
	@cmake --build $(BUILD)-rtl-coverage -j $(JOBS) --target rtl_benches
	@rm -f $(BUILD)-rtl-coverage/rtl/*.coverage
	@ctest --test-dir $(BUILD)-rtl-coverage -L fpga -E rtl_layers -j $(JOBS) --output-on-failure --no-label-summary \
	  --no-tests=error
	@rtl/tools/coverage.py bench/results/fpga-coverage.json $(BUILD)-rtl-coverage/rtl/*.coverage

all-targets: configure
	@cmake --build $(BUILD) -j $(JOBS)

configure: setup
	@[ $(BUILD)/build.ninja -nt CMakePresets.json ] || cmake --preset release

setup:
	@tools/setup.sh

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

lint:
	@tools/lint.sh

format:
	@git ls-files '*.cpp' '*.h' '*.hpp' '*.cu' '*.cuh' | xargs clang-format-19 -i

results:
	@python3 bench/make_table.py
	@python3 rtl/tools/tables.py
	@python3 bench/gpu_layers.py

gpu-build: setup
	@tools/setup_cuda.sh
	@[ $(BUILD)-cuda/build.ninja -nt CMakePresets.json ] || cmake --preset cuda
	@cmake --build $(BUILD)-cuda -j $(JOBS) --target cuda-all

gpu-test: gpu-build
	@tools/gpu_test.sh

gpu-bench: gpu-build
	@tools/gpu_bench.sh

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-cuda $(BUILD)-rtl
