#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts what `make gpu-test` and `make gpu-bench` run into FOLDER and FOLDER.tar.xz (under 64 MiB), which
# work on another machine with a GPU, without a build there: programs, the libraries they need beside
# the C library's own, the model, the scripts.
#   tools/gpu_bundle.sh FOLDER        then there: FOLDER/tools/gpu_test.sh, FOLDER/tools/gpu_bench.sh
set -eu
cd "$(dirname "$0")/.."
[ $# = 1 ] || { sed -n 3,6p "$0" >&2; exit 2; }
folder=$1
build=build-cuda
mkdir -p "$folder/bin" "$folder/lib" "$folder/tools" "$folder/models" "$folder/bench/peers"
for program in tests/exact/cuda_exact_test tests/exact/cuda_learn_test ph_device_cuda_test cuda_bench \
  cuda_learn_bench; do
  cp "$build/$program" "$folder/bin/"
  strip "$folder/bin/${program##*/}"
  ldd "$build/$program"
done | awk '$3 ~ /^\// && $1 !~ /^(libc|libm|libdl|librt|libpthread)\.so/ { print $3 }' | sort -u |
  while read -r library; do cp -L "$library" "$folder/lib/"; done
cp tools/gpu_test.sh tools/gpu_bench.sh "$folder/tools/"
cp bench/peers/gpu.py "$folder/bench/peers/"
cp models/resnet50-tin200-int8.onnx "$folder/models/"
tar -C "$folder" -cJf "$folder.tar.xz" .
du -h "$folder.tar.xz"
