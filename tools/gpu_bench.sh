#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our CUDA device and its peers on this machine's GPU in one run. Writes <name>.json (ours) and
# <name>-peers.json.
#   tools/gpu_bench.sh [FOLDER]      default bench/results/gpu
# PRONGHORN_PEERS is the Python that has PyTorch (default python3); without one the peers are left out.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-bench/results/gpu}
python=${PRONGHORN_PEERS:-python3}
model=models/resnet50-tin200-int8.onnx
batches=1,8,32,64,256,128
if [ -d bin ]; then
  bench=$PWD/bin/cuda_bench
  export LD_LIBRARY_PATH="$PWD/lib"
else
  bench=$PWD/build-cuda/cuda_bench
fi
mkdir -p "$folder"
"$bench" "$model" --batches "$batches" --layers 1,128 >"$folder/gpu.json.part"
name=$(sed -n '1s/.*"device": "\([^,"]*\).*/\1/p' "$folder/gpu.json.part" |
  tr 'A-Z ' 'a-z-' | sed 's/^nvidia-//')
mv "$folder/gpu.json.part" "$folder/$name.json"
echo "wrote $folder/$name.json"
if env -u LD_LIBRARY_PATH "$python" -c 'import torch, torchvision' 2>/dev/null; then
  env -u LD_LIBRARY_PATH "$python" bench/peers/gpu.py --compile 1,128 >"$folder/gpu-peers.json.part"
  mv "$folder/gpu-peers.json.part" "$folder/$name-peers.json"
  echo "wrote $folder/$name-peers.json"
else
  echo "no PyTorch for $python: the peers are left out" >&2
fi
