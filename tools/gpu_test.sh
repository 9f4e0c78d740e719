#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The exactness tests of the CUDA device, then the same under compute-sanitizer where it is installed
# (PRONGHORN_SANITIZER=off leaves that out). Runs in a source tree after `cmake --build build-cuda
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
"$exact" || status=1
"$tests/ph_device_cuda_test" || status=1
"$input" || status=1
"$learn" || status=1
PRONGHORN_TEST_SHARES=2 "$learn" || status=1
if [ "${PRONGHORN_SANITIZER:-on}" = on ] && command -v compute-sanitizer >/dev/null 2>&1; then
  compute-sanitizer --tool memcheck --error-exitcode 1 "$exact" \
    --gtest_filter='*RandomNetworks*:*RandomProblems*:*BatchesInterleave*' || status=1
  compute-sanitizer --tool memcheck --error-exitcode 1 "$learn" || status=1
  compute-sanitizer --tool racecheck --error-exitcode 1 "$exact" \
    --gtest_filter='*RandomNetworks*' || status=1
  compute-sanitizer --tool memcheck --error-exitcode 1 "$input" \
    --gtest_filter='*PixelsOfTheProcessorsDecoder*' || status=1
fi
exit $status
