#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our CUDA device and its peers on this machine's GPU in one run. Writes <name>.json (the device),
# <name>-peers.json, <name>-real.json (from JPEG bytes to labels, with energy, on generated photographs)
# and, where the bundle has images, <name>-real-images.json.
#   tools/gpu_bench.sh [FOLDER]      default bench/results/gpu
# PRONGHORN_PEERS is the Python that has PyTorch (default python3); without one the peers are left out.
# PRONGHORN_PARTS chooses among "device peers real" (default all). PRONGHORN_REAL: options of `pronghorn
# bench` for the real part (default: three batch sizes, and 30 seconds with power second by second).
set -eu
cd "$(dirname "$0")/.."
folder=${1:-bench/results/gpu}
python=${PRONGHORN_PEERS:-python3}
parts=${PRONGHORN_PARTS:-device peers real}
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

wants() { case " $parts " in *" $1 "*) true ;; *) false ;; esac; }

if wants device; then
  "$programs/cuda_bench" "$model" --batches "$batches" --layers 1,128 >"$folder/gpu.json.part"
  mv "$folder/gpu.json.part" "$folder/$name.json"
  echo "wrote $folder/$name.json"
fi
if wants peers; then
  if env LD_LIBRARY_PATH="$before" "$python" -c 'import torch, torchvision' 2>/dev/null; then
    env LD_LIBRARY_PATH="$before" "$python" bench/peers/gpu.py --compile 1,128 >"$folder/gpu-peers.json.part"
    mv "$folder/gpu-peers.json.part" "$folder/$name-peers.json"
    echo "wrote $folder/$name-peers.json"
  else
    echo "no PyTorch for $python: the peers are left out" >&2
  fi
fi
if wants real; then
  # shellcheck disable=SC2086 # several options
  "$programs/pronghorn" bench --device cuda:0 --model "$model" --no-report \
    --json "$folder/$name-real.json" ${PRONGHORN_REAL:---batch 1,32,128 --seconds 6 --sustained 30}
  echo "wrote $folder/$name-real.json"
  if [ -d images ]; then
    "$programs/pronghorn" bench --device cuda:0 --model "$model" --no-report --batch 128 --seconds 6 \
      --images images --json "$folder/$name-real-images.json"
    echo "wrote $folder/$name-real-images.json"
  fi
fi
