#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The exactness tests of the CUDA device, then some of them under compute-sanitizer where it is installed
# (PRONGHORN_SANITIZER=off leaves that out, PRONGHORN_SANITIZER=only the others). Runs in a source tree after `cmake --build build-cuda
# --target cuda-all`, or in a bundle (tools/gpu_bundle.sh). Fails on any difference; without a GPU the
# tests say that they are skipped.
set -u
cd "$(dirname "$0")/.."
if [ -d bin ]; then
  tests=$PWD/bin
  exact=$tests/cuda_exact_test
  input=$tests/cuda_input_test
  learn=$tests/cuda_learn_test
  export LD_LIBRARY_PATH="$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
else
  tests=$PWD/build-cuda
  exact=$tests/tests/exact/cuda_exact_test
  input=$tests/tests/exact/cuda_input_test
  learn=$tests/tests/exact/cuda_learn_test
fi
[ ! -d images ] || export PRONGHORN_TEST_IMAGES="$PWD/images"
status=0
judge() {
  "$@" && return
  status=1
  echo "gpu_test: failed: $*" >&2
}
if [ "${PRONGHORN_SANITIZER:-on}" != only ]; then
  for program in "$exact" "$tests/ph_device_cuda_test" "$input" "$learn"; do judge "$program"; done
  judge env PRONGHORN_TEST_SHARES=2 "$learn"
fi
if [ "${PRONGHORN_SANITIZER:-on}" != off ] && command -v compute-sanitizer >/dev/null 2>&1; then
  watched() {
    tool=$1
    shift
    judge compute-sanitizer --tool "$tool" --error-exitcode 1 "$@"
  }
  watched memcheck "$exact" --gtest_filter='CudaDevice*:*Exact.RandomNetworks*:*RandomProblems*:*BatchesInterleave*'
  watched memcheck "$exact" --gtest_filter='*CudaHalf.*'
  watched racecheck "$exact" --gtest_filter='*RandomNetworks*'
  watched memcheck "$learn"
  watched memcheck "$input" --gtest_filter='*PixelsOfTheProcessorsDecoder*'
fi
exit $status
