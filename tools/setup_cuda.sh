#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the CUDA compiler and runtime of tools/packages-cuda.txt (Python wheels, 110 MB) into
# .cache/cuda, where `cmake --preset cuda` looks. No GPU and no driver is needed to build. Does
# nothing when they are there, or when CUDACXX or the path already names an nvcc of version 13 or newer.
set -eu
cd "$(dirname "$0")/.."

nvcc=${CUDACXX:-$(command -v nvcc || true)}
if [ -n "$nvcc" ] && "$nvcc" --version | grep -qE 'release (1[3-9]|[2-9][0-9])\.'; then exit 0; fi
home=.cache/cuda
[ "$home/toolkit/bin/nvcc" -nt tools/packages-cuda.txt ] && exit 0

echo "setup: installing the CUDA toolkit"
rm -rf "$home"
python3 -m venv "$home"
"$home/bin/pip" install -q --disable-pip-version-check --no-deps -r tools/packages-cuda.txt
toolkit=$(cd "$home"/lib/python3*/site-packages/nvidia/cu13 && pwd)
# nvcc and CMake look in lib64.
ln -sfn lib "$toolkit/lib64"
ln -sfn "${toolkit#"$PWD/$home/"}" "$home/toolkit"
touch "$toolkit/bin/nvcc"
