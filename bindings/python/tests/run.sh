#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the wheel of this tree in a virtual environment of its own and runs the tests with it.
#   run.sh FOLDER [pytest arguments]     FOLDER keeps the environment and the build between runs
# Exits with 77 (skipped) and the reason when python3 lacks venv, pip or headers, or no registry answers.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
shift
skip() {
  echo "skipped: $1"
  exit 77
}
command -v python3 >/dev/null || skip "there is no python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || skip "python3 is older than 3.10"
python3 -c 'import os, sysconfig; raise SystemExit(not os.path.exists(
  os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  skip "python3 has no headers (is python3-dev installed?)"
mkdir -p "$folder"
if [ ! -x "$folder/venv/bin/pip" ]; then
  python3 -m venv "$folder/venv" >"$folder/venv.log" 2>&1 ||
    skip "python3 -m venv fails (is python3-venv installed?): $(tail -n 1 "$folder/venv.log")"
fi
"$folder/venv/bin/pip" install -q --retries 1 --timeout 20 \
  nanobind scikit-build-core numpy pillow pytest h5py nbmake ipykernel scikit-learn >"$folder/pip.log" 2>&1 ||
  skip "no package registry can be reached: $(tail -n 1 "$folder/pip.log")"
"$folder/venv/bin/pip" wheel --no-build-isolation --no-deps -w "$folder/wheel" \
  -Cbuild-dir="$folder/build" "$root" >"$folder/build.log" 2>&1 || {
  tail -n 40 "$folder/build.log"
  exit 1
}
wheel=$(ls -t "$folder"/wheel/*.whl | head -n 1)
size=$(wc -c <"$wheel")
echo "$wheel: $size bytes"
[ "$size" -lt 40000000 ] || { echo "the wheel must stay below 40 MB"; exit 1; }
"$folder/venv/bin/pip" install -q --force-reinstall --no-deps "$wheel"
cd "$folder" # not in the tree: the installed package is what is tested
"$folder/venv/bin/python" -m pytest -q -p no:cacheprovider "$root/bindings/python/tests" "$@"
exec "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider --nbmake \
  "$root/bindings/python/examples"
