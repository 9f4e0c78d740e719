#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our CUDA device and its peers on this machine's GPU in one run. Writes <name>.json (the device in
# INT8), <name>-fp16.json, <name>-peers.json, <name>-accuracy.json (FP16 beside INT8 on photographs, where
# there are some), <name>-real.json (from JPEG bytes to labels, with energy, on generated photographs)
# and, where the bundle has images, <name>-real-images.json. A part that fails is named at the end, and
# the others run all the same.
#   tools/gpu_bench.sh [FOLDER]      default bench/results/gpu
# PRONGHORN_PEERS is the Python that has PyTorch (default python3); without one the peers are left out.
# PRONGHORN_PARTS chooses among "device fp16 accuracy real peers" (default all; the peers, which take
# longest, come last). PRONGHORN_SECONDS: of one
# measurement of the device or a peer (default 0.5). PRONGHORN_VALIDATION: labelled photographs, as
# `pronghorn eval` takes them (default: validation.tar of the bundle). PRONGHORN_REAL: options of
# `pronghorn bench` for the real part (default: three batch sizes, and 30 seconds with power second by
# second).
set -eu
cd "$(dirname "$0")/.."
folder=${1:-bench/results/gpu}
python=${PRONGHORN_PEERS:-python3}
parts=${PRONGHORN_PARTS:-device fp16 accuracy real peers}
seconds=${PRONGHORN_SECONDS:-0.5}
validation=${PRONGHORN_VALIDATION:-validation.tar}
model=models/resnet50-tin200-int8.onnx
batches=1,8,32,64,256,128
before=${LD_LIBRARY_PATH:-}
if [ -d bin ]; then
  programs=$PWD/bin
  export LD_LIBRARY_PATH="$PWD/lib${before:+:$before}"
else
  programs=$PWD/build-cuda
fi
mkdir -p "$folder"
name=$("$programs/pronghorn" devices | sed -n 's/^cuda:0 .*NVIDIA \([^,]*\),.*/\1/p' | tr 'A-Z ' 'a-z-')
[ -n "$name" ] || { echo "no GPU that can be used: pronghorn devices shows none" >&2; exit 1; }

failed=
wants() { case " $parts " in *" $1 "*) true ;; *) false ;; esac; }
# result NAME COMMAND...: what the command prints becomes NAME when it ends well.
result() {
  file=$folder/$1
  shift
  if "$@" >"$file.part"; then
    mv "$file.part" "$file"
    echo "wrote $file"
  else
    rm -f "$file.part"
    failed="$failed ${file##*/}"
  fi
}
# written NAME COMMAND...: the command writes NAME itself.
written() {
  file=$folder/$1
  shift
  if "$@" --json "$file"; then echo "wrote $file"; else failed="$failed ${file##*/}"; fi
}

if wants device; then
  result "$name.json" "$programs/cuda_bench" "$model" --batches "$batches" --layers 1,128 \
    --seconds "$seconds"
fi
if wants fp16; then
  result "$name-fp16.json" "$programs/cuda_bench" "$model" --precision fp16 --batches "$batches" \
    --layers 1,128 --seconds "$seconds"
fi
if wants accuracy; then
  if [ -e "$validation" ]; then
    written "$name-accuracy.json" "$programs/pronghorn" eval "$validation" --model "$model" \
      --device cuda:0 --precision fp16 --compare-precision model --batch 128
  else
    echo "no $validation: the accuracy is left out" >&2
  fi
fi
if wants real; then
  # shellcheck disable=SC2086 # several options
  written "$name-real.json" "$programs/pronghorn" bench --device cuda:0 --model "$model" \
    --no-report ${PRONGHORN_REAL:---batch 1,32,128 --seconds 6 --sustained 30}
  if [ -d images ]; then
    written "$name-real-images.json" "$programs/pronghorn" bench --device cuda:0 --model "$model" \
      --no-report --batch 128 --seconds 6 --images images
  fi
fi
if wants peers; then
  if env LD_LIBRARY_PATH="$before" "$python" -c 'import torch, torchvision' 2>/dev/null; then
    result "$name-peers.json" env LD_LIBRARY_PATH="$before" "$python" bench/peers/gpu.py \
      --compile 1,128 --seconds "$seconds"
  else
    echo "no PyTorch for $python: the peers are left out" >&2
  fi
fi
[ -z "$failed" ] || { echo "gpu_bench: failed:$failed" >&2; exit 1; }
