#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The exactness tests of the CUDA device, then the same under compute-sanitizer where it is installed.
# Runs in a source tree after `cmake --build build-cuda --target cuda-all`, or in a bundle
# (tools/gpu_bundle.sh). Fails on any difference; without a GPU the tests say that they are skipped.
set -u
cd "$(dirname "$0")/.."
if [ -d bin ]; then
  exact=$PWD/bin/cuda_exact_test
  kernels=$PWD/bin/ph_device_cuda_test
  learn=$PWD/bin/cuda_learn_test
  export LD_LIBRARY_PATH="$PWD/lib"
else
  exact=$PWD/build-cuda/tests/exact/cuda_exact_test
  kernels=$PWD/build-cuda/ph_device_cuda_test
  learn=$PWD/build-cuda/tests/exact/cuda_learn_test
fi
status=0
"$exact" || status=1
"$kernels" || status=1
"$learn" || status=1
if command -v compute-sanitizer >/dev/null 2>&1; then
  compute-sanitizer --tool memcheck --error-exitcode 1 "$exact" \
    --gtest_filter='*RandomNetworks*:*RandomProblems*:*BatchesInterleave*' || status=1
  compute-sanitizer --tool memcheck --error-exitcode 1 "$learn" || status=1
  compute-sanitizer --tool racecheck --error-exitcode 1 "$exact" \
    --gtest_filter='*RandomNetworks*' || status=1
fi
exit $status
