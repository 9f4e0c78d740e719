#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes FOLDER/venv, a virtual environment with what the binding's tests need.
#   environment.sh FOLDER     PYTHON: the interpreter (python3); PRONGHORN_TEST_TENSORFLOW=1: TensorFlow too
# Exits with 77 and the reason when the interpreter lacks venv, pip or headers, or no registry answers.
set -eu
folder=$1
python=${PYTHON:-python3}
skip() {
  echo "skipped: $1"
  exit 77
}
command -v "$python" >/dev/null || skip "there is no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || skip "$python is older than 3.10"
"$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(
  os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  skip "$python has no headers (is python3-dev installed?)"
mkdir -p "$folder"
if [ ! -x "$folder/venv/bin/pip" ]; then
  "$python" -m venv "$folder/venv" >"$folder/venv.log" 2>&1 ||
    skip "$python -m venv fails (is python3-venv installed?): $(tail -n 1 "$folder/venv.log")"
fi
tensorflow=
[ "${PRONGHORN_TEST_TENSORFLOW:-0}" = 0 ] || tensorflow=tensorflow-cpu
# shellcheck disable=SC2086  # no word, or one
"$folder/venv/bin/pip" install -q --retries 1 --timeout 20 nanobind scikit-build-core numpy pillow \
  pytest h5py nbmake ipykernel keras "jax[cpu]" joblib \
  mypy pandas scikit-learn $tensorflow >"$folder/pip.log" 2>&1 ||
  skip "no package registry can be reached: $(tail -n 1 "$folder/pip.log")"
