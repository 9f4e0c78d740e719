#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts what `make gpu-test` and `make gpu-bench` run into FOLDER and FOLDER.tar.xz (under 64 MiB), which
# work on another machine with a GPU, without a build there: programs, the libraries they need beside
# the C library's own, the model, the scripts.
#   tools/gpu_bundle.sh FOLDER [IMAGES...]   then there: FOLDER/tools/gpu_test.sh, FOLDER/tools/gpu_bench.sh
# IMAGES are photographs that the tests judge and the benchmark takes beside generated ones.
# PRONGHORN_LIBRARY names another libpronghorn.so, for example one without a model inside;
# PRONGHORN_VALIDATION labelled photographs as a .tar, in which the benchmark judges accuracy.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n 3,10p "$0" >&2; exit 2; }
folder=$1
shift
build=build-cuda
mkdir -p "$folder/bin" "$folder/lib" "$folder/tools" "$folder/models" "$folder/bench/peers"
for program in tests/exact/cuda_exact_test tests/exact/cuda_input_test tests/exact/cuda_learn_test \
    ph_device_cuda_test cuda_bench cuda_learn_bench pronghorn; do
  cp "$build/$program" "$folder/bin/"
  strip "$folder/bin/${program##*/}"
  ldd "$build/$program"
done | awk '$3 ~ /^\// && $1 !~ /^(libc|libm|libdl|librt|libpthread|libcuda)\.so/ { print $3 }' | sort -u |
  while read -r library; do cp -L "$library" "$folder/lib/"; done
if [ -n "${PRONGHORN_LIBRARY:-}" ]; then
  cp -L "$PRONGHORN_LIBRARY" "$folder/lib/$(basename "$folder"/lib/libpronghorn.so.*)"
fi
strip "$folder"/lib/libpronghorn.so.*
cp tools/gpu_test.sh tools/gpu_bench.sh "$folder/tools/"
cp bench/peers/gpu.py "$folder/bench/peers/"
cp models/resnet50-tin200-int8.onnx "$folder/models/"
if [ $# -gt 0 ]; then
  mkdir -p "$folder/images"
  cp "$@" "$folder/images/"
fi
[ -z "${PRONGHORN_VALIDATION:-}" ] || cp "$PRONGHORN_VALIDATION" "$folder/validation.tar"
# The library holds the model once more: a window of 64 MiB finds it.
XZ_OPT=${XZ_OPT:--9} tar -C "$folder" -cJf "$folder.tar.xz" .
du -h "$folder.tar.xz"
